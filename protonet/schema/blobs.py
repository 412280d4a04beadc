"""The values and shape of a BlobProto, without walking over millions of numbers in Python."""

from __future__ import annotations

from typing import Any

import numpy as np

from protonet.blob import Array, Shape

_DATA_TAG = 5 << 3 | 2  # BlobProto.data = 5, packed
_BYTES = 2  # wire type: a length and that many bytes; the other fields without it are varints


def blob_shape(blob: Any) -> Shape:
    """Return the shape of a BlobProto; of old ones num, channels, height, width."""
    if blob.HasField("shape"):
        return tuple(blob.shape.dim)
    return (blob.num, blob.channels, blob.height, blob.width)


def blob_values(blob: Any) -> Array:
    """Return the values of a BlobProto, (count,) float32, read-only.

    protobuf gives numbers out one by one. Its wire form has them side by side, so it is quicker
    to serialize the blob, at the speed of a copy, and to look at the bytes.
    """
    if blob.double_data:
        return np.fromiter(blob.double_data, np.float32, len(blob.double_data))
    if not blob.data:
        return np.empty(0, np.float32)
    raw = blob.SerializePartialToString()
    at = 0
    while True:
        tag, at = _varint(raw, at)
        size, at = _varint(raw, at)
        if tag == _DATA_TAG:
            return np.frombuffer(raw, "<f4", size // 4, at)
        if tag & 7 == _BYTES:
            at += size


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    """Return a base-128 number at ``raw[at]`` and where it ends."""
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
