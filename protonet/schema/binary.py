"""Bytes to messages, strings checked, which protobuf leaves to whoever reads one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError

from protonet.schema import caffe_pb2 as pb

# What makes weights, by field number: names, types and blobs of layers in their three forms.
# Forks put options of their own under all other numbers.
_Wanted = dict[int, "_Wanted | None"]


def _wanted(message: Any, *names: str, **inner: _Wanted) -> _Wanted:
    numbers = {name: message.DESCRIPTOR.fields_by_name[name].number for name in (*names, *inner)}
    return {number: inner.get(name) for name, number in numbers.items()}


_V0 = _wanted(pb.V0LayerParameter, "name", "type", "blobs")
_V1 = _wanted(pb.V1LayerParameter, "name", "type", "bottom", "top", "blobs", layer=_V0)
_LAYER = _wanted(pb.LayerParameter, "name", "type", "bottom", "top", "blobs")
_NET = _wanted(pb.NetParameter, "name", layer=_LAYER, layers=_V1)

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types


def decode(message: Any, data: bytes) -> Any:
    """Return the message of the class ``message`` that ``data`` encodes.

    Raises:
        google.protobuf.message.DecodeError: it encodes none, or is cut off.
        UnicodeError: a string in it is not UTF-8.
    """
    decoded = message.FromString(data)
    if not _are_strings(decoded):
        raise UnicodeError("a string is not UTF-8")
    return decoded


def _are_strings(message: Any) -> bool:
    """Whether the strings of a message are strings: protobuf gives out bytes or raises if not."""
    for field, value in message.ListFields():
        entries = value if field.is_repeated else [value]
        if field.message_type:
            # a blob has no strings, but a great many values
            if field.message_type.name != "BlobProto" and not all(map(_are_strings, entries)):
                return False
        elif field.type == field.TYPE_STRING and not all(isinstance(e, str) for e in entries):
            return False
    return True


def decode_weights(data: bytes) -> Any:
    """Return the NetParameter of a fork's .caffemodel: layers, their names, types and blobs.

    Raises:
        google.protobuf.message.DecodeError: the bytes have not the structure of one.
        UnicodeError: a name is not UTF-8.
    """
    return decode(pb.NetParameter, b"".join(_pick(memoryview(data), _NET)))


def _pick(data: memoryview, wanted: _Wanted) -> list[bytes | memoryview]:
    """Return the wanted fields of an encoded message, as they are or with their own picked."""
    parts: list[bytes | memoryview] = []
    for number, wire, start, begin, end in _fields(data):
        if number not in wanted:
            continue
        inner = wanted[number]
        if inner is None:
            parts.append(data[start:end])
        elif wire == _BYTES:
            picked = _pick(data[begin:end], inner)
            size = sum(len(part) for part in picked)
            parts += [encode_varint(number << 3 | _BYTES) + encode_varint(size), *picked]
    return parts


def _fields(data: memoryview) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield (number, wire type, start, start of the contents, end) of each field."""
    at, size = 0, len(data)
    while at < size:
        start = at
        tag, at = _varint(data, at)
        wire = tag & 7
        begin = at
        if wire == _VARINT:
            _, at = _varint(data, at)
        elif wire == _BYTES:
            length, begin = _varint(data, at)
            at = begin + length
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        else:
            raise DecodeError(f"a field of wire type {wire}")
        if at > size:
            raise DecodeError("cut off")
        yield tag >> 3, wire, start, begin, at


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return the base-128 number at ``data[at]`` and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise DecodeError("a number without an end")


def encode_varint(n: int) -> bytes:
    """Return a number in base 128, low digits first, as protobuf writes lengths and tags."""
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)
