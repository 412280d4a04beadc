"""Stochastic pooling: a value of each window drawn with a probability in proportion to it.

x: (N, C, H, W), not negative, as after a ReLU; y: (N, C, PH, PW). Zeiler and Fergus (2013),
eqs. 4-6, as BVLC Caffe 1.0 (on a GPU: it has none for the CPU).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from protonet.blob import Array
from protonet.kernels import threads
from protonet.kernels.jit import kernel
from protonet.kernels.pooling import Window


@kernel(
    "void(float32[:, :, ::1], int64[::1], float32[:, :, ::1], float32[:, :, ::1],"
    " int32[:, :, ::1], int64, int64)",
    shared=True,
)
def _draw(x: Array, window: Any, chance: Array, y: Array, mask: Any, lo: int, hi: int) -> None:
    """Draw for planes lo to hi. window: kernel h, w, stride h, w; chance: like y, 0 to 1."""
    H, W = x.shape[1], x.shape[2]
    for p in range(lo, hi):
        for i in range(y.shape[1]):
            top, bottom = i * window[2], min(i * window[2] + window[0], H)
            for j in range(y.shape[2]):
                left, right = j * window[3], min(j * window[3] + window[1], W)
                total = np.float32(0)
                for h in range(top, bottom):
                    for w in range(left, right):
                        total += x[p, h, w]
                threshold = chance[p, i, j] * total
                where, total = -1, np.float32(0)
                for h in range(top, bottom):
                    for w in range(left, right):
                        total += x[p, h, w]
                        if where < 0 and total >= threshold:
                            where = h * W + w
                if where < 0:  # rounding: the sum fell short of itself
                    where = (bottom - 1) * W + right - 1
                mask[p, i, j] = where
                y[p, i, j] = x[p, where // W, where % W]


@kernel("void(float32[:, :, ::1], int64[::1], float32[:, :, ::1], int64, int64)", shared=True)
def _expect(x: Array, window: Any, y: Array, lo: int, hi: int) -> None:
    H, W = x.shape[1], x.shape[2]
    for p in range(lo, hi):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                total, squares = np.float32(0), np.float32(0)
                for h in range(i * window[2], min(i * window[2] + window[0], H)):
                    for w in range(j * window[3], min(j * window[3] + window[1], W)):
                        total += x[p, h, w]
                        squares += x[p, h, w] * x[p, h, w]
                y[p, i, j] = squares / total if total > 0 else np.float32(0)


def draw(x: Array, window: Window, rng: np.random.Generator, y: Array, mask: Any) -> None:
    """Write the drawn values into y and where they lie, h · W + w, into mask (like y, int32)."""
    chance = rng.random(y.shape, np.float32)
    xs, chances, ys, masks = _planes(x), _planes(chance), _planes(y), _planes(mask)
    numbers = np.array([*window.kernel, *window.stride])
    threads.share(_draw, len(xs), xs, numbers, chances, ys, masks, grain=_grain(x))


def expect(x: Array, window: Window, y: Array) -> None:
    """Write into y what :func:`draw` gives on average: Σ x² / Σ x, 0 where all is 0."""
    xs, ys = _planes(x), _planes(y)
    numbers = np.array([*window.kernel, *window.stride])
    threads.share(_expect, len(xs), xs, numbers, ys, grain=_grain(x))


def _planes(a: Any) -> Any:
    return a.reshape(-1, *a.shape[2:])


def _grain(x: Array) -> int:
    """So many planes that a part is worth a thread."""
    return max(1, 4096 // max(1, x.shape[2] * x.shape[3]))
