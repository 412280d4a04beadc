"""Net: pycaffe's surface over a plan that runs."""

import numpy as np
import pytest

import protonet
from protonet.errors import GraphError, ShapeError
from protonet.schema.read import parse_net

TEXT = """
name: "small"
force_backward: true
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "t" type: "Input" top: "t" input_param { shape { dim: 2 dim: 4 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "h"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "act" type: "ReLU" bottom: "h" top: "h" }
layer { name: "loss" type: "EuclideanLoss" bottom: "h" bottom: "t" top: "loss" loss_weight: 3 }
"""


@pytest.fixture
def net():
    protonet.set_random_seed(7)
    net = protonet.Net(parse_net(TEXT, "small.prototxt"), protonet.TRAIN)
    rng = np.random.default_rng(7)
    net.blobs["x"].data[...] = rng.standard_normal((2, 3))
    net.blobs["t"].data[...] = rng.standard_normal((2, 4))
    return net


def test_names(net):
    assert list(net.blobs) == ["x", "t", "h", "loss"]
    assert list(net.params) == ["ip"]
    assert [b.shape for b in net.params["ip"]] == [(4, 3), (4,)]
    assert (net.inputs, net.outputs) == (["x", "t"], ["loss"])
    assert net.top_names["act"] == ["h"]
    assert net.bottom_names["loss"] == ["h", "t"]
    assert net.blob_loss_weights["loss"] == 3
    assert net.layer_dict["act"].type == "ReLU"


def test_forward_and_backward_by_hand(net):
    w, b = (p.data for p in net.params["ip"])
    x, t = net.blobs["x"].data.copy(), net.blobs["t"].data.copy()
    h = np.maximum(x @ w.T + b, 0)
    out = net.forward()
    assert list(out) == ["loss"]
    np.testing.assert_allclose(out["loss"], ((h - t) ** 2).sum() / 4, rtol=1e-5)
    np.testing.assert_allclose(net.blobs["h"].data, h, rtol=1e-5)
    assert net.run_forward() == pytest.approx(3 * float(out["loss"]), rel=1e-6)
    diffs = net.backward()
    dh = 3 * (h - t) / 2 * (h > 0)
    np.testing.assert_allclose(diffs["x"], dh @ w, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(net.params["ip"][0].diff, dh.T @ x, rtol=1e-4, atol=1e-6)


def test_parameter_gradients_add_up_until_cleared(net):
    net.forward()
    net.backward()
    once = net.params["ip"][0].diff.copy()
    net.backward()
    np.testing.assert_allclose(net.params["ip"][0].diff, 2 * once, rtol=1e-6)
    net.clear_param_diffs()
    assert not net.params["ip"][0].diff.any()


def test_values_written_by_the_user_count(net):
    net.params["ip"][0].data[...] = 0
    net.params["ip"][1].data[...] = [1, -2, 3, -4]
    net.forward()
    np.testing.assert_array_equal(net.blobs["h"].data, [[1, 0, 3, 0]] * 2)


def test_part_of_the_net(net):
    net.forward()
    net.blobs["h"].data[...] = net.blobs["t"].data
    assert net.forward(start="loss")["loss"] == 0
    assert list(net.forward(end="ip", blobs=["x"])) == ["h", "x"]
    assert list(net.backward(end="act")) == ["h"]


def test_inputs_and_diffs_by_keyword(net):
    net.forward(x=np.zeros((2, 3)))
    assert not net.blobs["x"].data.any()
    net.backward(diffs=["h"], loss=np.float32(0))
    assert not net.blobs["h"].diff.any()


def test_hooks(net):
    seen = []
    net.before_forward(lambda name: seen.append(("before", name)))
    net.after_forward(lambda name: seen.append(("after", name)))
    net.before_backward(lambda name: seen.append(("back", name)))
    net.forward(start="act", end="act")
    net.backward(start="loss", end="loss")
    assert seen == [("before", "act"), ("after", "act"), ("back", "loss")]


def test_numbers_that_overflow_give_no_warnings():
    tile = """
    force_backward: true
    layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 1 } } }
    layer { name: "y" type: "Tile" bottom: "x" top: "y" tile_param { tiles: 2 } }
    """
    net = protonet.Net(parse_net(tile, "tile.prototxt"), protonet.TRAIN)
    net.forward()
    net.blobs["y"].diff[...] = [[np.inf, -np.inf], [1, 2]]
    net.backward()  # warnings are errors in tests
    assert np.isnan(net.blobs["x"].diff[0])
    assert net.blobs["x"].diff[1] == 3
    with pytest.warns(RuntimeWarning, match="invalid value"):
        np.add(np.float32(np.inf), np.float32(-np.inf))  # the user's own, after a pass


def test_another_batch_size(net):
    for name, axis in (("x", 3), ("t", 4)):
        net.blobs[name].reshape(5, axis)
    net.reshape()
    assert net.blobs["h"].shape == (5, 4)
    net.forward()
    net.backward()
    assert net.blobs["x"].diff.shape == (5, 3)


def test_forward_notices_a_new_shape_by_itself(net):
    net.forward()
    for name, axis in (("x", 3), ("t", 4)):
        net.blobs[name].reshape(3, axis)
        net.blobs[name].data[...] = 1
    net.forward()
    assert net.blobs["h"].shape == (3, 4)


def test_sharing_parameters_with_another_net(net):
    other = protonet.Net(parse_net(TEXT), protonet.TEST, share_with=net)
    net.params["ip"][0].data[...] = 5
    np.testing.assert_array_equal(other.params["ip"][0].data, 5)


def test_same_seed_same_weights():
    nets = []
    for seed in (3, 3, 4):
        protonet.set_random_seed(seed)
        nets.append(protonet.Net(parse_net(TEXT), protonet.TRAIN))
    first, same, other = (n.params["ip"][0].data for n in nets)
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


def test_errors(net):
    with pytest.raises(GraphError, match=r"net 'small' has no layer 'acd'; did you mean 'act'\?"):
        net.forward(start="acd")
    with pytest.raises(GraphError, match=r"net 'small' has no blob 'g'"):
        net.forward(blobs=["g"])
    with pytest.raises(GraphError, match=r"no input blob 'h'; its inputs: x, t"):
        net.forward(h=np.zeros((2, 4)))
    with pytest.raises(
        ShapeError, match=r"blob 'x': expected values of shape \(2, 3\), got \(3, 2\)"
    ):
        net.forward(x=np.zeros((3, 2)))


def test_unknown_filler_names_the_layer():
    with pytest.raises(GraphError, match=r"s.prototxt:6: layer 'ip' \(InnerProduct\): .*'xaviar'"):
        protonet.Net(parse_net(TEXT.replace("xavier", "xaviar"), "s.prototxt"))
