"""Snapshots in protobuf's binary format: .caffemodel and .solverstate.

Weights are streamed: the message they would make is as large as all of them. Only the outermost
fields are put on the wire here; everything small is a message.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.message import DecodeError

from protonet.blob import Array
from protonet.errors import OutputError, SnapshotError
from protonet.files import written_beside
from protonet.schema import caffe_pb2 as pb
from protonet.schema.binary import decode
from protonet.schema.blobs import blob_shape, blob_values
from protonet.schema.read import parse_weights
from protonet.solvers.snapshot import Stored, StoredState, StoredWeights

if TYPE_CHECKING:
    from protonet.net import Net
    from protonet.solvers.solver import Solver

_Path = str | os.PathLike[str]
_Parts = list[bytes | memoryview]

# Numbers of the fields whose contents may be large.
_NET_LAYER = pb.NetParameter.LAYER_FIELD_NUMBER
_LAYER_BLOBS = pb.LayerParameter.BLOBS_FIELD_NUMBER
_BLOB_DATA = pb.BlobProto.DATA_FIELD_NUMBER
_BLOB_DIFF = pb.BlobProto.DIFF_FIELD_NUMBER
_STATE_HISTORY = pb.SolverState.HISTORY_FIELD_NUMBER
_MAX_BYTES = 2**31 - 1  # what a protobuf reader accepts


def _varint(n: int) -> bytes:
    """Return a number in base 128, low digits first, as protobuf writes lengths and tags."""
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def _field(number: int, parts: _Parts) -> _Parts:
    """Return a field of known length (wire type 2) with these contents."""
    return [_varint(number << 3 | 2) + _varint(_size(parts)), *parts]


def _size(parts: _Parts) -> int:
    return sum(len(part) for part in parts)


def _blob(values: Array, diff: Array | None = None) -> _Parts:
    """Return a BlobProto, its values without a copy."""
    shape = pb.BlobProto(shape=pb.BlobShape(dim=values.shape))
    parts = [*_field(_BLOB_DATA, [_raw(values)]), shape.SerializeToString()]
    return parts if diff is None else [*parts, *_field(_BLOB_DIFF, [_raw(diff)])]


def _raw(values: Array) -> memoryview:
    return np.ascontiguousarray(values, "<f4").reshape(-1).view(np.uint8).data


def _write(path: _Path, parts: _Parts) -> None:
    size = _size(parts)
    if size > _MAX_BYTES:
        raise OutputError(
            f"{os.fspath(path)}: takes {size} bytes, more than the binary format can hold; use "
            "snapshot_format: HDF5"
        )
    with written_beside(path) as file:
        for part in parts:
            file.write(part)


def save_weights(net: Net, path: _Path, diffs: bool) -> None:
    """Write a net's layers with their weights as a NetParameter."""
    parts: _Parts = [pb.NetParameter(name=net.name).SerializeToString()]
    for step in net.steps:
        param = pb.LayerParameter()
        param.CopyFrom(step.node.param)
        param.phase = step.layer.phase
        del param.blobs[:]
        layer: _Parts = [param.SerializePartialToString()]
        for blob in step.layer.blobs:
            layer += _field(_LAYER_BLOBS, _blob(blob.data, blob.diff if diffs else None))
        parts += _field(_NET_LAYER, layer)
    _write(path, parts)


def save_state(solver: Solver, path: _Path, weights: _Path) -> None:
    """Write a solver's iteration, step and history as a SolverState."""
    head = pb.SolverState(
        iter=solver.iter, learned_net=os.fspath(weights), current_step=solver.current_step
    )
    parts: _Parts = [head.SerializeToString()]
    for history in solver.history:
        parts += _field(_STATE_HISTORY, _blob(history))
    _write(path, parts)


def _stored(blob: Any) -> Stored:
    return Stored(blob_shape(blob), partial(blob_values, blob), four=not blob.HasField("shape"))


def read_weights(path: _Path | bytes) -> StoredWeights:
    """Read a .caffemodel of any generation, or its bytes.

    Raises:
        SnapshotError: the file cannot be read or is none.
    """
    net = parse_weights(path)
    return StoredWeights(
        [(la.name, {i: _stored(b) for i, b in enumerate(la.blobs)}) for la in net.layer]
    )


def read_state(path: _Path) -> StoredState:
    """Read a .solverstate.

    Raises:
        SnapshotError: the file cannot be read or is none.
    """
    name = os.fspath(path)
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise SnapshotError(f"{name}: cannot be read: {error.strerror}") from None
    try:
        state = decode(pb.SolverState, raw)
    except UnicodeError:
        raise SnapshotError(f"{name}: not a solver state: learned_net is not UTF-8") from None
    except DecodeError:
        raise SnapshotError(f"{name}: not a solver state, or cut off at {len(raw)} bytes") from None
    if not state.HasField("iter"):
        raise SnapshotError(f"{name}: not a solver state: it has no iteration")
    history = [_stored(blob) for blob in state.history]
    return StoredState(state.iter, state.learned_net, state.current_step, history)
