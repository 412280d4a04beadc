"""LMDB databases, memory-mapped, read without locks and without touching the folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from protonet.data.lmdb_pages import LmdbPages, Run
from protonet.data.source import Record, Source, Values
from protonet.errors import DataError


class LmdbSource(Source):
    """An LMDB folder (``data.mdb``). No ``lock.mdb`` is made: the records must be at rest."""

    kind = "lmdb"

    def __init__(self, path: str) -> None:
        super().__init__(path)
        try:
            self._pages = LmdbPages(os.path.join(path, "data.mdb"))
        except DataError as error:
            raise self._error(error) from None
        except OSError as error:
            raise DataError(f"source '{path}' (lmdb) cannot be opened: {error.strerror}") from error

    def __len__(self) -> int:
        return self._pages.entries

    def _pass(self, keys: bool, values: bool) -> Iterator[Record]:
        try:
            yield from self._pages.records(keys, values)
        except DataError as error:
            raise self._error(error) from None

    def __iter__(self) -> Iterator[Record]:
        return self._pass(True, True)

    def keys(self) -> Iterator[bytes]:
        return (key for key, _ in self._pass(True, False))

    def values(self) -> Iterator[bytes]:
        return (value for _, value in self._pass(False, True))

    def take_from(self, record: int) -> Callable[[int], Values]:
        pages = self._pages
        runs = pages.runs()
        run: Run | None = None
        at = 0

        def take(count: int) -> Values:
            nonlocal run, at
            try:
                while run is None or at >= run.starts.size:
                    following = next(runs, None)
                    if following is None:
                        return Values.of([])
                    run, at = following, 0
                places = pages.places(run, slice(at, at + count))
            except DataError as error:
                raise self._error(error) from None
            at += count
            return Values(pages.memory, *places)

        while record > 0 and (skipped := len(take(record))):
            record -= skipped
        return take

    def _error(self, error: DataError) -> DataError:
        return DataError(f"source '{self.path}' (lmdb) {error}")
