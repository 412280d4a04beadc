"""Layers that run as one: the same values, none for blobs that nobody can read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from protonet.net import Net
from protonet.schema.read import parse_net

HEAD = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 3 dim: 4 dim: 9 dim: 7 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "y"
  convolution_param { num_output: %d kernel_size: 3 group: %d pad: 1
    weight_filler { type: "gaussian" std: 0.5 } bias_filler { type: "gaussian" std: 1 } } }
"""
BATCH_NORM = 'layer { name: "bn" type: "BatchNorm" bottom: "y" top: "y" }\n'
SCALE = """layer { name: "scale" type: "Scale" bottom: "y" top: "y" scale_param { bias_term: true
  filler { type: "gaussian" std: 1 } bias_filler { type: "gaussian" std: 1 } } }
"""
RELU = 'layer { name: "relu" type: "ReLU" bottom: "y" top: "y" relu_param { negative_slope: 0.1 } }'


def _net(text: str, phase: int = 1) -> Net:
    net = Net(parse_net(text), phase)
    rng = np.random.default_rng(3)
    net.blobs["x"].data[...] = rng.standard_normal(net.blobs["x"].shape)
    if "bn" in net.params:
        mean, variance, weight = net.params["bn"]
        mean.data[...] = rng.standard_normal(mean.shape)
        variance.data[...] = rng.random(variance.shape) + 0.5
        weight.data[...] = 1.5
    return net


def _layer_by_layer(net: Net) -> dict[str, Any]:
    """Run the layers with a hook between them, as somebody who watches would."""
    net.after_forward(lambda name: None)
    net.forward()
    return {name: blob.data.copy() for name, blob in net.blobs.items()}


@pytest.mark.parametrize("num_output, group", [(10, 1), (6, 2), (4, 4), (20, 4)])
@pytest.mark.parametrize(
    "after", [RELU, BATCH_NORM, BATCH_NORM + SCALE, BATCH_NORM + SCALE + RELU, SCALE + RELU]
)
def test_same_values_as_layer_by_layer(num_output: int, group: int, after: str) -> None:
    net = _net(HEAD % (num_output, group) + after)
    net.forward()
    assert len(net.chains) == 2
    fused = net.blobs["y"].data.copy()
    expected = _layer_by_layer(net)["y"]
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(fused, expected, rtol=1e-5, atol=1e-5)
    if after == RELU:
        np.testing.assert_array_equal(fused, expected)


def test_many_images_take_the_layout_by_image() -> None:
    net = _net((HEAD % (10, 1)).replace("dim: 3 dim: 4", "dim: 35 dim: 1") + BATCH_NORM + RELU)
    net.forward()
    fused = net.blobs["y"].data.copy()
    np.testing.assert_allclose(fused, _layer_by_layer(net)["y"], rtol=1e-5, atol=1e-5)


def test_blobs_that_nobody_can_read_take_no_memory() -> None:
    net = _net(HEAD % (10, 1) + BATCH_NORM + SCALE + RELU)
    net.forward()
    hidden = [step.top[0] for step in net.steps[1:3]]
    assert all(blob._data is None for blob in hidden)


def test_a_named_blob_in_between_is_there() -> None:
    text = HEAD % (10, 1) + BATCH_NORM.replace('top: "y"', 'top: "z"')
    net = _net(text)
    net.forward()
    before = {name: blob.data.copy() for name, blob in net.blobs.items()}
    assert np.abs(before["y"]).max() > 1
    for name, values in _layer_by_layer(net).items():
        np.testing.assert_array_equal(before[name], values)


def test_a_blob_with_a_second_reader_is_there() -> None:
    # both layers read the first y: no Split stands between, as the second reads a later one
    power = 'layer { name: "p" type: "Power" bottom: "y" top: "p" power_param { scale: 2 } }\n'
    net = _net(HEAD % (10, 1) + power + BATCH_NORM)
    net.forward()
    fused = {name: blob.data.copy() for name, blob in net.blobs.items()}
    for name, values in _layer_by_layer(net).items():
        np.testing.assert_allclose(fused[name], values, rtol=1e-5, atol=1e-5)


def test_going_on_from_a_layer_within() -> None:
    net = _net(HEAD % (10, 1) + BATCH_NORM + SCALE + RELU)
    net.forward()
    whole = net.blobs["y"].data.copy()
    net.blobs["y"].data.fill(0)
    net.forward(start="scale")
    np.testing.assert_allclose(net.blobs["y"].data, whole, rtol=1e-5, atol=1e-5)


def test_a_new_shape_goes_through_all() -> None:
    net = _net(HEAD % (10, 1) + BATCH_NORM + SCALE + RELU)
    net.forward()
    net.blobs["x"].reshape(2, 4, 5, 11)
    net.blobs["x"].data[...] = np.random.default_rng(0).standard_normal((2, 4, 5, 11))
    net.forward()
    fused = net.blobs["y"].data.copy()
    assert fused.shape == (2, 10, 5, 11)
    np.testing.assert_allclose(fused, _layer_by_layer(net)["y"], rtol=1e-5, atol=1e-5)


def test_what_gradients_need_is_kept() -> None:
    text = "force_backward: true\n" + HEAD % (10, 1) + BATCH_NORM + SCALE + RELU
    gradients = []
    for watched in (False, True):
        net = _net(text)
        for name, theirs in net.params.items():
            for i, blob in enumerate(theirs):
                if name != "bn":
                    rng = np.random.default_rng(i)
                    blob.data[...] = rng.standard_normal(blob.shape)
        if watched:
            net.after_forward(lambda name: None)
        net.forward()
        net.blobs["y"].diff[...] = np.random.default_rng(9).standard_normal(net.blobs["y"].shape)
        net.backward()
        gradients.append(net.blobs["x"].diff.copy())
    assert np.abs(gradients[0]).max() > 0.1
    np.testing.assert_array_equal(*gradients)


def test_statistics_of_the_batch_are_not_fused() -> None:
    net = _net(HEAD % (10, 1) + BATCH_NORM, phase=0)
    assert [len(chain.steps) for chain in net.chains] == [1, 1, 1]


def test_a_rectified_sum_is_not_multiplied() -> None:
    net = _net(HEAD % (10, 1) + RELU + SCALE)
    net.forward()
    fused = net.blobs["y"].data.copy()
    np.testing.assert_allclose(fused, _layer_by_layer(net)["y"], rtol=1e-5, atol=1e-5)


def test_a_scale_along_another_axis_is_not_fused() -> None:
    scale = SCALE.replace("bias_term: true", "bias_term: true axis: 2 num_axes: 2")
    net = _net(HEAD % (10, 1) + scale)
    net.forward()
    fused = net.blobs["y"].data.copy()
    np.testing.assert_allclose(fused, _layer_by_layer(net)["y"], rtol=1e-5, atol=1e-5)


def test_layers_without_tops_end_a_chain() -> None:
    silence = 'layer { name: "s" type: "Silence" bottom: "x" }\n'
    net = _net(HEAD % (10, 1) + silence + RELU)
    assert [len(chain.steps) for chain in net.chains] == [1, 1, 1, 1, 1]  # with a Split of x
