"""Write messages: as text for people, as bytes for weights, always whole files or none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from protonet.files import written_beside

BINARY_SUFFIXES = (".caffemodel", ".solverstate", ".binaryproto")


def write_text(message: Any) -> str:
    """Return a message as prototxt: one field a line, nothing that equals its absence."""
    return str(text_format.MessageToString(message, as_utf8=True))


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
