"""A blob: named storage for values and their gradients.

As in Caffe a blob is a C-contiguous float32 array ``data`` of some shape (N, C, H, W for images)
beside an array ``diff`` of the same shape. Memory is taken when an array is first touched, so
that shapes can be worked out for a whole net without allocating any of it.
"""

from __future__ import annotations

import itertools
import math
import sys
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float32]]
Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Shape = tuple[int, ...]

ALIGNMENT = 64  # bytes: one AVX-512 vector, one cache line
SLACK = 256  # bytes after the last value that a kernel may read (never write) past the end
# Bytes. NumPy asks Linux for large pages from 4 MiB on: nets touch so many small ones that finding
# out where those are was seen to take 2 to 4 % of LeNet's training.
LARGE_PAGE, CHUNK, LEAST = 2 * 1024 * 1024, 8 * 1024 * 1024, 4096
MAX_COUNT = 2**31 - 1  # Caffe counts the values of a blob in an int

_versions = itertools.count()


def aligned_zeros(count: int) -> Array:
    """Return ``count`` float32 zeros that start on a cache line and have readable slack behind.

    Arrays of some pages up to CHUNK are parts of larger ones, which live as long as one of them.
    """
    size = count * 4 + SLACK
    raw = _chunk.take(size) if LEAST < size < CHUNK else _aligned(size, ALIGNMENT)
    return raw[: count * 4].view(np.float32)


def _aligned(size: int, alignment: int) -> Bytes:
    raw = np.zeros(size + alignment, np.uint8)
    start = -raw.ctypes.data % alignment
    return raw[start : start + size]


class _Chunk(threading.local):
    """What is left of the array that this thread takes arrays from."""

    def __init__(self) -> None:
        self._left: Bytes = np.zeros(0, np.uint8)

    def take(self, size: int) -> Bytes:
        """Return so many zeros that nobody else has."""
        size += -size % ALIGNMENT
        if size > self._left.size:
            self._left = _aligned(CHUNK, LARGE_PAGE)
        taken, self._left = self._left[:size], self._left[size:]
        return taken


_chunk = _Chunk()


class Blob:
    """Values and gradients of one shape. See the module's docstring.

    Attributes:
        shape: tuple of ints; ``()`` for a scalar, such as a loss.
    """

    def __init__(self, shape: Sequence[int] = ()) -> None:
        self._shape: Shape = ()
        self._data: Array | None = None
        self._diff: Array | None = None
        self._forgotten = False  # whether the gradient is zero, whatever its memory holds
        self._owner: Array | None = None  # what every array of the values looks into, see use()
        self._holders = (0, 0)
        self._lent = True  # whether data was handed out since version() last looked
        self._version = -1
        self.reshape(*shape)

    @property
    def shape(self) -> Shape:
        return self._shape

    @property
    def count(self) -> int:
        """Number of values."""
        return math.prod(self._shape)

    def reshape(self, *shape: int) -> None:
        """Give the blob another shape. Values survive when the count stays the same.

        Raises:
            ValueError: a negative axis, or more values than Caffe can count (2^31 - 1).
        """
        new = tuple(int(n) for n in shape)
        if new == self._shape:
            return
        if any(n < 0 for n in new) or math.prod(new) > MAX_COUNT:
            raise ValueError(f"a blob cannot have the shape {new}")
        same_count = math.prod(new) == self.count
        self._forgotten = self._forgotten and same_count
        self._shape = new
        self._data = self._data.reshape(new) if same_count and self._data is not None else None
        self._diff = self._diff.reshape(new) if same_count and self._diff is not None else None

    @property
    def data(self) -> Array:
        """The values, (shape) float32, zero until written."""
        self._lent = True
        return self._data if self._data is not None else self.values

    @property
    def diff(self) -> Array:
        """The gradient of the loss by the values, (shape) float32, zero until written."""
        if self._diff is None:
            self._diff = aligned_zeros(self.count).reshape(self._shape)
        if self._forgotten:
            self._diff.fill(0)
            self._forgotten = False
        return self._diff

    def forget_diff(self) -> None:
        """Have the gradient be zero from now on; it is written when somebody asks for it."""
        self._forgotten = True

    def take_diff(self) -> tuple[Array, bool]:
        """Return the gradient to add to, and whether to: False to overwrite what is there."""
        keep = not self._forgotten
        self._forgotten = False
        return self.diff, keep

    @property
    def values(self) -> Array:
        """The same as ``data``, for those who only read and keep no view: see :meth:`version`."""
        if self._data is None:
            self._data, self._owner = aligned_zeros(self.count).reshape(self._shape), None
        return self._data

    def version(self) -> int | None:
        """Return a number that stays as long as the values do, None where nobody can tell.

        That is the case while somebody holds ``data`` or a view of it, who may write to it at any
        time, and of values that other blobs share. What is made from the values may be kept
        together with their version.
        """
        if self._owner is None or self._data is None:
            return None
        if self._lent:
            if self._count_holders() != self._holders:
                return None
            self._lent, self._version = False, next(_versions)
        return self._version

    def _count_holders(self) -> tuple[int, int]:
        return sys.getrefcount(self._data), sys.getrefcount(self._owner)

    def expose(self) -> None:
        """From now on the values may change by other ways than ``data``: no more versions."""
        self._owner = None

    def share_data(self, other: Blob) -> None:
        """Use the values of ``other``, which must have as many of them, as one's own."""
        other.expose()
        self.expose()
        self._data = other.data.reshape(self._shape)

    def share_diff(self, other: Blob) -> None:
        """Use the gradient of ``other``, which must have as many values, as one's own."""
        self._diff, self._forgotten = other.diff.reshape(self._shape), False

    def use(self, data: Array, diff: Array) -> None:
        """Keep values and gradient in these arrays, part of a larger arena, from now on.

        Values that were there are copied over. Whoever hands out the arena has to :meth:`expose`
        the blob.
        """
        data, diff = data.reshape(self._shape), diff.reshape(self._shape)
        if self._data is not None:
            data[...] = self._data
        if self._diff is not None:
            diff[...] = self._diff
        self._data, self._diff = data, diff
        self._own()

    def lend(self, data: Array) -> None:
        """Keep the values in this array, which others may use in turn, from now on."""
        self._data, self._owner = data.reshape(self._shape), None

    def _own(self) -> None:
        """Look at the values through an array that counts the views of this blob alone.

        NumPy has a view of a view refer to the first array in the row. Here that would be the
        arena, but for the memoryview between them.
        """
        if self._data is None or not self._data.size:
            return
        self._owner = np.frombuffer(self._data.reshape(-1).data, np.float32)
        self._data = self._owner.reshape(self._shape)
        self._lent, self._holders = True, self._count_holders()

    # Caffe's four-axis names, for blobs of up to four axes: missing ones are 1.
    def _legacy(self, axis: int) -> int:
        if len(self._shape) > 4:
            raise ValueError(f"num, channels, height, width need at most 4 axes: {self._shape}")
        return (*self._shape, 1, 1, 1, 1)[axis]

    @property
    def num(self) -> int:
        return self._legacy(0)

    @property
    def channels(self) -> int:
        return self._legacy(1)

    @property
    def height(self) -> int:
        return self._legacy(2)

    @property
    def width(self) -> int:
        return self._legacy(3)

    def __repr__(self) -> str:
        return f"Blob{self._shape}"
