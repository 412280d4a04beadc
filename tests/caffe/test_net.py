"""caffe.Net: pycaffe's arguments, names, return types."""

import gc
from collections import OrderedDict

import numpy as np
import pytest

import protonet.caffe as caffe
from protonet.errors import DataError, GraphError, ProtonetError, ShapeError

STAGES = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "a" type: "Power" bottom: "x" top: "a" include { stage: "s" min_level: 2 } }
layer { name: "b" type: "ReLU" bottom: "x" top: "b" include { phase: TRAIN } }
layer { name: "c" type: "TanH" bottom: "x" top: "c" }
"""
ONES = {"data": np.ones((2, 3, 6, 5))}


@pytest.fixture
def net(small):
    net = caffe.Net(small, caffe.TEST)
    net.blobs["data"].data[...] = np.random.default_rng(1).standard_normal((2, 3, 6, 5))
    return net


# --- arguments -------------------------------------------------------------------------------
def test_all_ways_to_build(small, tmp_path):
    net = caffe.Net(small, caffe.TEST)
    weights = str(tmp_path / "w.caffemodel")
    net.save(weights)
    for other in (
        caffe.Net(small, weights, caffe.TEST),
        caffe.Net(small, caffe.TEST, weights=weights),
        caffe.Net(network_file=small, phase=caffe.TEST, weights=weights),
        caffe.Net(small, caffe.TEST, 0, None, weights),
    ):
        np.testing.assert_array_equal(other.params["ip"][0].data, net.params["ip"][0].data)


def test_level_and_stages(tmp_path):
    path = tmp_path / "s.prototxt"
    path.write_text(STAGES)

    def names(*args, **options):
        return list(caffe.Net(str(path), *args, **options).outputs)

    assert names(caffe.TEST) == ["c"]
    assert names(caffe.TRAIN) == ["b", "c"]
    assert names(caffe.TEST, level=2, stages=["s"]) == ["a", "c"]
    assert names(caffe.TEST, 2, ["s"]) == ["a", "c"]
    assert names(caffe.TEST, 1, ["s"]) == ["c"]


@pytest.mark.parametrize("args", [(), ("w.caffemodel",)])
def test_a_phase_is_needed(small, args):
    with pytest.raises(TypeError, match=r"expected Net\(file, phase"):
        caffe.Net(small, *args)


def test_missing_files_are_errors(small):
    with pytest.raises(ProtonetError, match="no such file"):
        caffe.Net("gone.prototxt", caffe.TEST)
    with pytest.raises(ProtonetError, match="no such file"):
        caffe.Net(small, "gone.caffemodel", caffe.TEST)


# --- names -----------------------------------------------------------------------------------
def test_names_and_types(net):
    assert type(net.blobs) is type(net.params) is type(net.layer_dict) is OrderedDict
    assert list(net.blobs) == ["data", "conv", "ip", "prob"]
    assert list(net.params) == ["conv", "ip"]
    assert (net.inputs, net.outputs) == (["data"], ["prob"])
    assert net.top_names["relu"] == net.bottom_names["ip"] == ["conv"]
    assert net.blob_loss_weights == {"data": 0, "conv": 0, "ip": 0, "prob": 0}
    assert [layer.type for layer in net.layers] == [
        "Input",
        "Convolution",
        "ReLU",
        "InnerProduct",
        "Softmax",
    ]
    assert net.layer_dict["ip"].blobs[0].shape == (7, 48)
    assert len(net.layer_dict["relu"].blobs) == 0
    blob = net.params["conv"][0]
    assert (blob.num, blob.channels, blob.height, blob.width, blob.count) == (4, 3, 3, 3, 108)
    assert list(blob.shape) == [4, 3, 3, 3]
    assert blob.data.dtype == blob.diff.dtype == np.float32


def test_private_names_that_scripts_use(net):
    assert net._layer_names == ["data", "conv", "relu", "ip", "prob"]
    assert net._blob_names == list(net.blobs)
    assert net._blobs == list(net.blobs.values())
    assert (net._inputs, net._outputs) == ([0], [3])
    assert (net._bottom_ids(3), net._top_ids(3)) == ([1], [2])
    assert net._blob_loss_weights == [0, 0, 0, 0]
    assert net._forward(0, 4) == 0
    net._backward(4, 0)


# --- running ---------------------------------------------------------------------------------
def test_forward_returns_live_values(net):
    out = net.forward(blobs=["conv"])
    assert set(out) == {"prob", "conv"}
    np.testing.assert_allclose(out["prob"].sum(1), 1, rtol=1e-5)
    net.blobs["data"].data[...] = 0
    net.forward()
    np.testing.assert_allclose(out["prob"], 1 / 7, rtol=1e-5)


def test_parts_of_the_net(net):
    whole = net.forward()["prob"].copy()
    net.blobs["conv"].data[...] *= 2
    assert list(net.forward(start="ip", end="ip")) == ["ip"]
    assert not np.allclose(net.forward(start="prob")["prob"], whole)
    assert list(net.forward(end="relu")) == ["conv"]
    np.testing.assert_array_equal(net.forward(data=net.blobs["data"].data)["prob"], whole)


def test_backward(net):
    net.forward()
    diff = np.random.default_rng(2).standard_normal((2, 7)).astype(np.float32)
    out = net.backward(diffs=["ip"], prob=diff)
    assert set(out) == {"data", "ip"}
    y = net.blobs["prob"].data
    np.testing.assert_allclose(out["ip"], y * (diff - (diff * y).sum(1)[:, None]), atol=1e-6)
    assert np.abs(out["data"]).max() > 0
    assert list(net.backward(start="ip", end="ip")) == ["conv"]
    assert np.abs(net.params["ip"][0].diff).max() > 0
    net.clear_param_diffs()
    assert np.abs(net.params["ip"][0].diff).max() == 0


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda n: n.forward(dta=1), GraphError, "values for all input blobs, data, got dta"),
        (lambda n: n.backward(data=1), GraphError, "all output blobs, prob, got data"),
        (lambda n: n.forward(data=np.ones((3, 3, 6, 5))), ShapeError, r"a batch of \(2,\), got"),
        (lambda n: n.forward(start="cnv"), GraphError, "no layer 'cnv'; did you mean 'conv'"),
        (
            lambda n: n.set_input_arrays(1, 2),
            DataError,
            "the first, got 'data'",
        ),
    ],
)
def test_mistakes(net, call, kind, message):
    with pytest.raises(kind, match=message):
        call(net)


def test_forward_all_and_backward_all(net):
    x = np.random.default_rng(3).standard_normal((5, 3, 6, 5)).astype(np.float32)
    dy = np.random.default_rng(4).standard_normal((5, 7)).astype(np.float32)
    out = net.forward_all(blobs=["ip"], data=x)
    assert {name: v.shape for name, v in out.items()} == {"ip": (5, 7), "prob": (5, 7)}
    blobs, diffs = net.forward_backward_all(blobs=["ip"], diffs=["conv"], data=x, prob=dy)
    np.testing.assert_array_equal(blobs["ip"], out["ip"])
    assert diffs["data"].shape == x.shape
    assert diffs["conv"].shape == (5, 4, 4, 3)
    net.forward(data=x[2:4])
    np.testing.assert_allclose(net.backward(prob=dy[2:4])["data"], diffs["data"][2:4], atol=1e-6)


def test_reshape_of_a_blob_counts_at_the_next_forward(net):
    net.blobs["data"].reshape(3, 3, 6, 5)
    assert net.forward()["prob"].shape == (3, 7)
    net.blobs["data"].reshape(1, 3, 6, 5)
    net.reshape()
    assert net.blobs["prob"].shape == (1, 7)


def test_blobs_outlive_their_net(small):
    net = caffe.Net(small, caffe.TEST)
    data, weights = net.blobs["conv"].data, net.params["ip"][0].data
    net.forward(**ONES)
    want = weights.copy()
    del net
    gc.collect()
    data += 1
    np.testing.assert_array_equal(weights, want)


def test_callbacks_get_indices(net):
    seen = []
    net.before_forward(lambda i: seen.append(("bf", i)))
    net.after_forward(lambda i: seen.append(("af", i)))
    net.before_backward(lambda i: seen.append(("bb", i)))
    net.after_backward(lambda i: seen.append(("ab", i)))
    net.forward(start="ip")
    net.backward(start="ip", end="ip")
    assert seen == [("bf", 3), ("af", 3), ("bf", 4), ("af", 4), ("bb", 3), ("ab", 3)]


def test_memory_data(tmp_path):
    path = tmp_path / "m.prototxt"
    path.write_text(
        'layer { name: "m" type: "MemoryData" top: "x" top: "l" '
        "memory_data_param { batch_size: 2 channels: 1 height: 3 width: 4 } }"
    )
    net = caffe.Net(str(path), caffe.TEST)
    x = np.arange(48, dtype=np.float32).reshape(4, 1, 3, 4)
    net.set_input_arrays(x, np.array([5, 6, 7, 8], np.float32))
    net.forward()
    np.testing.assert_array_equal(net.forward()["x"], x[2:])
    assert net.blobs["l"].data.ravel().tolist() == [7, 8]


# --- weights ---------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["w.h5", "w.weights"])
def test_hdf5_by_any_name(small, tmp_path, name):
    net, other = caffe.Net(small, caffe.TEST), caffe.Net(small, caffe.TEST)
    net.save_hdf5(str(tmp_path / name))
    assert not (other.params["ip"][0].data == net.params["ip"][0].data).all()
    other.load_hdf5(str(tmp_path / name))
    assert (other.params["ip"][0].data == net.params["ip"][0].data).all()


def test_share_with(small):
    net, other = caffe.Net(small, caffe.TEST), caffe.Net(small, caffe.TEST)
    other.share_with(net)
    net.params["conv"][1].data[...] = 3
    assert (other.params["conv"][1].data == 3).all()


def test_layer_types():
    assert {"Convolution", "Python", "ReLU6"} <= set(caffe.layer_type_list())
