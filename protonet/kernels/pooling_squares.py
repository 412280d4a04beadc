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
CUT = False  # whether windows reach past the image, which then are done one by one


@kernel("inline")
def _uncut(
    image: int, columns: int, rows: int, first: int, values: int, mask: int, width: int, spare: int
) -> None:
    """Do ``rows`` rows of windows that are not cut.

    A row's last vector, if it is not full, begins further to the left, over windows done already;
    in a row narrower than that it reaches into the rows below, which are done later, if there are
    any. Else it is a part, which takes longer.

    Args:
        image: address of a first value, number ``first`` of an image of so many columns.
        values, mask: addresses of the first window's, ``width`` to a row.
        spare: how many windows from the first on may be reached into, less LANES.
    """
    uncut = columns // 2
    for i in range(rows):
        below = i * width <= spare
        for start in range(0, uncut, LANES):
            j = max(0, min(start, uncut - LANES))
            at, to = 2 * (i * columns + j), (i * width + j) * 4
            if below or uncut - j >= LANES:
                whole(image + at * 4, columns * 4, first + at, LANES, values + to, mask + to)
            else:
                part(image + at * 4, columns * 4, first + at, uncut - j, values + to, mask + to)


largest_rows = _uncut.variant("_forward", whole=largest_squares, part=largest_squares_part)
spread_rows = _uncut.variant("_backward", whole=spread_squares, part=spread_squares_part)


@kernel("void(float32[:,:,::1], float32[:,:,::1], int32[:,:,::1], int64, int64)", shared=True)
def max_forward(x: Array, y: Array, mask: Mask, lo: int, hi: int) -> None:
    """Write y and mask of images lo to hi - 1."""
    H, W, height, width = x.shape[1], x.shape[2], y.shape[1], y.shape[2]
    for p in range(lo, hi):
        largest_rows(
            x.ctypes.data + p * H * W * 4, W, H // 2, 0, y.ctypes.data + p * height * width * 4,
            mask.ctypes.data + p * height * width * 4, width,
            -1 if CUT else (hi - p) * height * width - LANES,
        )  # fmt: skip
        if CUT:
            for i in range(height):
                for j in range(W // 2 if i < H // 2 else 0, width):
                    largest(x[p], y[p], mask[p], i, j, 2, 2, 2, 2, 0, 0)


@kernel("void(float32[:,:,::1], int32[:,:,::1], float32[:,:,::1], int64, int64)", shared=True)
def max_backward(dy: Array, mask: Mask, dx: Array, lo: int, hi: int) -> None:
    """Write dx of images lo to hi - 1."""
    H, W, height, width = dx.shape[1], dx.shape[2], dy.shape[1], dy.shape[2]
    for p in range(lo, hi):
        spread_rows(
            dx.ctypes.data + p * H * W * 4, W, H // 2, 0, dy.ctypes.data + p * height * width * 4,
            mask.ctypes.data + p * height * width * 4, width,
            -1 if CUT else (hi - p) * height * width - LANES,
        )  # fmt: skip
        if CUT:
            flat = dx[p].reshape(H * W)
            for h in range(H if W % 2 == 1 else 0):
                dx[p, h, W - 1] = 0
            for w in range(W if H % 2 == 1 else 0):
                dx[p, H - 1, w] = 0
            for i in range(height):
                for j in range(W // 2 if i < H // 2 else 0, width):
                    if mask[p, i, j] >= 0:
                        flat[mask[p, i, j]] = dy[p, i, j]


# By whether there are windows that are cut.
FORWARD = {False: max_forward, True: max_forward.variant("_cut", CUT=True)}
BACKWARD = {False: max_backward, True: max_backward.variant("_cut", CUT=True)}
