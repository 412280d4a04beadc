"""What a solver does to all parameters at once: they lie in one arena, in segments.

An arena is a flat float32 array. Segment s covers ``bounds[s]:bounds[s + 1]`` and has its own
learning rate and decay.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from protonet.blob import Array
from protonet.kernels import threads
from protonet.kernels.jit import kernel

Bounds = np.ndarray[Any, np.dtype[np.int64]]
Doubles = np.ndarray[Any, np.dtype[np.float64]]

GRAIN = 4096
PARTIAL = 4096  # a sum is made of partial sums over so many values, whatever the threads


@kernel(
    "void(float32[::1], float32[::1], float32[::1], int64[::1], float32[::1], float32[::1],"
    " float32, float32, boolean, int64, int64)"
)
def _sgd(
    data: Array, diff: Array, history: Array, bounds: Bounds, rates: Array, decays: Array,
    momentum: float, normalize: float, l1: bool, lo: int, hi: int,
) -> None:  # fmt: skip
    for s in range(rates.size):
        rate, decay = rates[s], decays[s]
        start, stop = max(lo, bounds[s]), min(hi, bounds[s + 1])
        if l1:
            for i in range(start, stop):
                w = data[i]
                sign = np.float32(w > 0) - np.float32(w < 0)
                step = momentum * history[i] + rate * (diff[i] * normalize + decay * sign)
                history[i] = step
                diff[i] = step
                data[i] = w - step
        else:
            for i in range(start, stop):
                w = data[i]
                step = momentum * history[i] + rate * (diff[i] * normalize + decay * w)
                history[i] = step
                diff[i] = step
                data[i] = w - step


@kernel("void(float32[::1], float64[::1], int64, int64)")
def _squares(a: Array, partials: Doubles, lo: int, hi: int) -> None:
    for p in range(lo, hi):
        total = 0.0
        for i in range(p * 4096, min(a.size, (p + 1) * 4096)):
            total += np.float64(a[i]) * np.float64(a[i])
        partials[p] = total


@kernel("void(float32[::1], float32, int64, int64)")
def _scale(a: Array, factor: float, lo: int, hi: int) -> None:
    for i in range(lo, hi):
        a[i] *= factor


def sgd(
    data: Array,
    diff: Array,
    history: Array,
    bounds: Bounds,
    rates: Array,
    decays: Array,
    momentum: float,
    normalize: float = 1.0,
    regularization: str = "L2",
) -> None:
    """Take one step of SGD with momentum, as BVLC Caffe 1.0.

    ``history = momentum * history + rate * (diff * normalize + decay * r)``, where r is the
    parameter for L2 and its sign for L1; then ``diff = history`` and ``data -= diff``.

    Args:
        data, diff, history: (count,) parameters, gradients, and the step before; all written.
        bounds: (segments + 1,) int64, rising. What lies outside all segments stays as it is.
        rates, decays: (segments,) float32, local learning rate and decay of each segment.
        normalize: factor on the gradient, 1 / iter_size.
        regularization: ``"L2"`` or ``"L1"``.
    """
    numbers = (np.float32(momentum), np.float32(normalize), regularization == "L1")

    def task(lo: int, hi: int, worker: int) -> None:
        _sgd(data, diff, history, bounds, rates, decays, *numbers, lo, hi)

    threads.run(data.size, task, GRAIN)


def sum_of_squares(a: Array) -> float:
    """Return the sum of squares of a flat array, in double precision, in a fixed order."""
    partials = np.empty(-(-a.size // PARTIAL), np.float64)
    threads.run(partials.size, lambda lo, hi, worker: _squares(a, partials, lo, hi), 8)
    return float(sum(partials.tolist()))


def scale(a: Array, factor: float) -> None:
    """Multiply a flat array by a factor."""
    threads.run(a.size, lambda lo, hi, worker: _scale(a, np.float32(factor), lo, hi), GRAIN)
