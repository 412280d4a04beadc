"""Write messages: as text for people, as bytes for weights, always whole files or none."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from protonet.files import written_beside
from protonet.schema import extra

BINARY_SUFFIXES = (".caffemodel", ".solverstate", ".binaryproto")


def write_text(message: Any) -> str:
    """Return a message as prototxt: one field a line, nothing that equals its absence.

    Fields of forks, which the schema does not know, follow those that it knows.
    """
    if next(extra.walk(message), None) is None:
        return str(text_format.MessageToString(message, as_utf8=True))
    return "\n".join([*_lines(message, 0), ""])


def _lines(message: Any, indent: int) -> Iterator[str]:
    pad = "  " * indent
    for field, value in message.ListFields():
        for entry in value if field.is_repeated else [value]:
            if field.message_type:
                yield f"{pad}{field.name} {{"
                yield from _lines(entry, indent + 1)
                yield pad + "}"
            else:
                text = io.StringIO()
                text_format.PrintFieldValue(field, entry, text, as_utf8=True)
                yield f"{pad}{field.name}: {text.getvalue()}"
    for kept in extra.extras(message):
        if kept.written:
            yield from extra.write(kept.name, kept.value, indent)


def write_file(message: Any, path: str | os.PathLike[str]) -> None:
    """Write a message to ``path``: binary for Caffe's binary suffixes, else text.

    Raises:
        OutputError: the file cannot be written. An older file is left as it was.
    """
    if is_binary_name(path):
        data = message.SerializePartialToString()
    else:
        data = write_text(message).encode()
    with written_beside(path) as file:
        file.write(data)


def is_binary_name(path: str | os.PathLike[str]) -> bool:
    """Whether files of this name hold bytes by Caffe's custom."""
    return Path(path).suffix in BINARY_SUFFIXES
