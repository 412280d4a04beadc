"""Sums and scaling over an arena, the flat float32 array in which all parameters lie."""

from __future__ import annotations

from typing import Any

import numpy as np

from protonet.blob import Array
from protonet.kernels import threads
from protonet.kernels.jit import kernel

Doubles = np.ndarray[Any, np.dtype[np.float64]]

GRAIN = 32768  # values for which a thread of its own is worth while
INFINITY = 0x7F800000  # as float32 holds it
PARTIAL = 4096  # a sum is made of partial sums over so many values, whatever the threads


@kernel("void(float32[::1], float64[::1], int64, int64)", shared=True)
def _squares(a: Array, partials: Doubles, lo: int, hi: int) -> None:
    for p in range(lo, hi):
        total = 0.0
        for i in range(p * PARTIAL, min(a.size, (p + 1) * PARTIAL)):
            total += np.float64(a[i]) * np.float64(a[i])
        partials[p] = total


@kernel("void(float32[::1], float32, int64, int64)", shared=True)
def _scale(a: Array, factor: float, lo: int, hi: int) -> None:
    for i in range(lo, hi):
        a[i] *= factor


@kernel("void(int32[::1], int32[:,::1], int64, int64, int64)", shared=True)
def _largest_bits(bits: Any, largest: Any, lo: int, hi: int, worker: int) -> None:
    """Have in the worker's row the largest of all its values, without their signs."""
    part, found = bits[lo:hi], largest[worker, 0]
    for i in range(part.size):
        found = max(found, part[i] & np.int32(0x7FFFFFFF))
    largest[worker, 0] = found


def all_finite(a: Array) -> bool:
    """Return whether a flat array has neither NaN nor infinity: those have all exponent bits."""
    largest = np.zeros((threads.count(), 16), np.int32)
    threads.share(_largest_bits, a.size, a.view(np.int32), largest, grain=GRAIN)
    return max(largest[:, 0].tolist()) < INFINITY


def sum_of_squares(a: Array) -> float:
    """Return the sum of squares of a flat array, in double precision, in a fixed order."""
    partials = np.empty(-(-a.size // PARTIAL), np.float64)
    threads.share(_squares, partials.size, a, partials, grain=8)
    return float(sum(partials.tolist()))


def scale(a: Array, factor: float) -> None:
    """Multiply a flat array by a factor."""
    threads.share(_scale, a.size, a, np.float32(factor), grain=GRAIN)
