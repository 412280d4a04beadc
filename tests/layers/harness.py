"""What the tests of single layers share: building one, its gradients, its reference cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from places import REFERENCE
from recordings import cases, inside, load, part

import protonet
from protonet import fillers
from protonet.blob import Array, Blob, Shape
from protonet.layer import TEST, TRAIN, Layer
from protonet.layers import layer_types
from protonet.random import set_random_seed
from protonet.schema import caffe_pb2 as pb

SEED = 1701


@dataclass
class Case:
    """A layer as prototxt text, the shapes it is given, and the shapes it must come to."""

    id: str
    prototxt: str
    bottoms: Sequence[Shape]
    tops: Sequence[Shape]
    params: Sequence[Shape] = field(default=())
    phase: int = TEST

    def __str__(self) -> str:
        return self.id

    def build(self, values: Sequence[Any] | None = None) -> tuple[Layer, list[Blob], list[Blob]]:
        """Build the layer, and check the shapes of its tops and parameters."""
        built = build(self.prototxt, self.bottoms, self.phase, tops=len(self.tops), values=values)
        assert [b.shape for b in built[2]] == list(self.tops)
        assert [b.shape for b in built[0].blobs] == list(self.params)
        return built


def build(
    prototxt: str,
    bottoms: Sequence[Shape],
    phase: int = TEST,
    seed: int = SEED,
    *,
    tops: int | None = None,
    values: Sequence[Any] | None = None,
) -> tuple[Layer, list[Blob], list[Blob]]:
    """Make a layer of its own, ready for ``forward``; it is called 'under_test'.

    Args:
        prototxt: the inside of a ``layer { }``.
        bottoms: their shapes. The values are normal, mean 0, variance 1.
        phase: TRAIN or TEST.
        seed: of the values, of the weights, and of what the layer draws itself.
        tops: how many; otherwise the least that the type takes.
        values: of the bottoms, in place of random ones; None leaves a bottom random.

    Returns:
        (layer, bottom blobs, top blobs). Parameters are filled as their fillers say: give a
        filler in ``prototxt`` where zeros would test nothing.
    """
    param = text_format.Parse(prototxt, pb.LayerParameter())
    param.name = param.name or "under_test"
    set_random_seed(seed)
    rng = np.random.default_rng(seed)
    layer = layer_types()[param.type](param, phase)
    bottom = [Blob(shape) for shape in bottoms]
    least = layer.tops if isinstance(layer.tops, int) else layer.tops[0]
    top = [Blob() for _ in range(least if tops is None else tops)]
    layer.setup(bottom, top)
    layer.param_propagate_down = [True] * len(layer.blobs)
    layer.reshape(bottom, top)
    assert all(b._data is None and b._diff is None for b in [*bottom, *top]), (
        "setup and reshape must not touch data: shapes are worked out without memory"
    )
    for blob, filler in zip(layer.blobs, layer.fillers, strict=True):
        fillers.fill(blob.data, filler, rng)
    for i, blob in enumerate(bottom):
        given = values[i] if values is not None and i < len(values) else None
        blob.data[...] = rng.standard_normal(blob.shape) if given is None else given
    return layer, bottom, top


def labels(shape: Shape, classes: int, seed: int = SEED) -> Array:
    """Return labels 0 .. classes - 1 of this shape, float32 as in a blob."""
    return np.random.default_rng(seed).integers(0, classes, shape).astype(np.float32)


def forward(layer: Layer, bottom: list[Blob], top: list[Blob], seed: int = SEED) -> None:
    """Run ``forward`` with the generator restarted, so that dropout draws the same each time."""
    set_random_seed(seed)
    layer.forward(bottom, top)


def check_gradient(
    layer: Layer,
    bottom: list[Blob],
    top: list[Blob],
    *,
    bottoms: Sequence[int] | None = None,
    params: bool = True,
    step: float = 1e-2,
    threshold: float = 2e-3,
    samples: int = 60,
    most_kinks: float = 0.3,
) -> None:
    """Compare ``backward`` with central differences, in the manner of Caffe's checker.

    The objective is a random weighting of all values of all tops; of a loss, its first top times
    a loss weight. Values where the function has a kink within reach of the step (differences
    with the whole and with half the step disagree) are skipped.

    Also checked: gradients of parameters are added to what is there, those of bottoms overwrite
    it, and neither is touched where it is not asked for.

    Args:
        bottoms: indices to check; otherwise all that a gradient can flow into.
        params: whether to check the parameters too.
        threshold: relative to max(|computed|, |estimated|, 1).
        samples: how many values of each blob to try; all of a smaller one.
        most_kinks: the share of values that may be skipped.
    """
    rng = np.random.default_rng(SEED)
    if bottoms is None:
        bottoms = [i for i in range(len(bottom)) if i not in layer.not_differentiable]
    asked = [i in bottoms for i in range(len(bottom))]
    forward(layer, bottom, top)
    weights = [_top_gradient(layer, i, b, rng) for i, b in enumerate(top)]

    def objective() -> float:
        forward(layer, bottom, top)
        return float(
            sum(np.vdot(w, b.data.astype(np.float64)) for w, b in zip(weights, top, strict=True))
        )

    checked = [*(bottom[i] for i in bottoms), *(layer.blobs if params else ())]
    before = _backward(layer, bottom, top, weights, asked, rng)
    got = [b.diff - (0 if i < len(bottoms) else before[id(b)]) for i, b in enumerate(checked)]
    kinks = tried = 0
    for blob, gradient in zip(checked, got, strict=True):
        assert np.isfinite(gradient).all(), "a bottom diff was not overwritten"
        data, flat = blob.data.reshape(-1), gradient.reshape(-1)
        for j in _some(blob.count, samples, rng):
            tried += 1
            whole = _difference(objective, data, j, step)
            half = _difference(objective, data, j, step / 2)
            scale = max(abs(flat[j]), abs(half), 1.0)
            if abs(whole - half) > threshold * scale:
                kinks += 1
                continue
            assert abs((4 * half - whole) / 3 - flat[j]) <= threshold * scale, (
                f"value {j} of {blob}: computed {flat[j]}, estimated {half}"
            )
    assert kinks <= most_kinks * tried, f"{kinks} of {tried} values lie at kinks"
    _check_untouched(layer, bottom, top, weights)


def check_in_place(prototxt: str, shape: Shape, phase: int = TEST) -> None:
    """Check that a layer whose top is its bottom computes what it does with storage of its own."""
    layer, bottom, top = build(prototxt, [shape], phase)
    assert layer.in_place
    forward(layer, bottom, top)
    rng = np.random.default_rng(SEED)
    gradient = rng.standard_normal(shape).astype(np.float32)
    top[0].diff[...] = gradient
    layer.backward(top, [True], bottom)

    same, blob, _ = build(prototxt, [shape], phase)
    same.reshape(blob, blob)
    forward(same, blob, blob)
    close = {"rtol": 1e-5, "atol": 1e-6}  # other alignment, other vector code
    np.testing.assert_allclose(blob[0].data, top[0].data, **close)
    blob[0].diff[...] = gradient
    same.backward(blob, [True], blob)
    np.testing.assert_allclose(blob[0].diff, bottom[0].diff, **close)
    for one, other in zip(same.blobs, layer.blobs, strict=True):
        np.testing.assert_allclose(one.diff, other.diff, **close)


def _top_gradient(layer: Layer, index: int, blob: Blob, rng: np.random.Generator) -> Any:
    if layer.is_loss and index > 0:
        return np.zeros(blob.shape)
    return rng.standard_normal(blob.shape).astype(np.float32).astype(np.float64)


def _backward(
    layer: Layer,
    bottom: list[Blob],
    top: list[Blob],
    weights: list[Any],
    asked: list[bool],
    rng: np.random.Generator,
) -> dict[int, Array]:
    """Run backward over rubbish in the diffs; return what stood in those of the parameters."""
    for b, w in zip(top, weights, strict=True):
        b.diff[...] = w
    before = {}
    for b in layer.blobs:
        b.diff[...] = rng.standard_normal(b.shape)
        before[id(b)] = b.diff.copy()
    for b in bottom:
        b.diff[...] = np.nan
    layer.backward(top, asked, bottom)
    return before


def _check_untouched(layer: Layer, bottom: list[Blob], top: list[Blob], weights: list[Any]) -> None:
    forward(layer, bottom, top)
    for b, w in zip(top, weights, strict=True):
        b.diff[...] = w
    for b in [*bottom, *layer.blobs]:
        b.diff[...] = 7
    layer.param_propagate_down = [False] * len(layer.blobs)
    layer.backward(top, [False] * len(bottom), bottom)
    layer.param_propagate_down = [True] * len(layer.blobs)
    for b in [*bottom, *layer.blobs]:
        assert (b.diff == 7).all(), f"the gradient of {b} was written without being asked for"


def _difference(objective: Callable[[], float], data: Array, j: int, step: float) -> float:
    old = data[j]
    data[j] = old + np.float32(step)
    above, high = float(data[j]), objective()
    data[j] = old - np.float32(step)
    below, low = float(data[j]), objective()
    data[j] = old
    return (high - low) / (above - below)


def _some(count: int, most: int, rng: np.random.Generator) -> Any:
    return range(count) if count <= most else rng.choice(count, most, replace=False)


def reference_cases(*types: str) -> list[Any]:
    """Return the recorded nets that hold a layer of one of these types, to parametrize a test."""
    return [
        pytest.param(case, id=case["name"])
        for case in cases("layer")
        if set(types) & set(case["layer_types"])
    ]


def run_reference(case: dict[str, Any]) -> None:
    """Run a recorded net forward and backward and compare every array that was recorded."""
    arrays = load(REFERENCE / case["arrays"])
    with inside(REFERENCE):
        net = protonet.Net(case["net"], TRAIN if case["phase"] == "TRAIN" else TEST)
    for blob, values in part(arrays, "bottom/").items():
        net.blobs[blob].data[...] = values
    for name, values in part(arrays, "param/").items():
        layer, i = name.rsplit("/", 1)
        net.params[layer][int(i)].data[...] = values
    for _ in range(case.get("forwards", 1)):
        net.forward()
    for blob, values in part(arrays, "top/").items():
        _compare(case, f"top/{blob}", net.blobs[blob].data, values)
    for name, values in part(arrays, "param_after/").items():
        layer, i = name.rsplit("/", 1)
        _compare(case, f"param_after/{name}", net.params[layer][int(i)].data, values)
    if not case.get("backward", True):
        return
    for blob, values in part(arrays, "top_diff/").items():
        net.blobs[blob].diff[...] = values
    net.backward()
    for blob, values in part(arrays, "bottom_diff/").items():
        _compare(case, f"bottom_diff/{blob}", net.blobs[blob].diff, values)
    for name, values in part(arrays, "param_diff/").items():
        layer, i = name.rsplit("/", 1)
        _compare(case, f"param_diff/{name}", net.params[layer][int(i)].diff, values)


def _compare(case: dict[str, Any], name: str, got: Array, want: Array) -> None:
    tolerance = case["tolerance"]
    most = float(np.abs(want).max(initial=0))
    allowed = tolerance.get("loose", {}).get(name, tolerance["rtol"] * most + 1e-7)
    assert got.shape == want.shape, f"{name}: shape {got.shape}, recorded {want.shape}"
    worst = float(np.abs(got - want).max(initial=0))
    assert worst <= allowed, f"{name}: off by {worst:.3g}, allowed {allowed:.3g}"
