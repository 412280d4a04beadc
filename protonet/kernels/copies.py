"""Copies between parts of blobs, split among the threads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from protonet.blob import Array
from protonet.kernels import threads

GRAIN = 32768  # values for which a thread of its own is worth while


def as_rows(array: Array, axis: int) -> Array:
    """View an array as (values of the axes before ``axis``, values from ``axis`` on)."""
    return array.reshape(math.prod(array.shape[:axis]), math.prod(array.shape[axis:]))


def side_by_side(whole: Array, parts: Iterable[Array], axis: int) -> list[tuple[Array, Array]]:
    """Return for each part its place in the whole, of which they are the parts along ``axis``.

    Returns:
        pairs (place, part) of views by :func:`as_rows`.
    """
    rows, at, pairs = as_rows(whole, axis), 0, []
    for part in (as_rows(array, axis) for array in parts):
        pairs.append((rows[:, at : at + part.shape[1]], part))
        at += part.shape[1]
    return pairs


def in_a_row(parts: Array) -> tuple[Array, int]:
    """Return parts of memory as a flat array, and the bytes from one to the next.

    Args:
        parts: (N, ...), each contiguous. What lies between them is in the flat array, too.
    """
    if parts.flags.c_contiguous:
        return parts.reshape(-1), parts.nbytes // max(1, len(parts))
    step = parts.strides[0]
    count = (len(parts) - 1) * step // parts.itemsize + parts[0].size
    return np.lib.stride_tricks.as_strided(parts, (count,), (parts.itemsize,)), step


def copy_columns(pairs: Sequence[tuple[Array, Array]]) -> None:
    """Copy each first array of a pair into the second.

    Args:
        pairs: of 2-D arrays or views of equal shapes, the rows contiguous; all have as many rows.
            NumPy lets go of the interpreter while it copies.
    """
    if not pairs:
        return
    rows = pairs[0][0].shape[0]
    values = sum(source.size for source, _ in pairs)
    if rows > 1:

        def part(lo: int, hi: int, worker: int) -> None:
            for source, target in pairs:
                target[lo:hi] = source[lo:hi]

        threads.run(rows, part, -(-GRAIN * rows // max(values, 1)))
        return
    for source, target in pairs:

        def columns(
            lo: int, hi: int, worker: int, source: Array = source, target: Array = target
        ) -> None:
            target[:, lo:hi] = source[:, lo:hi]

        threads.run(source.shape[1], columns, GRAIN)
