"""Windows of an image as the columns of a matrix, and back, for any number of spatial axes.

As BVLC Caffe 1.0 orders them: row ``(c, k1, k2, ...)`` of the matrix holds what the element
``(k1, k2, ...)`` of the kernel sees of channel c, for all output positions in row-major order;
zero where it lies in the padding.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

from protonet.blob import Array
from protonet.kernels import threads


def output_size(size: int, kernel: int, stride: int, pad: int, dilation: int) -> int:
    """Return how many windows fit along an axis: less than 1 if the kernel is larger than it."""
    return (size + 2 * pad - (dilation * (kernel - 1) + 1)) // stride + 1


def im2col(
    x: Array,
    kernel: Sequence[int],
    stride: Sequence[int],
    pad: Sequence[int],
    dilation: Sequence[int],
    col: Array,
) -> None:
    """Write the windows of x into col.

    Args:
        x: (N, C, size...).
        kernel, stride, pad, dilation: one number for each spatial axis.
        col: (N, C * product(kernel), output size...).
    """
    planes, windows = _planes(x, kernel, col)

    def task(lo: int, hi: int, worker: int) -> None:
        windows[lo:hi] = 0
        for tap, (inside, outside) in enumerate(
            _overlaps(planes.shape[1:], windows.shape[2:], kernel, stride, pad, dilation)
        ):
            windows[:, tap][(slice(lo, hi), *outside)] = planes[(slice(lo, hi), *inside)]

    threads.run(len(planes), task)


def col2im(
    col: Array,
    kernel: Sequence[int],
    stride: Sequence[int],
    pad: Sequence[int],
    dilation: Sequence[int],
    x: Array,
) -> None:
    """Write into each value of x the sum of all places in col that :func:`im2col` takes it to.

    Args: as :func:`im2col`, with col read and x written.
    """
    planes, windows = _planes(x, kernel, col)

    def task(lo: int, hi: int, worker: int) -> None:
        planes[lo:hi] = 0
        for tap, (inside, outside) in enumerate(
            _overlaps(planes.shape[1:], windows.shape[2:], kernel, stride, pad, dilation)
        ):
            planes[(slice(lo, hi), *inside)] += windows[:, tap][(slice(lo, hi), *outside)]

    threads.run(len(planes), task)


def _planes(x: Array, kernel: Sequence[int], col: Array) -> tuple[Array, Array]:
    """View x as (N * C, size...) and col as (N * C, product(kernel), output size...)."""
    count = x.shape[0] * x.shape[1]
    planes = x.reshape(count, *x.shape[2:])
    return planes, col.reshape(count, math.prod(kernel), *col.shape[2:])


Slices = tuple[Any, ...]  # of slices


def _overlaps(
    size: Sequence[int],
    output: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    pad: Sequence[int],
    dilation: Sequence[int],
) -> Iterator[tuple[Slices, Slices]]:
    """Yield, for each kernel element, the part of the image it sees and the outputs that see it."""
    for element in itertools.product(*map(range, kernel)):
        inside: list[slice] = []
        outside: list[slice] = []
        for axis, k in enumerate(element):
            step = stride[axis]
            start = k * dilation[axis] - pad[axis]  # what output 0 sees
            first = max(0, -(start // step))  # the first output that sees the image
            last = min(output[axis], (size[axis] - 1 - start) // step + 1)
            count = max(0, last - first)
            outside.append(slice(first, first + count))
            low = start + first * step
            inside.append(slice(low, low + (count - 1) * step + 1 if count else low, step))
        yield tuple(inside), tuple(outside)
