"""Python: layers that the user wrote."""

import sys

import numpy as np
import pytest
from harness import build, check_gradient, forward

import protonet
from protonet.errors import GraphError
from protonet.layer import TRAIN, Layer
from protonet.layers import python as python_layer


class Times(Layer):
    """Multiplies by the number in param_str, and by a parameter."""

    def setup(self, bottom, top):
        self.factor = float(self.param_str)
        self.blobs.add_blob(1)
        self.blobs[0].data[0] = 2

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom, top):
        top[0].data[...] = self.factor * self.blobs[0].data[0] * bottom[0].data

    def backward(self, top, propagate_down, bottom):
        if self.param_propagate_down[0]:
            self.blobs[0].diff[0] += self.factor * np.vdot(top[0].diff, bottom[0].data)
        if propagate_down[0]:
            bottom[0].diff[...] = self.factor * self.blobs[0].data[0] * top[0].diff


class Growing(Layer):
    """A source whose batches grow, as told in reshape."""

    def setup(self, bottom, top):
        self.count = 0

    def reshape(self, bottom, top):
        top[0].reshape(self.count + 1, 3)

    def forward(self, bottom, top):
        self.count += 1
        top[0].data[...] = self.count

    def backward(self, top, propagate_down, bottom):
        pass


class Phase(Layer):
    def setup(self, bottom, top):
        pass

    def reshape(self, bottom, top):
        top[0].reshape()

    def forward(self, bottom, top):
        top[0].data[()] = self.phase


class Faulty(Layer):
    def setup(self, bottom, top):
        if self.param_str == "setup":
            raise ValueError("two numbers wanted")

    def reshape(self, bottom, top):
        top[0].reshape(2)

    def forward(self, bottom, top):
        raise KeyError("picture 7")


class Stranger:
    pass


def text(layer, param_str="", module=__name__):
    inside = f'module: "{module}" layer: "{layer}" param_str: "{param_str}"'
    return f'type: "Python" python_param {{ {inside} }}'


def net(layers, phase=protonet.TEST):
    from protonet.schema.read import parse_net

    return protonet.Net(parse_net(layers), phase)


INPUT = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }'
TIMES = f'layer {{ name: "times" bottom: "x" top: "y" {text("Times", 5)} }}'


def test_in_a_net():
    layers = net(f"force_backward: true {INPUT} {TIMES}")
    layers.blobs["x"].data[...] = [[1, 2, 3], [4, 5, 6]]
    layers.forward()
    np.testing.assert_array_equal(layers.blobs["y"].data, 10 * layers.blobs["x"].data)
    layers.blobs["y"].diff.fill(1)
    layers.backward()
    np.testing.assert_array_equal(layers.blobs["x"].diff, np.full((2, 3), 10))
    np.testing.assert_array_equal(layers.params["times"][0].diff, [5 * 21])
    assert layers.layer_dict["times"].factor == 5
    with pytest.raises(AttributeError):
        _ = layers.layer_dict["times"].fcator


def test_gradient():
    layer, bottom, top = _built(text("Times", 3), [(2, 3)])
    check_gradient(layer, bottom, top)


def _built(prototxt, shapes):
    """Build a layer that has a look at data while it is set up."""
    from google.protobuf import text_format

    from protonet.blob import Blob
    from protonet.schema import caffe_pb2 as pb

    layer = python_layer.Python(text_format.Parse(prototxt, pb.LayerParameter()))
    bottom, top = [Blob(shape) for shape in shapes], [Blob()]
    layer.setup(bottom, top)
    layer.reshape(bottom, top)
    layer.param_propagate_down = [True] * len(layer.blobs)
    for blob in bottom:
        blob.data[...] = np.random.default_rng(3).normal(size=blob.shape)
    return layer, bottom, top


def test_shapes_may_change_with_each_pass():
    after = 'layer { name: "after" type: "Power" bottom: "data" top: "y" }'
    layers = net(f'layer {{ name: "source" top: "data" {text("Growing")} }} {after}')
    for count in (1, 2, 3):
        layers.forward()
        np.testing.assert_array_equal(layers.blobs["y"].data, np.full((count, 3), count))


@pytest.mark.parametrize("phase", [TRAIN, protonet.TEST])
def test_knows_the_phase(phase):
    layers = net(f'layer {{ name: "phase" top: "phase" {text("Phase")} }}', phase)
    layers.forward()
    assert layers.blobs["phase"].data == phase


def test_a_module_in_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "my_own_layers.py").write_text(
        "from protonet.layer import Layer\n"
        "class Nothing(Layer):\n"
        "    def setup(self, bottom, top):\n"
        "        pass\n"
        "    def reshape(self, bottom, top):\n"
        "        top[0].reshape(7)\n"
    )
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    _, _, top = build(text("Nothing", module="my_own_layers"), [], tops=1)
    assert top[0].shape == (7,)
    assert sys.path == before


@pytest.mark.parametrize(
    ("param_str", "error", "message"),
    [("setup", ValueError, "two numbers wanted"), ("", KeyError, "picture 7")],
)
def test_an_exception_names_the_layer(param_str, error, message):
    with pytest.raises(error, match=message) as raised:
        net(f'layer {{ name: "mine" top: "y" {text("Faulty", param_str)} }}').forward()
    told = [*getattr(raised.value, "__notes__", []), *raised.value.args]
    assert any(f"layer 'mine' (Python, {__name__}.Faulty)" in note for note in told)


def test_an_own_error_names_the_layer():
    layer, _, _ = build(text("Growing"), [], tops=1)
    assert "layer 'under_test' (Python): no" in str(layer.user.error("no"))


@pytest.mark.parametrize(
    ("prototxt", "message"),
    [
        (text("Tims"), rf"module {__name__} has no class Tims; did you mean 'Times'\?"),
        (text("Stranger"), r"test_python.Stranger to be a class derived from Layer"),
        (text("Times", module="no_such_module"), r"no module no_such_module in .*PYTHONPATH"),
        ('type: "Python"', r"expected python_param with module and layer"),
    ],
)
def test_refused(prototxt, message):
    with pytest.raises(GraphError, match=rf"layer 'under_test' \(Python\): .*{message}"):
        build(prototxt, [(2, 3)])


def test_a_module_that_cannot_be_imported(tmp_path, monkeypatch):
    (tmp_path / "layers_with_a_gap.py").write_text("import no_such_module")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        build(text("Times", module="layers_with_a_gap"), [(2, 3)])


def test_can_be_forbidden(monkeypatch):
    monkeypatch.setattr(python_layer, "ALLOW", False)
    with pytest.raises(GraphError, match=r"class Times of module .* is code, which is not run"):
        build(text("Times"), [(2, 3)])


def test_forward_in_a_harness():
    layer, bottom, top = build(text("Growing"), [], tops=1)
    forward(layer, bottom, top)
    assert top[0].shape == (1, 3)
