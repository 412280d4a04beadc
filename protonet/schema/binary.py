"""Bytes to messages, strings checked, which protobuf leaves to whoever reads one."""

from __future__ import annotations

from typing import Any


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
