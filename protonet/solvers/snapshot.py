"""Weights and solver states on disk: .caffemodel and .solverstate, as Caffe writes and reads them.

Files are written beside their place, flushed, and renamed: a reader sees the old file or the whole
new one. Weights are streamed, since the message they make is as large as all of them. A file
that does not fit changes nothing.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from protonet.blob import Array, Blob, Shape
from protonet.errors import OutputError, SnapshotError
from protonet.schema import caffe_pb2 as pb

if TYPE_CHECKING:
    from protonet.net import Net
    from protonet.solvers.solver import Solver

_Path = str | os.PathLike[str]

# Field tags on the wire: (number << 3) | 2, a length and that many bytes follow.
_NET_NAME = b"\x0a"  # NetParameter.name = 1
_NET_LAYER = b"\xa2\x06"  # NetParameter.layer = 100
_LAYER_BLOBS = b"\x3a"  # LayerParameter.blobs = 7
_BLOB_DATA = b"\x2a"  # BlobProto.data = 5, packed
_BLOB_SHAPE = b"\x3a"  # BlobProto.shape = 7
_MAX_BYTES = 2**31 - 1  # what a protobuf reader accepts


@contextmanager
def written_beside(path: _Path) -> Iterator[IO[bytes]]:
    """Yield a file that becomes ``path`` when the block ends well, and vanishes when it fails.

    Raises:
        OutputError: the file cannot be written.
    """
    target = Path(path)
    try:
        file = tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name}.", suffix=".part", delete=False
        )
        try:
            with file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.chmod(file.name, 0o666 & ~_umask())
            os.replace(file.name, target)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _varint(n: int) -> bytes:
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def _blob_parts(data: Array) -> list[bytes | memoryview]:
    """Return the wire form of a BlobProto as pieces, the values without a copy."""
    shape = pb.BlobShape(dim=data.shape).SerializeToString()
    values = np.ascontiguousarray(data, "<f4").reshape(-1).view(np.uint8).data
    return [
        _BLOB_DATA + _varint(len(values)),
        values,
        _BLOB_SHAPE + _varint(len(shape)) + shape,
    ]


def _size(parts: list[bytes | memoryview]) -> int:
    return sum(len(part) for part in parts)


def save_weights(net: Net, path: _Path) -> None:
    """Write a net's layers with their blobs as a binary NetParameter.

    Raises:
        OutputError: the file cannot be written, or would be larger than protobuf can read (2 GB).
    """
    parts: list[bytes | memoryview] = []
    if net.name:
        name = net.name.encode()
        parts.append(_NET_NAME + _varint(len(name)) + name)
    for step in net.steps:
        param = pb.LayerParameter()
        param.CopyFrom(step.node.param)
        param.phase = step.layer.phase
        del param.blobs[:]
        layer: list[bytes | memoryview] = [param.SerializePartialToString()]
        for blob in step.layer.blobs:
            pieces = _blob_parts(blob.data)
            layer += [_LAYER_BLOBS + _varint(_size(pieces)), *pieces]
        parts += [_NET_LAYER + _varint(_size(layer)), *layer]
    size = _size(parts)
    if size > _MAX_BYTES:
        raise OutputError(
            f"{path}: the weights take {size} bytes, more than a .caffemodel can hold"
        )
    with written_beside(path) as file:
        for part in parts:
            file.write(part)


def blob_shape(blob: Any) -> Shape:
    """Return the shape of a BlobProto, old ones (num, channels, height, width) included."""
    if blob.HasField("shape"):
        return tuple(blob.shape.dim)
    return (blob.num, blob.channels, blob.height, blob.width)


def _is_legacy(blob: Any) -> bool:
    return any(blob.HasField(name) for name in ("num", "channels", "height", "width"))


def _fits(blob: Any, shape: Shape) -> bool:
    """Whether a BlobProto has this shape; four numbers may have ones put before it."""
    stored = blob_shape(blob)
    if _is_legacy(blob) and not blob.HasField("shape"):
        return len(shape) <= 4 and stored == (1,) * (4 - len(shape)) + shape
    return stored == shape


def _check(blob: Any, shape: Shape, what: str) -> None:
    """Raise SnapshotError unless a BlobProto has this shape and as many values."""
    if not _fits(blob, shape):
        raise SnapshotError(f"{what}: expected the shape {shape}, got {blob_shape(blob)}")
    values, expected = len(blob.double_data or blob.data), math.prod(shape)
    if values != expected:
        raise SnapshotError(f"{what}: expected {expected} values, got {values}")


def _copy_values(blob: Any, target: Array) -> None:
    target.reshape(-1)[...] = np.array(blob.double_data or blob.data, np.float32)


def load_weights(net: Net, path: _Path) -> list[str]:
    """Copy the weights of a file into the layers of the same names.

    Returns:
        Names of layers with weights in the file that the net does not have.

    Raises:
        SnapshotError: the file is not a weights file, is cut off, or holds blobs of other numbers
            or shapes than the net's layers. The net is unchanged then.
    """
    from protonet.schema.read import parse_weights

    stored = parse_weights(path)
    layers = net.layer_dict
    unused: list[str] = []
    pairs: list[tuple[Any, Blob]] = []
    for source in stored.layer:
        layer = layers.get(source.name)
        if layer is None:
            if source.blobs:
                unused.append(source.name)
            continue
        if not source.blobs and not layer.blobs:
            continue
        what = f"{os.fspath(path)}: layer '{layer.name}' ({layer.type})"
        if len(source.blobs) != len(layer.blobs):
            raise SnapshotError(
                f"{what}: expected {len(layer.blobs)} parameter blobs, got {len(source.blobs)}"
            )
        for i, (blob, mine) in enumerate(zip(source.blobs, layer.blobs, strict=True)):
            _check(blob, mine.shape, f"{what}: parameter {i}")
            pairs.append((blob, mine))
    for blob, mine in pairs:
        _copy_values(blob, mine.data)
    return unused


def save_state(solver: Solver, path: _Path, weights: _Path) -> None:
    """Write iteration, step and history of a solver as a binary SolverState.

    Raises:
        OutputError: the file cannot be written.
    """
    head = pb.SolverState(
        iter=solver.iter, learned_net=os.fspath(weights), current_step=solver.current_step
    )
    with written_beside(path) as file:
        file.write(head.SerializeToString())
        for history in solver.history:
            pieces = _blob_parts(history)
            # SolverState.history = 3
            file.write(b"\x1a" + _varint(_size(pieces)))
            for piece in pieces:
                file.write(piece)


def load_state(solver: Solver, path: _Path) -> str:
    """Restore iteration, step and history; return the path of the weights that go with them.

    Raises:
        SnapshotError: the file cannot be read, or its history does not fit the solver.
    """
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise SnapshotError(f"{os.fspath(path)}: cannot be read: {error.strerror}") from None
    state = pb.SolverState()
    try:
        state.ParseFromString(raw)
    except Exception:  # protobuf's DecodeError, whichever implementation raises it
        raise SnapshotError(
            f"{os.fspath(path)}: not a solver state, or cut off ({len(raw)} bytes)"
        ) from None
    if not state.HasField("iter"):
        raise SnapshotError(f"{os.fspath(path)}: not a solver state: it has no iteration")
    mine = solver.history
    if len(state.history) != len(mine):
        raise SnapshotError(
            f"{os.fspath(path)}: expected {len(mine)} history blobs for the {solver.type} solver "
            f"of this net, got {len(state.history)}"
        )
    for i, (blob, history) in enumerate(zip(state.history, mine, strict=True)):
        _check(blob, history.shape, f"{os.fspath(path)}: history blob {i}")
    for blob, history in zip(state.history, mine, strict=True):
        _copy_values(blob, history)
    solver.iter = state.iter
    solver.current_step = state.current_step
    return str(state.learned_net)
