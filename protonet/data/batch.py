"""Batches of records, parsed from their wire format and transformed in one go.

The prefetch thread must not keep the interpreter from the thread that trains: all work on a batch
of plain datums is one call of a kernel that holds no lock. The kernel knows Datums whose bytes or
floats are of the shape it was told; at the first record that is anything else (encoded, of another
shape, broken) it gives up and the batch is done record by record in Python, with the same results
to the bit, and with errors that say what is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from protonet import random
from protonet.blob import aligned_zeros
from protonet.data.datum import decode_datum
from protonet.data.source import Cursor, Source, Values
from protonet.data.transformer import Shape3, Transformer, skip_draws
from protonet.errors import DataError
from protonet.kernels.jit import kernel

Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclass
class Batch:
    """A batch that is reused: the images (N, C, H, W) and their labels (N,), both float32."""

    data: Array
    labels: Array

    @classmethod
    def empty(cls) -> Batch:
        return cls(np.empty((0, 0, 0, 0), np.float32), np.empty(0, np.float32))

    def reshape(self, *shape: int) -> None:
        """Make room for images of this shape. Values are not kept."""
        if self.data.shape != shape:
            self.data = aligned_zeros(int(np.prod(shape))).reshape(shape)
            self.labels = aligned_zeros(shape[0])


class DatumReader:
    """Reads batch after batch of a source. Belongs to one thread at a time."""

    def __init__(
        self,
        source: Source,
        transformer: Transformer,
        batch_size: int,
        rng: np.random.Generator,
        skip: int = 0,
        before_kernel: int = 0,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            rng: a fresh generator of this reader's own.
            skip: records at the beginning of the source that are left out of the first pass.
            before_kernel: batches to do in Python at first, so that compiling the kernel does
                not keep a net from its first iteration.
        """
        self._source = source
        self._transformer = transformer
        self._size = batch_size
        self._rng_state = random.frozen(rng)
        self._skip = skip
        self._before_kernel = before_kernel
        self._shape: Shape3 = (0, 0, 0)  # of the images of the batch before
        self._mean = np.empty(0, np.float32)
        self.seek(0)

    def seek(self, record: int) -> None:
        """Go on with the record that would come after so many, random draws included."""
        self._cursor = Cursor(self._source, self._skip + record)
        # A new one: the old one's lock may be held by a thread that did not come along to a fork.
        self._rng = random.thawed(self._rng_state)
        if self._transformer.random:
            skip_draws(self._rng, record)

    def read(self, batch: Batch) -> int:
        """Fill ``batch`` with the next records. Returns how many they are.

        Raises:
            DataError: a record is broken or does not fit the batch or the transformation.
        """
        values = self._cursor.take(self._size)
        draws = self._transformer.draw(self._rng, self._size)
        if self._before_kernel > 0:
            self._before_kernel -= 1
            self._read_each(values, draws, batch)
        elif not self._read_fast(values, draws, batch):
            self._read_each(values, draws, batch)
        return self._size

    def _read_fast(self, values: Values, draws: Any, batch: Batch) -> bool:
        if self._shape[0] == 0:
            return False
        t = self._transformer
        cut = t.output_shape(self._shape)
        batch.reshape(self._size, *cut)
        done = transform_records(
            values.memory,
            values.starts,
            values.ends,
            self._shape,
            cut,
            self._mean,
            t.scale,
            t.crop,
            t.mirror,
            draws,
            batch.data.reshape(-1),
            batch.labels,
        )
        return bool(done == len(values))

    def _read_each(self, values: Values, draws: Any, batch: Batch) -> None:
        plain = True
        for i, value in enumerate(values):

            def describe(back: int = len(values) - i) -> str:
                return self._cursor.describe(back)

            image, label = decode_datum(value, describe, self._transformer.color)
            try:
                if i == 0:
                    # As in Caffe the first record of a batch gives the batch its shape.
                    shape: Shape3 = image.shape
                    batch.reshape(self._size, *self._transformer.output_shape(shape))
                self._transformer.apply(image, draws[i], batch.data[i])
            except DataError as error:
                raise DataError(f"{describe()}: {error}") from error
            plain = plain and image.shape == shape
            batch.labels[i] = label
        self._shape = shape if plain else (0, 0, 0)
        self._mean = self._transformer.mean(shape).reshape(-1)


