"""Max pooling by windows of 2 x 2 that lie beside each other, the usual ones. Imports Numba."""

from __future__ import annotations

from typing import Any

from protonet.blob import Array
from protonet.kernels.jit import kernel
from protonet.kernels.pooling import Mask, largest
from protonet.kernels.simd import (
    LANES,
    largest_squares,
    largest_squares_part,
    spread_squares,
    spread_squares_part,
)

whole: Any = None  # simd's, for LANES windows and for fewer
part: Any = None


@kernel("inline")
def _each(image: Array, values: Array, mask: Mask, p: int, i: int) -> None:
    """Do the windows of one row of an image that are not cut."""
    H, W = image.shape[1], image.shape[2]
    uncut = W // 2
    for j in range(0, uncut, LANES):
        first = 2 * (i * W + j)
        at = image.ctypes.data + (p * H * W + first) * 4
        to = ((p * values.shape[1] + i) * values.shape[2] + j) * 4
        ones, places = values.ctypes.data + to, mask.ctypes.data + to
        if uncut - j >= LANES:
            whole(at, W * 4, first, LANES, ones, places)
        else:
            part(at, W * 4, first, uncut - j, ones, places)


_forward_each = _each.variant("_forward", whole=largest_squares, part=largest_squares_part)
_backward_each = _each.variant("_backward", whole=spread_squares, part=spread_squares_part)


@kernel("void(float32[:,:,::1], float32[:,:,::1], int32[:,:,::1], int64, int64)")
def max_forward(x: Array, y: Array, mask: Mask, lo: int, hi: int) -> None:
    """Write y and mask of images lo to hi - 1."""
    H, W, height, width = x.shape[1], x.shape[2], y.shape[1], y.shape[2]
    for p in range(lo, hi):
        for i in range(H // 2):
            _forward_each(x, y, mask, p, i)
            for j in range(W // 2, width):
                largest(x[p], y[p], mask[p], i, j, 2, 2, 2, 2, 0, 0)
        for i in range(H // 2, height):
            for j in range(width):
                largest(x[p], y[p], mask[p], i, j, 2, 2, 2, 2, 0, 0)


@kernel("void(float32[:,:,::1], int32[:,:,::1], float32[:,:,::1], int64, int64)")
def max_backward(dy: Array, mask: Mask, dx: Array, lo: int, hi: int) -> None:
    """Write dx of images lo to hi - 1."""
    H, W, height, width = dx.shape[1], dx.shape[2], dy.shape[1], dy.shape[2]
    flat = dx.reshape(dx.shape[0], H * W)
    for p in range(lo, hi):
        if W % 2 == 1:
            dx[p, :, W - 1] = 0
        if H % 2 == 1:
            dx[p, H - 1] = 0
        for i in range(height):
            if i < H // 2:
                _backward_each(dx, dy, mask, p, i)
            for j in range(W // 2 if i < H // 2 else 0, width):
                if mask[p, i, j] >= 0:
                    flat[p, mask[p, i, j]] = dy[p, i, j]
