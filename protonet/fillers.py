"""How weights start: the fillers of Caffe.

``fan_in`` is the number of values that one output sums, ``fan_out`` the number of outputs that
one input reaches; ``n`` is one of them or their average, as ``variance_norm`` says. For weights
of shape (O, I, KH, KW) they are I·KH·KW and O·KH·KW.

As BVLC Caffe 1.0. ``xavier`` is Glorot and Bengio (2010), eq. 16 with ``n`` in place of the
average; ``msra`` is He et al. (2015), eq. 10; ``bilinear`` makes a Deconvolution enlarge.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from protonet.blob import Array, Shape
from protonet.errors import GraphError, ShapeError, did_you_mean

Fill = Callable[[Array, Any, np.random.Generator], None]


def fill(array: Array, filler: Any, rng: np.random.Generator) -> None:
    """Write start values into ``array``.

    Args:
        array: C-contiguous float32 of any shape, overwritten.
        filler: a FillerParameter message.
        rng: what random values are drawn from.

    Raises:
        GraphError: an unknown type, or ``sparse`` where the type has none.
        ShapeError: the type cannot fill this shape. Neither message names the layer.
    """
    check(filler, array.shape)
    _FILLERS[filler.type](array, filler, rng)


def check(filler: Any, shape: Shape | None = None) -> None:
    """Raise what :func:`fill` would for this filler and this shape (if one is given)."""
    kind = filler.type
    if kind not in _FILLERS:
        known = sorted(_FILLERS)
        elsewhere = _ELSEWHERE.get(kind.lower())
        meant = f"; did you mean '{elsewhere}'?" if elsewhere else did_you_mean(kind, known)
        raise GraphError(f"unknown filler type '{kind}', expected one of {', '.join(known)}{meant}")
    if filler.sparse != -1 and kind != "gaussian":
        raise GraphError(f"only the filler 'gaussian' has the field sparse, not '{kind}'")
    if filler.sparse < -1:
        raise GraphError(f"the filler's sparse must be a number of inputs, got {filler.sparse}")
    if shape is None:
        return
    if kind == "bilinear" and (len(shape) != 4 or shape[2] != shape[3]):
        raise ShapeError(
            f"the filler 'bilinear' needs 4 axes and a square kernel, got shape {tuple(shape)}"
        )
    needs_rows = kind in ("msra", "positive_unitball", "xavier") or filler.sparse != -1
    if needs_rows and not shape:
        raise ShapeError(f"the filler '{kind}' needs at least one axis, got a scalar")


def _constant(array: Array, filler: Any, rng: np.random.Generator) -> None:
    array[...] = filler.value


def _uniform(array: Array, filler: Any, rng: np.random.Generator) -> None:
    _draw_uniform(array, filler.min, filler.max, rng)


def _gaussian(array: Array, filler: Any, rng: np.random.Generator) -> None:
    """Normal values; with ``sparse`` each input reaches so many outputs on average."""
    _draw_normal(array, filler.mean, filler.std, rng)
    if filler.sparse >= 0:
        share = filler.sparse / array.shape[0]
        array *= rng.random(array.shape, np.float32) < share


def _positive_unitball(array: Array, filler: Any, rng: np.random.Generator) -> None:
    """Uniform values, scaled so that each output's sum to 1."""
    rng.random(out=array, dtype=np.float32)
    rows = array.reshape(array.shape[0], -1)
    rows /= rows.sum(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)


def _xavier(array: Array, filler: Any, rng: np.random.Generator) -> None:
    """Uniform with variance 1/n."""
    scale = math.sqrt(3 / _fan(array.shape, filler.variance_norm))
    _draw_uniform(array, -scale, scale, rng)


def _msra(array: Array, filler: Any, rng: np.random.Generator) -> None:
    """Normal with variance 2/n."""
    _draw_normal(array, 0, math.sqrt(2 / _fan(array.shape, filler.variance_norm)), rng)


def _bilinear(array: Array, filler: Any, rng: np.random.Generator) -> None:
    """The tent by which an image is enlarged, the same in every plane."""
    width = array.shape[3]
    half = -(-width // 2)
    centre = (width - 1) / (2 * half)
    tent = 1 - np.abs(np.arange(width) / half - centre)
    array[...] = np.outer(tent, tent)


def _fan(shape: Shape, norm: int) -> float:
    count = math.prod(shape)
    fan_in = count / max(shape[0], 1)
    fan_out = count / max(shape[1], 1) if len(shape) > 1 else count
    fans = (fan_in, fan_out, (fan_in + fan_out) / 2)  # FAN_IN = 0, FAN_OUT = 1, AVERAGE = 2
    return max(fans[norm], 1)


def _draw_uniform(array: Array, low: float, high: float, rng: np.random.Generator) -> None:
    rng.random(out=array, dtype=np.float32)
    array *= np.float32(high - low)
    array += np.float32(low)


def _draw_normal(array: Array, mean: float, std: float, rng: np.random.Generator) -> None:
    rng.standard_normal(out=array, dtype=np.float32)
    array *= np.float32(std)
    array += np.float32(mean)


_FILLERS: dict[str, Fill] = {
    "bilinear": _bilinear,
    "constant": _constant,
    "gaussian": _gaussian,
    "msra": _msra,
    "positive_unitball": _positive_unitball,
    "uniform": _uniform,
    "xavier": _xavier,
}

# What the same fillers are called where people may come from.
_ELSEWHERE = {
    "normal": "gaussian",
    "glorot": "xavier",
    "he": "msra",
    "kaiming": "msra",
    "zero": "constant",
    "zeros": "constant",
}