@kernel("inline")
def read_varint(x: Any, i: Any, end: int) -> tuple[Any, Any]:
    """Return the varint that starts at x[i], and where it ends; -1 if that is not before end."""
    value = np.int64(0)
    shift = 0
    while i < end and shift < 64:
        byte = np.int64(x[i])
        value |= (byte & 127) << shift
        i += 1
        if byte < 128:
            return value, i
        shift += 7
    return value, np.int64(-1)


@kernel("inline")
def read_fields(x: Any, i: int, end: int, fields: Any) -> bool:
    """Parse the Datum in x[i:end]. Returns whether it is one of the plain kind.

    fields: output, by field number: 1, 2, 3 = C, H, W; 4 = where the bytes start; 5 = label;
    6 = where the first float starts; 0 = number of values.
    """
    fields[:] = 0
    while i < end:
        tag, i = read_varint(x, i, end)
        if i < 0:
            return False
        if tag == 34 or tag == 53:
            if fields[4]:
                return False
            if tag == 34:
                size, i = read_varint(x, i, end)
                if i < 0 or fields[6] or size < 1 or size > end - i:
                    return False
                fields[4], fields[0] = i, size
                i += size
            else:
                if fields[6] == 0:
                    fields[6] = i
                elif i != fields[6] + 5 * fields[0]:
                    return False
                fields[0] += 1
                i += 4
                if i > end:
                    return False
        elif tag == 8 or tag == 16 or tag == 24 or tag == 40 or tag == 56:
            value, i = read_varint(x, i, end)
            if i < 0 or (tag == 56 and value):
                return False
            if tag < 56:
                fields[tag >> 3] = np.int32(value)
        else:
            return False
    return True


@kernel(
    "int64(Array(uint8, 1, 'C', readonly=True), int64[::1], int64[::1], UniTuple(int64, 3),"
    "UniTuple(int64, 3), float32[::1], float32, int64, boolean, uint64[:,::1], float32[::1],"
    "float32[::1])",
    allocates=True,
)
def transform_records(
    memory: Any,
    starts: Any,
    ends: Any,
    shape: Shape3,
    cut: Any,
    mean: Any,
    scale: float,
    crop: int,
    mirror: bool,
    draws: Any,
    y: Any,
    labels: Any,
) -> int:
    """Parse and transform a batch of Datums. Returns the number done before one was not plain.

    memory: (bytes,) uint8; starts, ends: (N,) where in it each Datum is; shape: (C, H, W)
    of every image; cut: (C, h, w) of what is taken of it; mean: (C * H * W,), (C,) or (0,);
    crop: NO_CROP, CENTRE, RANDOM; draws: (N, DRAWS); outputs y: (N * C * h * w,) and labels: (N,).
    """
    C, H, W = shape
    _, h, w = cut
    whole_mean = mean.size == C * H * W
    channels, rows, length = C, h, w
    if h == H and w == W and not mirror and (whole_mean or mean.size == 0):
        channels, rows, length = 1, 1, C * H * W  # nothing tells the rows apart
    one_float = np.empty(1, np.float32)
    bits = one_float.view(np.uint8)
    fields = np.empty(7, np.int64)
    for n in range(ends.size):
        if not read_fields(memory, starts[n], ends[n], fields):
            return n
        if fields[1] != C or fields[2] != H or fields[3] != W or fields[0] < C * H * W:
            return n
        labels[n] = fields[5]
        top, left = (H - h) // 2, (W - w) // 2
        if crop == 2:
            top = np.int64(draws[n, 1] % np.uint64(H - h + 1))
            left = np.int64(draws[n, 2] % np.uint64(W - w + 1))
        flip = mirror and (draws[n, 0] & np.uint64(1)) != 0
        for c in range(channels):
            for r in range(rows):
                at = (c * H + top + r) * W + left
                to = ((n * C + c) * h + r) * w
                row = y[to : to + length]
                if fields[4]:
                    values = memory[fields[4] + at : fields[4] + at + length]
                    for k in range(length):
                        row[k] = values[k]
                else:
                    for k in range(length):
                        for b in range(4):
                            bits[b] = memory[fields[6] + 5 * (at + k) + b]
                        row[k] = one_float[0]
                if mean.size == 0:
                    for k in range(length):
                        row[k] = row[k] * scale
                elif whole_mean:
                    for k in range(length):
                        row[k] = (row[k] - mean[at + k]) * scale
                else:
                    for k in range(length):
                        row[k] = (row[k] - mean[c]) * scale
                if flip:
                    for k in range(length // 2):
                        row[k], row[length - 1 - k] = row[length - 1 - k], row[k]
    return ends.size
