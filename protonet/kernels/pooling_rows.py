"""Max pooling by rows of windows, for windows 1 or 2 apart. Imports Numba."""

from __future__ import annotations

from typing import Any

from protonet.blob import Array
from protonet.kernels import simd_pooling
from protonet.kernels.jit import kernel
from protonet.kernels.pooling import Mask, largest
from protonet.kernels.simd import LANES

largest_whole: Any = None  # of simd_pooling, for windows STRIDE apart; each variant has its own
largest_part: Any = None
STRIDE = 0


@kernel(
    "void(float32[:,:,::1], float32[:,:,::1], int32[:,:,::1],"
    " int64, int64, int64, int64, int64, int64, int64, int64)",
    shared=True,
)
def max_forward(
    x: Array, y: Array, mask: Mask,
    kh: int, kw: int, sh: int, sw: int, ph: int, pw: int, lo: int, hi: int,
) -> None:  # fmt: skip
    """Do images lo to hi - 1. sw is STRIDE."""
    H, W = x.shape[1], x.shape[2]
    height, width = y.shape[1], y.shape[2]
    left = min(width, (pw + STRIDE - 1) // STRIDE)  # windows that are not cut: left to right - 1
    right = max(left, min(width, (W - kw + pw) // STRIDE + 1))
    for p in range(lo, hi):
        for i in range(height):
            top, bottom = max(i * sh - ph, 0), min(i * sh - ph + kh, H)
            for j in range(left):
                largest(x[p], y[p], mask[p], i, j, kh, kw, sh, sw, ph, pw)
            for j in range(left, right, LANES):
                count = min(LANES, right - j)
                first = top * W + j * STRIDE - pw
                at = x.ctypes.data + (p * H * W + first) * 4
                to = ((p * height + i) * width + j) * 4
                best, where = y.ctypes.data + to, mask.ctypes.data + to
                if count == LANES:
                    largest_whole(at, W * 4, bottom - top, kw, first, count, best, where)
                else:
                    largest_part(at, W * 4, bottom - top, kw, first, count, best, where)
            for j in range(right, width):
                largest(x[p], y[p], mask[p], i, j, kh, kw, sh, sw, ph, pw)


VARIANTS = {
    stride: max_forward.variant(
        f"_{stride}",
        largest_whole=getattr(simd_pooling, f"largest_whole_{stride}"),
        largest_part=getattr(simd_pooling, f"largest_part_{stride}"),
        STRIDE=stride,
    )
    for stride in (1, 2)
}
