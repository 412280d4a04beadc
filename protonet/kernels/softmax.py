"""Softmax along the middle axis of (outer, C, inner), and its gradient."""

from __future__ import annotations

import numpy as np

from protonet.blob import Array
from protonet.kernels import threads
from protonet.kernels.jit import kernel


@kernel("void(float32[:,:,::1], float32[:,:,::1], int64, int64)", shared=True)
def _forward(x: Array, y: Array, lo: int, hi: int) -> None:
    C, inner = x.shape[1], x.shape[2]
    for n in range(lo, hi):
        for i in range(inner):
            largest = x[n, 0, i]
            for c in range(1, C):
                largest = max(largest, x[n, c, i])
            total = np.float32(0)
            for c in range(C):
                e = np.exp(x[n, c, i] - largest)
                y[n, c, i] = e
                total += e
            for c in range(C):
                y[n, c, i] /= total


@kernel("void(float32[:,:,::1], float32[:,:,::1], float32[:,:,::1], int64, int64)", shared=True)
def _backward(y: Array, dy: Array, dx: Array, lo: int, hi: int) -> None:
    C, inner = y.shape[1], y.shape[2]
    for n in range(lo, hi):
        for i in range(inner):
            dot = np.float32(0)
            for c in range(C):
                dot += dy[n, c, i] * y[n, c, i]
            for c in range(C):
                dx[n, c, i] = (dy[n, c, i] - dot) * y[n, c, i]


def forward(x: Array, y: Array) -> None:
    """Write y[:, c] = exp(x[:, c]) / sum over c, without overflow. x, y: (outer, C, inner)."""
    threads.share(_forward, len(x), x, y, grain=_grain(x))


def backward(y: Array, dy: Array, dx: Array) -> None:
    """Write dx = y (dy - sum over c of dy y). y, dy, dx: (outer, C, inner); dx may be dy."""
    threads.share(_backward, len(y), y, dy, dx, grain=_grain(y))


def _grain(x: Array) -> int:
    """So many of the outer axis that a part is worth a thread."""
    return max(1, 4096 // max(1, x.shape[1] * x.shape[2]))
