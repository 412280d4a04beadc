"""Writing what blobs hold, batch by batch: the job of Caffe's extract_features.

In a database every row is a Datum of floats under its number in ten digits, as Caffe writes it.
In HDF5 and npz files all rows are one float32 array, named after the blob: (rows, ...).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

import numpy as np

from protonet.blob import Array, Shape
from protonet.data.writer import KINDS, new_database, refuse_existing
from protonet.errors import GraphError, OutputError, ShapeError, did_you_mean
from protonet.files import written_beside
from protonet.net import Net
from protonet.schema import caffe_pb2 as pb

FORMATS = (*KINDS, "hdf5", "npz")

Write = Callable[[Array], None]

_FLOAT_TAG = pb.Datum.FLOAT_DATA_FIELD_NUMBER << 3 | 5  # before each value: four bytes follow


def extract(
    net: Net,
    blobs: Sequence[str],
    outputs: Sequence[str],
    batches: int,
    kind: str,
    after_batch: Callable[[], None],
) -> list[int]:
    """Run a net forward and write blobs; the outputs appear together at the end, or not at all.

    Args:
        blobs: names of blobs of the net.
        outputs: for each a path, where nothing may be yet.
        batches: how many, at least 1.
        kind: one of ``FORMATS``.
        after_batch: is called after each.

    Returns:
        The number of rows written of each blob.

    Raises:
        GraphError: no such blob, or not as many blobs as outputs.
        ShapeError: a blob that does not fit the format, or changes its shape.
        OutputError: an output exists, is named twice, or cannot be written.
    """
    check(net, blobs, outputs, kind)
    rows = [0] * len(blobs)
    with ExitStack() as stack:
        writes = [
            stack.enter_context(_opened(kind, path, name, batches))
            for name, path in zip(blobs, outputs, strict=True)
        ]
        for _ in range(batches):
            net.run_forward()
            for i, (name, write) in enumerate(zip(blobs, writes, strict=True)):
                values = net.blobs[name].data
                values = values if values.ndim else values.reshape(1)
                write(values)
                rows[i] += len(values)
            after_batch()
    return rows


def check(net: Net, blobs: Sequence[str], outputs: Sequence[str], kind: str) -> None:
    """Raise what :func:`extract` would before it runs the net."""
    if len(blobs) != len(outputs):
        raise GraphError(
            f"expected an output for each of {len(blobs)} blobs, got {len(outputs)} outputs"
        )
    for name in blobs:
        if name not in net.blobs:
            hint = did_you_mean(name, set(net.blobs))
            raise GraphError(f"net '{net.name}' has no blob '{name}'{hint}")
        shape = net.blobs[name].shape
        if kind in KINDS and len(shape) > 4:
            raise ShapeError(
                f"blob '{name}': expected at most 4 axes for a database, got the shape {shape}; "
                "hdf5 and npz hold any"
            )
    for i, path in enumerate(outputs):
        if os.path.abspath(path) in map(os.path.abspath, outputs[:i]):
            raise OutputError(f"'{path}' is named for two blobs")
        refuse_existing(path)


def _opened(kind: str, path: str, name: str, batches: int) -> AbstractContextManager[Write]:
    if kind in KINDS:
        return _database(path, kind)
    return (_hdf5 if kind == "hdf5" else _npz)(path, name, batches)


@contextmanager
def _database(path: str, kind: str) -> Iterator[Write]:
    written = 0

    def write(values: Array) -> None:
        nonlocal written
        datums = _datums(values)
        put([(b"%010d" % (written + i), datum) for i, datum in enumerate(datums)])
        written += len(datums)

    with new_database(path, kind) as put:
        yield write


def _datums(values: Array) -> list[bytes]:
    """Return each row as the bytes of a Datum; values: (N, ...) of up to four axes."""
    channels, height, width = (*values.shape[1:], 1, 1, 1)[:3]
    head = pb.Datum(channels=channels, height=height, width=width).SerializeToString()
    count = math.prod(values.shape[1:])
    tagged = np.empty((len(values), count, 5), np.uint8)
    tagged[:, :, 0] = _FLOAT_TAG
    raw = np.ascontiguousarray(values, "<f4").reshape(len(values), count, 1).view(np.uint8)
    tagged[:, :, 1:] = raw
    return [head + row.tobytes() for row in tagged]


@contextmanager
def _hdf5(path: str, name: str, batches: int) -> Iterator[Write]:
    import h5py

    written = 0
    first: Shape = ()

    def write(values: Array) -> None:
        nonlocal written, first
        first = _same(name, values.shape, first)
        if not written:
            shape = (len(values) * batches, *values.shape[1:])
            out.create_dataset(name, shape, np.float32)
        out[name][written : written + len(values)] = values
        written += len(values)

    with written_beside(path) as file, h5py.File(file, "w") as out:
        yield write


@contextmanager
def _npz(path: str, name: str, batches: int) -> Iterator[Write]:
    from zipfile import ZipFile

    first: Shape = ()

    def write(values: Array) -> None:
        nonlocal first
        if not first:
            shape = (len(values) * batches, *values.shape[1:])
            head = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_2_0(entry, head)
        first = _same(name, values.shape, first)
        entry.write(np.ascontiguousarray(values, "<f4").tobytes())

    with (
        written_beside(path) as file,
        ZipFile(file, "w") as archive,
        archive.open(f"{name}.npy", "w", force_zip64=True) as entry,
    ):
        yield write


def _same(name: str, shape: Shape, first: Shape) -> Shape:
    """Return the shape that all batches must have."""
    if first and shape != first:
        raise ShapeError(
            f"blob '{name}': expected batches of one shape for one array, got {shape} after "
            f"{first}; a database holds rows of any"
        )
    return shape
