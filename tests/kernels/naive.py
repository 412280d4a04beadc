"""Plain NumPy twins of the kernels, in double precision."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

Array = Any
Pair = tuple[int, int]


class Case(NamedTuple):
    """A convolution of images."""

    N: int
    C: int
    size: Pair
    num_output: int
    kernel: Pair
    stride: Pair = (1, 1)
    pad: Pair = (0, 0)
    dilation: Pair = (1, 1)
    group: int = 1

    def arguments(self) -> tuple[Any, ...]:
        return (self.N, self.C, *self.size, self.num_output, *self[4:])


def output_shape(c: Case) -> tuple[int, int, int, int]:
    sizes = [
        (n + 2 * p - (d * (k - 1) + 1)) // s + 1
        for n, k, s, p, d in zip(c.size, c.kernel, c.stride, c.pad, c.dilation, strict=True)
    ]
    return (c.N, c.num_output, sizes[0], sizes[1])


def _taps(c: Case) -> Iterator[tuple[int, int, int, slice, slice, tuple[slice, slice]]]:
    """Yield kernel element, group, its outputs and channels, and what it sees of the padded x."""
    height, width = output_shape(c)[2:]
    outputs, channels = c.num_output // c.group, c.C // c.group
    for k, m, g in itertools.product(*map(range, c.kernel), range(c.group)):
        top, left = k * c.dilation[0], m * c.dilation[1]
        rows = slice(top, top + (height - 1) * c.stride[0] + 1, c.stride[0])
        columns = slice(left, left + (width - 1) * c.stride[1] + 1, c.stride[1])
        yield (
            k, m, g, slice(g * outputs, (g + 1) * outputs),
            slice(g * channels, (g + 1) * channels), (rows, columns),
        )  # fmt: skip


def _padded(c: Case, x: Array) -> Array:
    (a, b) = c.pad
    return np.pad(x.astype(np.float64), ((0, 0), (0, 0), (a, a), (b, b)))


def convolution(c: Case, x: Array, w: Array, bias: Array) -> Array:
    y = np.zeros(output_shape(c)) + bias.reshape(1, -1, 1, 1)
    padded = _padded(c, x)
    for k, m, _, outputs, channels, (rows, columns) in _taps(c):
        seen = padded[:, channels, rows, columns]
        y[:, outputs] += np.einsum("nchw,oc->nohw", seen, w[outputs, :, k, m], optimize=True)
    return y


def convolution_dx(c: Case, dy: Array, w: Array) -> Array:
    dx = _padded(c, np.zeros((c.N, c.C, *c.size)))
    for k, m, _, outputs, channels, (rows, columns) in _taps(c):
        dx[:, channels, rows, columns] += np.einsum(
            "nohw,oc->nchw", dy[:, outputs], w[outputs, :, k, m], optimize=True
        )
    (a, b), (H, W) = c.pad, c.size
    return dx[:, :, a : a + H, b : b + W]


def convolution_dw(c: Case, x: Array, dy: Array) -> Array:
    dw = np.zeros((c.num_output, c.C // c.group, *c.kernel))
    padded = _padded(c, x)
    for k, m, _, outputs, channels, (rows, columns) in _taps(c):
        seen = padded[:, channels, rows, columns]
        dw[outputs, :, k, m] = np.einsum("nchw,nohw->oc", seen, dy[:, outputs], optimize=True)
    return dw


def _windows(
    size: Pair, output: Pair, kernel: Pair, stride: Pair, pad: Pair
) -> Iterator[tuple[int, int, slice, slice, int]]:
    """Yield output position, the part of the image that it sees, and Caffe's divisor."""
    for i, j in itertools.product(*map(range, output)):
        top, left = i * stride[0] - pad[0], j * stride[1] - pad[1]
        bottom, right = (
            min(top + kernel[0], size[0] + pad[0]),
            min(left + kernel[1], size[1] + pad[1]),
        )
        rows = slice(max(top, 0), max(min(bottom, size[0]), 0))
        columns = slice(max(left, 0), max(min(right, size[1]), 0))
        yield i, j, rows, columns, (bottom - top) * (right - left)


def max_pooling(
    x: Array, output: Pair, kernel: Pair, stride: Pair, pad: Pair
) -> tuple[Array, Array]:
    shape, W = (*x.shape[:2], *output), x.shape[3]
    y = np.full(shape, np.finfo(np.float32).min)
    mask = np.full(shape, -1)
    for i, j, rows, columns, _ in _windows(x.shape[2:], output, kernel, stride, pad):
        for h in range(rows.start, rows.stop):
            for w in range(columns.start, columns.stop):
                larger = x[:, :, h, w] > y[:, :, i, j]
                y[:, :, i, j][larger] = x[:, :, h, w][larger]
                mask[:, :, i, j][larger] = h * W + w
    return y, mask


def max_pooling_dx(dy: Array, mask: Array, size: Pair) -> Array:
    dx = np.zeros((*dy.shape[:2], size[0] * size[1]))
    for n, c, i, j in np.ndindex(dy.shape):
        if mask[n, c, i, j] >= 0:
            dx[n, c, mask[n, c, i, j]] += dy[n, c, i, j]
    return dx.reshape(*dy.shape[:2], *size)


def average_pooling(x: Array, output: Pair, kernel: Pair, stride: Pair, pad: Pair) -> Array:
    y = np.zeros((*x.shape[:2], *output))
    for i, j, rows, columns, count in _windows(x.shape[2:], output, kernel, stride, pad):
        total = x[:, :, rows, columns].astype(np.float64).sum(axis=(2, 3))
        y[:, :, i, j] = total / count if count else np.nan  # 0 / 0, as in Caffe
    return y


def average_pooling_dx(dy: Array, size: Pair, kernel: Pair, stride: Pair, pad: Pair) -> Array:
    dx = np.zeros((*dy.shape[:2], *size))
    for i, j, rows, columns, count in _windows(size, dy.shape[2:], kernel, stride, pad):
        if count > 0:
            dx[:, :, rows, columns] += (dy[:, :, i, j] / count)[:, :, None, None]
    return dx
