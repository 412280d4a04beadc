"""LevelDB databases, read through a shadow so that the folder itself never changes.

Opening a LevelDB locks its folder, replays its log into a new table, writes a new manifest and
deletes what became obsolete; two processes cannot have it open at once. All of that happens to a
shadow instead: a temporary folder with links to the tables and copies of the rest. Links are
named ``.sst``, the older name for tables, which LevelDB reads but never writes; so it has no name
under which it could write through a link, and deleting a link deletes nothing else.
"""

from __future__ import annotations

import functools
import glob
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Iterator
from typing import Any

from protonet.data._plyvel import plyvel
from protonet.data.leveldb_tables import check_tables
from protonet.data.source import Record, Source
from protonet.errors import DataError
from protonet.files import running

_PREFIX = "protonet-leveldb-"  # of shadows; the number of the process follows
_STALE = 24 * 3600  # seconds after which the shadow of a process that was killed is removed
_inherited: list[Any] = []  # handles of a parent process, which must not even be closed


class LevelDbSource(Source):
    """A LevelDB folder (``CURRENT``, tables, logs; snappy or not)."""

    kind = "leveldb"

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._count: int | None = None
        self._open()

    def _open(self) -> None:
        binding = plyvel()
        _remove_stale()
        shadow = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-")
        self._opened: list[Any] = []
        self._process = os.getpid()
        self._release = weakref.finalize(self, _release, self._opened, shadow, self._process)
        try:
            _fill_shadow(self.path, shadow)
            check_tables(shadow)
            self._opened.append(binding.DB(shadow, paranoid_checks=True))
        except (binding.Error, OSError) as error:
            self._release()
            reason = str(error).replace(shadow, self.path)
            raise DataError(f"source '{self.path}' (leveldb) cannot be opened: {reason}") from error

    def __len__(self) -> int:
        if self._count is None:
            self._count = sum(1 for _ in self.keys())
        return self._count

    def _pass(self, keys: bool, values: bool) -> Iterator[Any]:
        binding = plyvel()
        if self._process != os.getpid():
            # A forked child has the handle but not the threads behind it: it opens its own.
            _inherited.append(self._opened)
            self._open()
        try:
            with self._opened[0].iterator(
                include_key=keys, include_value=values, fill_cache=False, verify_checksums=True
            ) as records:
                yield from records
            # A damaged block is skipped, and told of with the record after it. Behind the last
            # one, which has none after it, only this tells.
            with self._opened[0].raw_iterator(verify_checksums=True, fill_cache=False) as last:
                last.seek_to_last()
        except binding.Error as error:
            reason = str(error)
            raise DataError(f"source '{self.path}' (leveldb) cannot be read: {reason}") from error

    def __iter__(self) -> Iterator[Record]:
        return self._pass(True, True)

    def keys(self) -> Iterator[bytes]:
        return self._pass(True, False)

    def values(self) -> Iterator[bytes]:
        return self._pass(False, True)


@functools.cache
def _remove_stale() -> None:
    """Remove, once, the shadows that killed processes left behind more than a day ago."""
    for path in glob.glob(os.path.join(tempfile.gettempdir(), f"{_PREFIX}*")):
        process = os.path.basename(path).removeprefix(_PREFIX).partition("-")[0]
        try:
            old = time.time() - os.path.getmtime(path) > _STALE
            if old and not (process.isdecimal() and running(int(process))):
                shutil.rmtree(path, ignore_errors=True)
        except OSError:  # another process was faster
            continue


def _fill_shadow(path: str, shadow: str) -> None:
    """Put into ``shadow`` all that LevelDB needs to open the database in ``path``."""
    with os.scandir(path) as scanned:
        entries = list(scanned)
    for entry in entries:
        stem, suffix = os.path.splitext(entry.name)
        if suffix in (".ldb", ".sst"):
            link = os.path.join(shadow, stem + ".sst")
            # Under both names, LevelDB takes the table named .ldb.
            if suffix == ".ldb" or not os.path.exists(os.path.join(path, stem + ".ldb")):
                _link(os.path.abspath(entry.path), link)
        elif suffix == ".log" or entry.name == "CURRENT" or entry.name.startswith("MANIFEST-"):
            # Contents only: in a read-only folder the files are read-only too.
            shutil.copyfile(entry.path, os.path.join(shadow, entry.name))


def _link(table: str, link: str) -> None:
    """Make ``link`` lead to ``table``. Windows lets few users make symbolic links."""
    try:
        os.symlink(table, link)
    except OSError:
        try:
            os.link(table, link)
        except OSError:
            shutil.copyfile(table, link)


def _release(opened: list[Any], shadow: str, process: int) -> None:
    """Let go of a shadow, unless this is a forked child, whose parent still reads it.

    The database closes by itself when its last iterator has gone: plyvel does not allow for
    iterators that outlive a call of close().
    """
    if os.getpid() == process:
        opened.clear()
        shutil.rmtree(shadow, ignore_errors=True)
