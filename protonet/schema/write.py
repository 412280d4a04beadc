"""Write messages: as text for people, as bytes for weights, always whole files or none."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from google.protobuf import text_format

from protonet.errors import OutputError

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


@contextmanager
def written_beside(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
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
