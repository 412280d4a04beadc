"""Nets that keep few blobs: the same outputs, in less memory; what is not kept is not to be had."""

from __future__ import annotations

import numpy as np
import pytest
from places import MODELS

import protonet
from protonet.errors import GraphError
from protonet.kernels import cpu
from protonet.net import Net
from protonet.schema.read import NetSource, parse_net, read_net
from protonet.storage import forward_bytes

ALEX = """
name: "small"
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 3 dim: 4 dim: 9 dim: 7 } } }
layer { name: "a" type: "Convolution" bottom: "x" top: "a"
  convolution_param { num_output: 6 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "b" type: "TanH" bottom: "a" top: "b" }
layer { name: "c" type: "Power" bottom: "b" top: "c" power_param { scale: 2 } }
layer { name: "flat" type: "Flatten" bottom: "c" top: "flat" }
layer { name: "d" type: "Power" bottom: "flat" top: "d" power_param { shift: 1 } }
layer { name: "e" type: "Power" bottom: "d" top: "e" power_param { power: 2 } }
"""


def _pair(source: NetSource, keep: tuple[str, ...] = ()) -> tuple[Net, Net]:
    """Return a net that keeps all blobs and one that keeps few, with the same weights."""
    nets = []
    for kept in (None, keep):
        protonet.set_random_seed(5)
        net = Net(source, protonet.TEST, keep=kept)
        rng = np.random.default_rng(5)
        for layer in net.layers:
            for blob in layer.blobs:
                blob.data[...] = rng.standard_normal(blob.shape) * 0.1 + (layer.type == "BatchNorm")
        for name in net.inputs:
            net.blobs[name].data[...] = rng.standard_normal(net.blobs[name].shape)
        nets.append(net)
    return nets[0], nets[1]


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("cifar10_full/deploy", 0.8),
        ("googlenet/deploy", 0.3),
        ("mnist_siamese/deploy", 0.8),
        ("mobilenet_v1/deploy", 0.3),
        ("resnet50/deploy", 0.3),
        ("squeezenet_v1.1/deploy", 0.4),
    ],
)
def test_same_outputs(name: str, share: float) -> None:
    message = read_net(MODELS / f"{name}.prototxt").message
    for layer in message.layer:
        for shape in layer.input_param.shape:
            if len(shape.dim) == 4 and shape.dim[2] > 200:
                shape.dim[2:4] = (97, 65)
    if name == "googlenet/deploy":
        next(p for p in message.layer if p.name == "pool5/7x7_s1").pooling_param.global_pooling = 1
        pool = next(p for p in message.layer if p.name == "pool5/7x7_s1").pooling_param
        pool.ClearField("kernel_size")
        pool.ClearField("stride")
    plain, lean = _pair(NetSource.of(message))
    expected = {name: values.copy() for name, values in plain.forward().items()}
    for _ in range(2):
        for name, values in lean.forward().items():
            np.testing.assert_allclose(values, expected[name], rtol=1e-5, atol=1e-6)
    assert lean._storage is not None
    whole = sum({id(b): b.count for step in plain.steps for b in step.top}.values())
    assert lean._storage.count < share * whole
    parameters = sum(param.blob.count for param in lean.learnable)
    assert forward_bytes(plain.plan) == 4 * (lean._storage.count + parameters)


def test_blobs_lie_in_the_same_memory_by_turns() -> None:
    plain, lean = _pair(parse_net(ALEX))
    plain.forward()
    lean.forward()
    np.testing.assert_array_equal(lean.blobs["e"].data, plain.blobs["e"].data)
    steps = {step.node.name: step.top[0] for step in lean.steps}
    assert np.shares_memory(steps["a"].data, steps["flat"].data)
    assert not np.shares_memory(steps["a"].data, steps["b"].data)
    assert not np.shares_memory(steps["d"].data, steps["e"].data)
    size = 6 * 7 * 5 * 3 // 16 * 16 + 16  # rounded up to whole cache lines
    assert lean._storage is not None
    assert lean._storage.sizes == [size, size]


def test_blobs_asked_for_are_kept() -> None:
    plain, lean = _pair(parse_net(ALEX), keep=("flat", "a"))
    for net in (plain, lean):
        net.forward()
    assert list(lean.blobs) == ["x", "a", "flat", "e"]
    for name in lean.blobs:
        np.testing.assert_array_equal(lean.blobs[name].data, plain.blobs[name].data)


def test_another_shape() -> None:
    plain, lean = _pair(parse_net(ALEX))
    lean.forward()
    for net in (plain, lean):
        net.blobs["x"].reshape(5, 4, 11, 8)
        net.blobs["x"].data[...] = np.random.default_rng(1).standard_normal((5, 4, 11, 8))
        net.forward()
    assert lean.blobs["e"].shape == (5, 6 * 9 * 6)
    np.testing.assert_array_equal(lean.blobs["e"].data, plain.blobs["e"].data)


def test_what_is_not_kept_is_not_to_be_had() -> None:
    net = _pair(parse_net(ALEX))[1]
    with pytest.raises(GraphError, match="net 'small' does not keep blob 'c'"):
        net.forward(blobs=["c"])
    with pytest.raises(GraphError, match="net 'small' has no blob 'z'"):
        Net(parse_net(ALEX), keep=("z",))
    with pytest.raises(GraphError, match="it runs as a whole"):
        net.forward(start="c")
    with pytest.raises(GraphError, match="it only runs forward"):
        net.backward()


