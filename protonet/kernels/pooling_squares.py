"""Max pooling by windows of 2 x 2 that lie beside each other, the usual ones. Imports Numba."""

from __future__ import annotations

from typing import Any

from protonet.blob import Array
from protonet.kernels.jit import kernel
from protonet.kernels.pooling import Mask, largest
from protonet.kernels.simd import LANES
from protonet.kernels.simd_pooling import (
    largest_squares,
    largest_squares_part,
    spread_squares,
    spread_squares_part,
)

whole: Any = None  # of simd_pooling, for LANES windows and for fewer
part: Any = None


@kernel("inline")
def _uncut(image: Array, values: Array, mask: Mask, p: int, hi: int) -> None:
    """Do the windows of image p that are not cut.

    A row's last vector, if it is not full, begins further to the left, over windows done already;
    in a row narrower than that it reaches into the rows below, which are done later, if there are
    any before image ``hi``. Else it is a part, which takes longer.
    """
    H, W, height, width = image.shape[1], image.shape[2], values.shape[1], values.shape[2]
    uncut = W // 2
    exact = W == 2 * width and H == 2 * height
    first = image.ctypes.data + p * H * W * 4
    ones = values.ctypes.data + p * height * width * 4
    places = mask.ctypes.data + p * height * width * 4
    spare = (hi - p) * height * width - LANES
    for i in range(H // 2):
        below = exact and i * width <= spare
        for start in range(0, uncut, LANES):
            j = max(0, min(start, uncut - LANES))
            at, to = 2 * (i * W + j), (i * width + j) * 4
            if below or uncut - j >= LANES:
                whole(first + at * 4, W * 4, at, LANES, ones + to, places + to)
            else:
                part(first + at * 4, W * 4, at, uncut - j, ones + to, places + to)


_forward_uncut = _uncut.variant("_forward", whole=largest_squares, part=largest_squares_part)
_backward_uncut = _uncut.variant("_backward", whole=spread_squares, part=spread_squares_part)


@kernel("void(float32[:,:,::1], float32[:,:,::1], int32[:,:,::1], int64, int64)", shared=True)
def max_forward(x: Array, y: Array, mask: Mask, lo: int, hi: int) -> None:
    """Write y and mask of images lo to hi - 1."""
    H, W, height, width = x.shape[1], x.shape[2], y.shape[1], y.shape[2]
    for p in range(lo, hi):
        _forward_uncut(x, y, mask, p, hi)
        for i in range(height):
            for j in range(W // 2 if i < H // 2 else 0, width):
                largest(x[p], y[p], mask[p], i, j, 2, 2, 2, 2, 0, 0)


@kernel("void(float32[:,:,::1], int32[:,:,::1], float32[:,:,::1], int64, int64)", shared=True)
def max_backward(dy: Array, mask: Mask, dx: Array, lo: int, hi: int) -> None:
    """Write dx of images lo to hi - 1."""
    H, W, height, width = dx.shape[1], dx.shape[2], dy.shape[1], dy.shape[2]
    flat = dx.reshape(dx.shape[0], H * W)
    for p in range(lo, hi):
        _backward_uncut(dx, dy, mask, p, hi)
        for h in range(H if W % 2 == 1 else 0):
            dx[p, h, W - 1] = 0
        for w in range(W if H % 2 == 1 else 0):
            dx[p, H - 1, w] = 0
        for i in range(height):
            for j in range(W // 2 if i < H // 2 else 0, width):
                if mask[p, i, j] >= 0:
                    flat[p, mask[p, i, j]] = dy[p, i, j]
