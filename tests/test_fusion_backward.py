"""BatchNorm, Scale and ReLU that go both ways as one: what each by itself gives, and no more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from protonet.check.checks import check_net
from protonet.errors import NotFiniteError
from protonet.fusion import chains
from protonet.kernels import threads
from protonet.layer import TEST, TRAIN
from protonet.net import Net
from protonet.schema.read import parse_net, parse_solver
from protonet.solvers import get_solver

SHAPES = [(3, 5, 9, 7), (4, 70, 3, 2), (6, 37), (2, 3, 41), (5, 4, 2, 3, 7)]
RUNNING = "batch_norm_param { use_global_stats: true }"
BIAS = "bias_term: true bias_filler { type: 'gaussian' std: 1 }"
SLOPE = "relu_param { negative_slope: 0.3 }"


def bn(top: str = "y", more: str = "") -> str:
    return f'layer {{ name: "bn" type: "BatchNorm" bottom: "y" top: "{top}" {more} }}\n'


def scale(blob: str = "y", more: str = BIAS, name: str = "scale", specs: str = "") -> str:
    return f"""layer {{ name: "{name}" type: "Scale" bottom: "{blob}" top: "{blob}" {specs}
      scale_param {{ filler {{ type: "gaussian" std: 2 }} {more} }} }}\n"""


def relu(blob: str = "y", more: str = "") -> str:
    return f'layer {{ name: "relu" type: "ReLU" bottom: "{blob}" top: "{blob}" {more} }}\n'


def make(
    layers: str, shape: tuple[int, ...] = (3, 5, 9, 7), head: str = "", phase: int = TRAIN
) -> Net:
    """Return a net of Power, y = 2 x, and these layers on y; gradients reach x."""
    dims = " ".join(f"dim: {n}" for n in shape)
    text = f"""
      {head or "force_backward: true"}
      layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ {dims} }} }} }}
      layer {{ name: "twice" type: "Power" bottom: "x" top: "y" power_param {{ scale: 2 }} }}
      """
    net = Net(parse_net(text + layers), phase)
    rng = np.random.default_rng(11)
    net.blobs["x"].data[...] = rng.standard_normal(shape) + 3
    for name, blobs in net.params.items():
        for i, blob in enumerate(blobs):
            values = np.random.default_rng(i).standard_normal(blob.shape)
            blob.data[...] = np.abs(values) + 1 if name == "bn" else values
    return net


def watched(net: Net) -> Net:
    """Have the layers run one by one, as for somebody who looks at each."""
    net.after_forward(lambda name: None)
    net.after_backward(lambda name: None)
    return net


def go(net: Net, passes: int = 1) -> Net:
    """Go forward and backward, from a gradient of the last blob that is always the same."""
    last = list(net.blobs)[-1]
    for _ in range(passes):
        net.forward()
        shape = net.blobs[last].shape
        net.blobs[last].diff[...] = np.random.default_rng(5).standard_normal(shape)
        net.backward()
    return net


def results(net: Net) -> dict[str, Any]:
    found = {}
    for name, blob in net.blobs.items():
        found[name], found[f"d{name}"] = blob.data.copy(), blob.diff.copy()
    for name, blobs in net.params.items():
        for i, blob in enumerate(blobs):
            found[f"{name}/{i}"] = blob.data.copy()
            if name != "bn":
                found[f"d{name}/{i}"] = blob.diff.copy()
    return found


def assert_close(one: Net, other: Net) -> None:
    mine, theirs = results(one), results(other)
    for name, values in theirs.items():
        most = np.abs(values).max()
        assert most > 0, f"{name}: all zeros prove nothing"
        np.testing.assert_allclose(mine[name], values, atol=2e-6 * most, rtol=2e-5, err_msg=name)


FOLLOWING = {
    "scale": [scale()],
    "scale without bias": [scale(more="")],
    "scale, relu": [scale(), relu()],
    "scale without bias, leaky relu": [scale(more=""), relu(more=SLOPE)],
    "relu": [relu()],
    "leaky relu": [relu(more=SLOPE)],
}


@pytest.mark.parametrize("statistics", ["", RUNNING])
@pytest.mark.parametrize("top", ["y", "n"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("following", FOLLOWING)
def test_same_as_layer_by_layer(
    following: str, shape: tuple[int, ...], top: str, statistics: str
) -> None:
    layers = bn(top, statistics) + "".join(FOLLOWING[following]).replace('"y"', f'"{top}"')
    net = make(layers, shape)
    assert len(net.chains[-1].steps) == 1 + len(FOLLOWING[following])
    # gradients of two passes add up, and two batches go into the running sums
    assert_close(go(net, 2), watched_and_gone(layers, shape, 2))


def watched_and_gone(layers: str, shape: tuple[int, ...] = (3, 5, 9, 7), passes: int = 1) -> Net:
    return go(watched(make(layers, shape)), passes)


def test_only_one_scale_goes_back_with_the_rest() -> None:
    layers = bn() + scale() + scale(name="again") + relu()
    net = go(make(layers))
    assert [step.layer.name for step in net.chains[-3].steps] == ["bn", "scale"]
    assert_close(net, watched_and_gone(layers))


@pytest.mark.parametrize("phase", [TRAIN, TEST])
def test_forward_only(phase: int) -> None:
    """Without a loss nobody wants a gradient: any number of scales is one pass with the rest."""
    found = []
    for prepare in (lambda net: net, watched):
        net = make(bn() + scale() + scale(name="again") + relu(), head=" ", phase=phase)
        prepare(net).forward()
        found.append([blob.data.copy() for blob in (net.blobs["y"], *net.params["bn"])])
        assert [len(chain.steps) for chain in net.chains] == [1, 1, 4]
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_against_the_formulas() -> None:
    net = go(make(bn() + scale() + relu()))
    x = net.blobs["x"].data.astype(float) * 2
    s, b = (blob.data.astype(float).reshape(5, 1, 1) for blob in net.params["scale"])
    axes = (0, 2, 3)
    centred = x - x.mean(axes, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axes, keepdims=True) + 1e-5)
    normal = centred / deviation
    z = normal * s + b
    np.testing.assert_allclose(net.blobs["y"].data, np.maximum(z, 0), atol=1e-5)
    dz = np.random.default_rng(5).standard_normal(z.shape) * (z > 0)
    ds, db = net.params["scale"]
    np.testing.assert_allclose(ds.diff, (dz * normal).sum(axes), rtol=1e-4)
    np.testing.assert_allclose(db.diff, dz.sum(axes), rtol=1e-4)
    g = dz * s
    means = [v.mean(axes, keepdims=True) for v in (g, g * normal)]
    dx = 2 * (g - means[0] - normal * means[1]) / deviation
    np.testing.assert_allclose(net.blobs["x"].diff, dx, atol=2e-5)


@pytest.mark.parametrize("shape", [(3, 61, 30, 31), (70, 1100), (9, 170, 7, 7)], ids=str)
def test_bits_do_not_depend_on_the_number_of_threads(shape: tuple[int, ...]) -> None:
    before, found = threads.count(), []
    try:
        for count in (1, 2, 3, 5):
            threads.set_count(count)
            found.append(results(go(make(bn() + scale() + relu(), shape))))
    finally:
        threads.set_count(before)
    for other in found[1:]:
        for name, values in found[0].items():
            np.testing.assert_array_equal(other[name], values, err_msg=name)


def test_blobs_in_between_take_no_memory() -> None:
    net = go(make(bn() + scale() + relu()), 2)
    between = net.layers.index(net.layer_dict["bn"])
    blob = net.steps[between].top[0]
    assert blob._data is None and blob._diff is None


def test_a_named_blob_in_between_is_there() -> None:
    layers = bn("n") + scale("n").replace('top: "n"', 'top: "s"') + relu("s")
    net = go(make(layers))
    assert [len(chain.steps) for chain in net.chains] == [1] * len(net.steps)
    other = watched_and_gone(layers)
    assert_close(net, other)
    x = net.blobs["y"].data.astype(float)
    axes = (0, 2, 3)
    want = (x - x.mean(axes, keepdims=True)) / x.std(axes, keepdims=True)
    np.testing.assert_allclose(net.blobs["n"].data, want, atol=1e-4)


def test_a_gradient_of_its_own_ends_a_chain() -> None:
    """Where the top of ReLU is another blob, its gradient must stay as it is."""
    layers = bn("n") + relu("n").replace('top: "n"', 'top: "z"')
    steps = make(layers).steps
    assert [len(chain.steps) for chain in chains(steps, [])] == [1] * len(steps)


def test_going_on_from_a_layer_within() -> None:
    net, other = make(bn() + scale() + relu()), watched(make(bn() + scale() + relu()))
    for one in (net, other):
        one.forward()
        sums = [blob.data.copy() for blob in one.params["bn"]]
        one.blobs["y"].data.fill(0)
        one.forward(start="scale")
        for blob, before in zip(one.params["bn"], sums, strict=True):
            np.testing.assert_array_equal(blob.data, before)  # no batch was read
    np.testing.assert_allclose(net.blobs["y"].data, other.blobs["y"].data, atol=1e-5)


@pytest.mark.parametrize("how", ["hooks", "one by one"])
def test_going_back_layer_by_layer_after_all_at_once(how: str) -> None:
    net = make(bn() + scale() + relu())
    net.forward()
    net.blobs["y"].diff[...] = np.random.default_rng(5).standard_normal((3, 5, 9, 7))
    seen: list[str] = []
    if how == "hooks":
        net.before_backward(seen.append)
        net.backward()
        assert seen == ["relu", "scale", "bn", "twice", "x"]
    else:
        for name in ("relu", "scale", "bn", "twice"):
            net.backward(start=name, end=name)
    assert_close(net, watched_and_gone(bn() + scale() + relu()))


def test_going_back_all_at_once_after_layer_by_layer() -> None:
    net = make(bn() + scale() + relu())
    for name in net.layer_dict:
        net.forward(start=name, end=name)
    net.blobs["y"].diff[...] = np.random.default_rng(5).standard_normal((3, 5, 9, 7))
    net.backward()
    assert_close(net, watched_and_gone(bn() + scale() + relu()))


def test_another_shape_goes_both_ways() -> None:
    found = []
    for net in (make(bn() + scale() + relu()), watched(make(bn() + scale() + relu()))):
        go(net)
        net.blobs["x"].reshape(4, 5, 6, 3)
        net.blobs["x"].data[...] = np.random.default_rng(1).standard_normal((4, 5, 6, 3))
        found.append(go(net))
    assert_close(*found)


def test_gradients_that_are_not_wanted_stay_as_they_are() -> None:
    learns = "param { lr_mult: %d } param { lr_mult: %d }"
    loss = 'layer { name: "l" type: "Reduction" bottom: "y" top: "l" loss_weight: 1 }\n'
    below = scale(name="below", more="")  # for a gradient to go down to
    for wanted in ((1, 0), (0, 1)):
        net = make(below + bn() + scale(specs=learns % wanted) + relu() + loss, head=" ")
        # [bn, scale, relu] even so; the loss reads what comes out
        assert [step.layer.name for step in net.chains[-2].steps] == ["bn", "scale", "relu"]
        net.forward()
        for blob in net.params["scale"]:
            blob.diff[...] = 7
        net.backward()
        left = [bool((blob.diff == 7).all()) for blob in net.params["scale"]]
        assert left == [not w for w in wanted]


def test_no_gradient_below_batch_norm() -> None:
    loss = 'layer { name: "l" type: "Reduction" bottom: "y" top: "l" loss_weight: 1 }\n'
    layers = bn() + scale() + relu() + loss
    nets = [make(layers, head=" "), watched(make(layers, head=" "))]
    for net in nets:
        net.run_forward()
        net.run_backward()
    for one, other in zip(*(net.params["scale"] for net in nets), strict=True):
        assert np.abs(other.diff).max() > 0
        np.testing.assert_allclose(one.diff, other.diff, rtol=1e-4, atol=1e-4)
    assert nets[0].blobs["x"]._diff is None


SOLVER = """
base_lr: 0.05 lr_policy: "fixed" momentum: 0.9 random_seed: 7 %s
train_net_param {
  layer { name: "d" type: "DummyData" top: "x" top: "t" dummy_data_param {
    data_filler { type: "gaussian" } data_filler { type: "constant" value: 3 }
    shape { dim: 20 dim: 2 dim: 11 dim: 8 } shape { dim: 20 } } }
  layer { name: "c1" type: "Convolution" bottom: "x" top: "y" convolution_param {
    num_output: 6 kernel_size: 3 weight_filler { type: "xavier" } } }
  layer { name: "bn1" type: "BatchNorm" bottom: "y" top: "y" }
  layer { name: "s1" type: "Scale" bottom: "y" top: "y" param { name: "s" } scale_param {
    bias_term: true } }
  layer { name: "r1" type: "ReLU" bottom: "y" top: "y" }
  layer { name: "c2" type: "Convolution" bottom: "y" top: "u" convolution_param {
    num_output: 6 kernel_size: 3 weight_filler { type: "xavier" } } }
  layer { name: "bn2" type: "BatchNorm" bottom: "u" top: "n" }
  layer { name: "s2" type: "Scale" bottom: "n" top: "n" param { name: "s" } }
  layer { name: "ip" type: "InnerProduct" bottom: "n" top: "ip" inner_product_param {
    num_output: 10 weight_filler { type: "xavier" } } }
  layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "t" top: "loss" }
}
"""


@pytest.mark.parametrize("more", ["", "iter_size: 2"])
def test_training_is_the_same(more: str) -> None:
    made = []
    for prepare in (lambda net: net, watched):
        made.append(get_solver(parse_solver(SOLVER % more)))
        prepare(made[-1].net)
        made[-1].step(3)
    assert made[0].losses[-1] == pytest.approx(made[1].losses[-1], rel=1e-4)
    for name, blobs in made[0].net.params.items():
        for one, other in zip(blobs, made[1].net.params[name], strict=True):
            np.testing.assert_allclose(one.data, other.data, rtol=1e-4, atol=1e-5, err_msg=name)


def test_what_is_not_finite_is_found_where_it_began() -> None:
    solver = get_solver(parse_solver(SOLVER % "snapshot_after_train: false"))
    solver.net.params["c1"][1].data.fill(1e37)  # their sum is too large
    with pytest.raises(NotFiniteError, match=r"first in .*layer 'bn1' \(BatchNorm\)"):
        solver.step(1)


def test_checks_of_gradients_see_what_layers_read() -> None:
    text = SOLVER.partition("train_net_param {")[2].rpartition("}")[0]
    net = Net(parse_net(text), TRAIN)
    net.forward()
    scaled = next(step for step in net.steps if step.layer.name == "s1").bottom
    net.write_left_out(scaled)
    assert scaled[0].data.std(axis=(0, 2, 3)) == pytest.approx(np.ones(6), rel=1e-2)
    assert not [f for f in check_net(parse_net(text)) if f.level == "error"]
