"""Databases of records, opened for reading only: the interface that LMDB and LevelDB share.

A source is a folder of key-value records. Which kind it is, is told by what the folder holds,
whatever the net says. Nothing in the folder is ever changed, so that it may lie on a read-only
medium and be open in any number of nets and processes.
"""

from __future__ import annotations

import itertools
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import numpy as np

from protonet.errors import DataError

Record = tuple[bytes, bytes]


@dataclass(frozen=True)
class Values:
    """Values of records, in memory that a kernel can read.

    Attributes:
        memory: (bytes,) uint8, not to be written to.
        starts, ends: (N,) int64, where each value is in it.
    """

    memory: np.ndarray[Any, np.dtype[Any]]
    starts: np.ndarray[Any, np.dtype[Any]]
    ends: np.ndarray[Any, np.dtype[Any]]

    @classmethod
    def of(cls, values: list[bytes]) -> Values:
        """Lay values one after the other."""
        sizes = np.fromiter(map(len, values), np.int64, len(values))
        ends = sizes.cumsum()
        return cls(np.frombuffer(b"".join(values), np.uint8), ends - sizes, ends)

    def __len__(self) -> int:
        return len(self.ends)

    def __iter__(self) -> Iterator[bytes]:
        for start, end in zip(self.starts.tolist(), self.ends.tolist(), strict=True):
            yield self.memory[start:end].tobytes()


class Source(ABC):
    """The records of one database, in the order of their keys (bytewise, as Caffe reads them).

    Sources are shared, so there is no close(): the files are let go with the last reference.

    Attributes:
        path: the folder.
        kind: "lmdb" or "leveldb".
    """

    kind: ClassVar[str]

    def __init__(self, path: str) -> None:
        self.path = path

    @abstractmethod
    def __len__(self) -> int:
        """Number of records. For a LevelDB the first call reads through all of them."""

    @abstractmethod
    def __iter__(self) -> Iterator[Record]:
        """One pass over (key, value), as bytes of one's own."""

    @abstractmethod
    def keys(self) -> Iterator[bytes]:
        """One pass over the keys alone."""

    @abstractmethod
    def values(self) -> Iterator[bytes]:
        """One pass over the values alone."""

    def take_from(self, record: int) -> Callable[[int], Values]:
        """Begin a pass at a record, to read many at a time.

        Returns:
            A function that returns the next values: at most so many; none after the last one.
        """
        values = itertools.islice(self.values(), record, None)
        return lambda count: Values.of(list(itertools.islice(values, count)))

    def first(self) -> bytes:
        """Return the value of the first record.

        Raises:
            DataError: there is none.
        """
        for value in self.values():
            return value
        raise DataError(f"source '{self.path}' ({self.kind}) is empty: it holds no records")

    def describe(self, index: int) -> str:
        """Return how messages name the record at ``index``: source, number and key."""
        key = next(itertools.islice(self.keys(), index, None), b"")
        return f"source '{self.path}': record {index} (key '{key.decode('utf-8', 'replace')}')"


class Cursor:
    """Reads values around and around a source: after the last record comes the first.

    Belongs to one thread. Nothing is opened before the first record is taken.

    Attributes:
        index: of the record that comes next, counted from the first key.
    """

    def __init__(self, source: Source, start: int = 0) -> None:
        self.source = source
        self.index = start
        self._take: Callable[[int], Values] | None = None

    def take(self, count: int) -> Values:
        """Return the next ``count`` values.

        Raises:
            DataError: the source is empty or broken.
        """
        parts: list[Values] = []
        left = count
        while left > 0:
            if self._take is None:
                self._take = self._begin()
            got = self._take(left)
            if len(got) == 0:
                self._wrap()
                continue
            parts.append(got)
            self.index += len(got)
            left -= len(got)
        return parts[0] if len(parts) == 1 else Values.of([v for part in parts for v in part])

    def describe(self, back: int) -> str:
        """Return how messages name the record taken ``back`` records before the next one."""
        index = self.index - back
        return self.source.describe(index if index >= 0 else index % len(self.source))

    def _begin(self) -> Callable[[int], Values]:
        """Begin a pass at record ``index``, around the source."""
        if self.index > 0:
            count = len(self.source)
            if count == 0:
                self.source.first()
            self.index %= count
        return self.source.take_from(self.index)

    def _wrap(self) -> None:
        if self.index == 0:
            self.source.first()
        self.index = 0
        self._take = None


_open_sources: WeakValueDictionary[str, Source] = WeakValueDictionary()
_lock = threading.Lock()


def open_source(path: str | os.PathLike[str]) -> Source:
    """Open the database in a folder, or share the handle that this process already has on it.

    Raises:
        DataError: no such folder, neither an LMDB nor a LevelDB, damaged, or without records.
    """
    name = os.fspath(path)
    key = os.path.realpath(name)
    with _lock:
        source = _open_sources.get(key)
        if source is None:
            source = _open(name)
            source.first()
            _open_sources[key] = source
        return source


def _open(name: str) -> Source:
    if not os.path.exists(name):
        raise DataError(f"source '{name}' does not exist (looked in: {os.path.abspath(name)})")
    if not os.path.isdir(name):
        raise DataError(f"source '{name}' is a file; expected the folder of an LMDB or LevelDB")
    if os.path.exists(os.path.join(name, "data.mdb")):
        from protonet.data.lmdb_source import LmdbSource

        return LmdbSource(name)
    if os.path.exists(os.path.join(name, "CURRENT")):
        from protonet.data.leveldb_source import LevelDbSource

        return LevelDbSource(name)
    held = sorted(os.listdir(name))
    what = f"holds {', '.join(held[:3])}{', …' if len(held) > 3 else ''}" if held else "is empty"
    raise DataError(
        f"source '{name}' is no database: the folder {what}; "
        "expected data.mdb (LMDB) or CURRENT (LevelDB)"
    )