CONCAT = """
name: "gathered"
layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: {0} dim: 3 dim: 9 dim: 7 }} }} }}
layer {{ name: "a" type: "Convolution" bottom: "x" top: "a"
  convolution_param {{ num_output: 6 kernel_size: 3 pad: 1 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "ra" type: "ReLU" bottom: "a" top: "a" }}
layer {{ name: "b" type: "Convolution" bottom: "x" top: "b"
  convolution_param {{ num_output: 20 kernel_size: 1 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "c" type: "TanH" bottom: "x" top: "c" }}
layer {{ name: "rc" type: "ReLU" bottom: "c" top: "c" }}
layer {{ name: "d" type: "Convolution" bottom: "x" top: "d"
  convolution_param {{ num_output: 3 group: 3 kernel_size: 3 pad: 1 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "all" type: "Concat" bottom: "a" bottom: "b" bottom: "c" bottom: "d" bottom: "x" top: "all" }}
layer {{ name: "r" type: "ReLU" bottom: "all" top: "all" }}
layer {{ name: "e" type: "Convolution" bottom: "all" top: "e"
  convolution_param {{ num_output: 5 kernel_size: 1 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "f" type: "Power" bottom: "all" top: "f" power_param {{ scale: 2 }} }}
layer {{ name: "more" type: "Concat" bottom: "all" bottom: "e" bottom: "f" top: "more" }}
layer {{ name: "y" type: "Power" bottom: "more" top: "y" power_param {{ scale: 3 }} }}
"""  # noqa: E501


def _outputs(nets: tuple[Net, Net]) -> list[np.ndarray]:
    return [net.forward()["y"].copy() for net in nets]


@pytest.mark.parametrize("batch", [1, 2, 17])
def test_what_is_concatenated_is_written_where_it_belongs(batch: int) -> None:
    nets = plain, lean = _pair(parse_net(CONCAT.format(batch)))
    np.testing.assert_array_equal(*_outputs(nets))
    blobs = {step.node.name: step.top[0] for step in lean.steps}
    assert lean._storage is not None
    there = {part.blob for part in lean._storage.parts}
    # a depthwise convolution and a TanH write images one behind the other
    names = "abcdef" if batch == 1 else "abe"
    # the first Concat's top is read by others, too; a part is in one top only
    assert there == {blobs[name] for name in names}
    for name in "ab":
        assert np.shares_memory(blobs[name].data, blobs["all"].data)
    plain.blobs["x"].reshape(3, 3, 11, 8)
    lean.blobs["x"].reshape(3, 3, 11, 8)
    np.testing.assert_array_equal(*_outputs(nets))


def test_parts_are_seen_by_who_watches() -> None:
    """Layers run one by one then: a ReLU in place must find its blob in one piece."""
    nets = _, lean = _pair(parse_net(CONCAT.format(3)))
    expected = _outputs(nets)[0]
    seen = []
    for _ in range(2):
        lean.after_forward(lambda name: seen.append(name))
        np.testing.assert_array_equal(lean.forward()["y"], expected)
    assert "ra" in seen


def test_a_blob_that_is_kept_is_no_part() -> None:
    nets = plain, lean = _pair(parse_net(CONCAT.format(3)), keep=("b", "all"))
    np.testing.assert_array_equal(*_outputs(nets))
    for name in ("b", "all"):
        np.testing.assert_array_equal(lean.blobs[name].data, plain.blobs[name].data)
    assert not np.shares_memory(lean.blobs["b"].data, lean.blobs["all"].data)


POOL = """
name: "pooled"
layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: {0} dim: 3 dim: 12 dim: 8 }} }} }}
layer {{ name: "a" type: "Convolution" bottom: "x" top: "a"
  convolution_param {{ num_output: 6 kernel_size: 3 pad: 1 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "r" type: "ReLU" bottom: "a" top: "a" }}
layer {{ name: "p" type: "Pooling" bottom: "a" top: "p"
  pooling_param {{ kernel_size: 2 stride: 2 }} }}
layer {{ name: "y" type: "Power" bottom: "p" top: "y" power_param {{ scale: 2 }} }}
"""  # noqa: E501


@pytest.mark.parametrize("batch", [1, 16, 20])
def test_what_is_pooled_at_once_takes_no_memory(batch: int) -> None:
    nets = plain, lean = _pair(parse_net(POOL.format(batch)))
    for _ in range(2):
        np.testing.assert_array_equal(*_outputs(nets))
    assert lean._storage is not None
    blob = lean.steps[1].top[0]
    at_once = any(chain.pools for chain in lean.chains)
    assert at_once == (batch >= 16) or cpu.lanes() != 16
    assert at_once != any(blob is other for other, _ in lean._storage.places)
    parameters = sum(param.blob.count for param in lean.learnable)
    assert forward_bytes(plain.plan) == 4 * (lean._storage.count + parameters)
    kept = _pair(parse_net(POOL.format(batch)), keep=("a",))
    np.testing.assert_array_equal(*_outputs(kept))
    np.testing.assert_array_equal(kept[1].blobs["a"].data, kept[0].blobs["a"].data)
