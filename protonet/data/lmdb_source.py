"""LMDB databases, memory-mapped, read without locks and without touching the folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from protonet.data.source import Record, Source
from protonet.errors import DataError


class LmdbSource(Source):
    """An LMDB folder (``data.mdb``). No ``lock.mdb`` is made: the records must be at rest."""

    kind = "lmdb"

    def __init__(self, path: str) -> None:
        super().__init__(path)
        import lmdb

        try:
            self._env = lmdb.open(path, readonly=True, lock=False, create=False)
        except lmdb.Error as error:
            raise DataError(f"source '{path}' (lmdb) cannot be opened: {error}") from error
        self._count = int(self._env.stat()["entries"])
        # The file is mapped: reading past its end would kill the process, not raise.
        pages = int(self._env.info()["last_pgno"]) + 1
        expected = pages * int(self._env.stat()["psize"])
        held = os.path.getsize(os.path.join(path, "data.mdb"))
        if held < expected:
            self._env.close()
            raise DataError(
                f"source '{path}' (lmdb) is truncated: data.mdb has {held} bytes, "
                f"its header says {expected}"
            )

    def __len__(self) -> int:
        return self._count

    def _pass(self, keys: bool, values: bool) -> Iterator[Any]:
        import lmdb

        try:
            with self._env.begin() as transaction, transaction.cursor() as cursor:
                passing: Any = cursor.iternext
                yield from passing(keys=keys, values=values)
        except lmdb.Error as error:
            raise DataError(f"source '{self.path}' (lmdb) cannot be read: {error}") from error

    def __iter__(self) -> Iterator[Record]:
        return self._pass(True, True)

    def keys(self) -> Iterator[bytes]:
        return self._pass(True, False)

    def values(self) -> Iterator[bytes]:
        return self._pass(False, True)
