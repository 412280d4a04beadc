"""Pooling over windows of an image: the largest value, or the mean.

x: (N, C, H, W), y: (N, C, PH, PW), float32; mask: like y, int32. Output (i, j) looks at rows
``i * stride - pad`` to ``i * stride - pad + kernel``, cut to the image; columns likewise. How many
outputs there are is the layer's business.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from protonet.blob import Array
from protonet.kernels import threads
from protonet.kernels.jit import kernel

Mask = np.ndarray[Any, np.dtype[np.int32]]
Pair = tuple[int, int]

LOWEST = np.finfo(np.float32).min  # what Caffe compares the first value with


class Window(NamedTuple):
    """Where windows lie: each (along H, along W)."""

    kernel: Pair
    stride: Pair
    pad: Pair = (0, 0)


SQUARES = Window((2, 2), (2, 2))  # have kernels of their own, in pooling_squares.py


@kernel("inline")
def largest(
    x: Array, y: Array, mask: Mask, i: int, j: int,
    kh: int, kw: int, sh: int, sw: int, ph: int, pw: int,
) -> None:  # fmt: skip
    """Write y[i, j] and mask[i, j] from one image. x: (H, W); y, mask: (PH, PW)."""
    H, W = x.shape
    best, where = LOWEST, -1
    for h in range(max(i * sh - ph, 0), min(i * sh - ph + kh, H)):
        for w in range(max(j * sw - pw, 0), min(j * sw - pw + kw, W)):
            if x[h, w] > best:
                best, where = x[h, w], h * W + w
    y[i, j] = best
    mask[i, j] = where


@kernel(
    "void(float32[:,:,::1], float32[:,:,::1], int32[:,:,::1],"
    " int64, int64, int64, int64, int64, int64, int64, int64)",
    shared=True,
)
def _max_forward(
    x: Array, y: Array, mask: Mask,
    kh: int, kw: int, sh: int, sw: int, ph: int, pw: int, lo: int, hi: int,
) -> None:  # fmt: skip
    for p in range(lo, hi):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                largest(x[p], y[p], mask[p], i, j, kh, kw, sh, sw, ph, pw)


@kernel("void(float32[:,:,::1], int32[:,:,::1], float32[:,::1], int64, int64)", shared=True)
def _max_backward(dy: Array, mask: Mask, dx: Array, lo: int, hi: int) -> None:
    for p in range(lo, hi):
        dx[p, :] = 0
        for i in range(dy.shape[1]):
            for j in range(dy.shape[2]):
                if mask[p, i, j] >= 0:
                    dx[p, mask[p, i, j]] += dy[p, i, j]


@kernel(
    "void(float32[:,:,::1], float32[:,:,::1],"
    " int64, int64, int64, int64, int64, int64, int64, int64)",
    shared=True,
)
def _average_forward(
    x: Array, y: Array,
    kh: int, kw: int, sh: int, sw: int, ph: int, pw: int, lo: int, hi: int,
) -> None:  # fmt: skip
    H, W = x.shape[1], x.shape[2]
    for p in range(lo, hi):
        for i in range(y.shape[1]):
            top, bottom = i * sh - ph, min(i * sh - ph + kh, H + ph)
            for j in range(y.shape[2]):
                left, right = j * sw - pw, min(j * sw - pw + kw, W + pw)
                total = np.float32(0)
                for h in range(max(top, 0), min(bottom, H)):
                    for w in range(max(left, 0), min(right, W)):
                        total += x[p, h, w]
                y[p, i, j] = total / np.float32((bottom - top) * (right - left))


@kernel(
    "void(float32[:,:,::1], float32[:,:,::1],"
    " int64, int64, int64, int64, int64, int64, int64, int64)",
    shared=True,
)
def _average_backward(
    dy: Array, dx: Array,
    kh: int, kw: int, sh: int, sw: int, ph: int, pw: int, lo: int, hi: int,
) -> None:  # fmt: skip
    H, W = dx.shape[1], dx.shape[2]
    for p in range(lo, hi):
        dx[p] = 0
        for i in range(dy.shape[1]):
            top, bottom = i * sh - ph, min(i * sh - ph + kh, H + ph)
            for j in range(dy.shape[2]):
                left, right = j * sw - pw, min(j * sw - pw + kw, W + pw)
                share = dy[p, i, j] / np.float32((bottom - top) * (right - left))
                for h in range(max(top, 0), min(bottom, H)):
                    for w in range(max(left, 0), min(right, W)):
                        dx[p, h, w] += share


def max_forward(x: Array, window: Window, y: Array, mask: Mask) -> None:
    """Write the largest value of each window into y, and where it lies (h * W + w) into mask.

    Of equal values the first in row-major order counts. A window outside the image gives the
    lowest float and mask -1, as BVLC Caffe 1.0.
    """
    xs, ys, masks = _planes(x), _planes(y), _planes(mask)
    numbers = _numbers(window)
    if window == SQUARES:
        from protonet.kernels import pooling_squares

        forward = pooling_squares.FORWARD[_cut(xs, ys)]
        threads.share(forward, len(xs), xs, ys, masks, grain=_grain(x))
        return
    forward = _max_forward
    if window.stride[1] <= 2:
        from protonet.kernels import pooling_rows

        forward = pooling_rows.VARIANTS[window.stride[1]]
    threads.share(forward, len(xs), xs, ys, masks, *numbers, grain=_grain(x))


def max_backward(dy: Array, mask: Mask, window: Window, dx: Array) -> None:
    """Write dx: each dy goes to the value that its mask names, the others get nothing."""
    dys, masks, dxs = _planes(dy), _planes(mask), _planes(dx)
    if window == SQUARES:
        from protonet.kernels import pooling_squares

        backward = pooling_squares.BACKWARD[_cut(dxs, dys)]
        threads.share(backward, len(dxs), dys, masks, dxs, grain=_grain(dx))
        return
    flat = dxs.reshape(len(dxs), -1)
    threads.share(_max_backward, len(dxs), dys, masks, flat, grain=_grain(dx))


def _cut(planes: Array, windows: Array) -> bool:
    """Return whether windows of 2 x 2 reach past the planes, or leave something out."""
    return planes.shape[1:] != (2 * windows.shape[1], 2 * windows.shape[2])


def average_forward(x: Array, window: Window, y: Array) -> None:
    """Write the mean of each window into y.

    As in BVLC Caffe 1.0 the sum is divided by the window's size cut to the padded image, so that
    padding counts as zeros.
    """
    xs, ys = _planes(x), _planes(y)
    numbers = _numbers(window)
    threads.share(_average_forward, len(xs), xs, ys, *numbers, grain=_grain(x))


def average_backward(dy: Array, window: Window, dx: Array) -> None:
    """Write dx: each dy is shared equally by the values of its window."""
    dys, dxs = _planes(dy), _planes(dx)
    numbers = _numbers(window)
    threads.share(_average_backward, len(dxs), dys, dxs, *numbers, grain=_grain(dx))


def _planes(a: Any) -> Any:
    """View (N, C, H, W) as (N * C, H, W)."""
    return a.reshape(-1, *a.shape[2:])


def _numbers(window: Window) -> tuple[int, ...]:
    return (*window.kernel, *window.stride, *window.pad)


def _grain(image: Array) -> int:
    """So many planes that a part is worth a thread."""
    return max(1, 4096 // max(1, image.shape[2] * image.shape[3]))
