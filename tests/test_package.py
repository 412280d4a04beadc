"""The package as a whole: public names, what importing it costs, the pycaffe face."""

import subprocess
import sys

import pytest

import protonet


def run(code):
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)


@pytest.mark.parametrize("name", protonet.__all__)
def test_every_public_name_is_there(name):
    assert getattr(protonet, name) is not None


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'Nat'"):
        protonet.Nat  # noqa: B018


def test_importing_loads_nothing_heavy():
    heavy = "{'numpy', 'numba', 'google.protobuf', 'h5py', 'PIL', 'lmdb', 'rich', 'matplotlib'}"
    run(f"import sys, protonet; assert not {heavy} & set(sys.modules)")


def test_help_loads_nothing_heavy():
    heavy = {"numpy", "numba", "google.protobuf", "matplotlib", "h5py", "lmdb"}
    run(
        "import sys\n"
        "from protonet.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert not end.code\n"
        f"assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)"
    )


def test_layers_are_known_without_numba():
    run(
        "import sys; from protonet.layers import layer_types; layer_types()\n"
        "assert 'numba' not in sys.modules"
    )


def test_caffe_face(tmp_path):
    import protonet.caffe as caffe

    path = tmp_path / "n.prototxt"
    path.write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }'
        'layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" '
        'inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }'
    )
    net = caffe.Net(str(path), caffe.TEST)
    net.save(tmp_path / "w.caffemodel")
    other = caffe.Net(str(path), str(tmp_path / "w.caffemodel"), caffe.TEST)
    net.blobs["x"].data[...] = 1
    out = net.forward()
    assert out["y"].shape == (2, 4)
    assert (other.forward(x=net.blobs["x"].data)["y"] == out["y"]).all()
    assert "Convolution" in caffe.layer_type_list()
