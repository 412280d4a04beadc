"""Writing files so that nothing is ever half-written."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from protonet.errors import OutputError

_PART = ".part"
_MADE_BY = re.compile(rf"\.(\d+)\.[^.]+{re.escape(_PART)}$")


@contextmanager
def written_beside(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Yield a file that becomes ``path`` when the block ends well, and vanishes when it fails.

    Raises:
        OutputError: the file cannot be written.
    """
    target = Path(path)
    try:
        file = tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name}.{os.getpid()}.", suffix=_PART, delete=False
        )
        try:
            with file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.chmod(file.name, 0o666 & ~_umask())
            os.replace(file.name, target)
            _sync_folder(target.parent)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from None


def write_text_beside(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file as UTF-8, whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    with written_beside(path) as file:
        file.write(text.encode())


def sweep(folder: str | os.PathLike[str]) -> None:
    """Remove what processes that were killed had half-written beside the files of a folder."""
    for path in Path(folder).glob(f".*{_PART}"):
        match = _MADE_BY.search(path.name)
        if match and not running(int(match[1])):
            path.unlink(missing_ok=True)


def running(process: int) -> bool:
    """Whether a process exists. Where that cannot be asked, files in use cannot be deleted."""
    if os.name == "nt":
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _sync_folder(folder: Path) -> None:
    """Have the new name on the disk, too. Windows does that by itself."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        pass  # not every file system can; the file itself is there
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
