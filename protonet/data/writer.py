"""Writes databases that Caffe and protonet read: whole, or not at all.

A database is built in a hidden folder beside its place and renamed when it is complete. So two
programs may build the same one at once, and a broken-off build leaves nothing that looks like a
database.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from protonet.data._plyvel import plyvel
from protonet.data.source import Record
from protonet.errors import OutputError

KINDS = ("lmdb", "leveldb")

Put = Callable[[list[Record]], None]

_BATCH = 1000  # records a transaction: as many as Caffe's tools commit at once
_START = 1 << 26  # bytes of an LMDB map to begin with; it is doubled whenever it is full


def write_database(
    path: str, kind: str, records: Iterable[Record], *, compress: bool = True
) -> int:
    """Write (key, value) records, in ascending order of keys, to a new database folder.

    Args:
        path: must not exist yet; its parent folders are made.
        kind: "lmdb" or "leveldb".
        compress: for a LevelDB: with snappy, as Caffe writes it.

    Returns:
        The number of records.

    Raises:
        OutputError: the folder exists, or cannot be written.
        Whatever iterating over ``records`` raises.
    """
    count = 0
    with new_database(path, kind, compress=compress) as put:
        for batch in _batches(records):
            put(batch)
            count += len(batch)
    return count


@contextmanager
def new_database(path: str, kind: str, *, compress: bool = True) -> Iterator[Put]:
    """Yield a function that commits (key, value) records, in ascending order of keys.

    The database is at ``path`` when the block ends well; nothing is there when it fails.
    Arguments and errors as :func:`write_database`.
    """
    refuse_existing(path)
    parent = os.path.dirname(os.path.abspath(path))
    try:
        os.makedirs(parent, exist_ok=True)
        building = tempfile.mkdtemp(prefix=f".{os.path.basename(path)}-", dir=parent)
    except OSError as error:
        raise OutputError(f"'{path}' cannot be written: {error.strerror}") from error
    try:
        opened = _lmdb(building) if kind == "lmdb" else _leveldb(building, compress)
        with opened as put:
            yield put
        os.chmod(building, 0o755)  # mkdtemp's folders are for the owner only
        os.rename(building, path)
    except OSError as error:
        raise OutputError(f"'{path}' cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def refuse_existing(path: str) -> None:
    """Raise OutputError if there is something at ``path``."""
    if os.path.lexists(path):
        raise OutputError(f"'{path}' exists already; it is not overwritten")


def _batches(records: Iterable[Record]) -> Iterable[list[Record]]:
    batch: list[Record] = []
    for record in records:
        batch.append(record)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    yield batch


@contextmanager
def _lmdb(path: str) -> Iterator[Put]:
    import lmdb

    try:
        # Nobody reads it before it is renamed, so it need not be safe on disk after each batch.
        with lmdb.open(path, map_size=_START, sync=False, lock=False) as database:
            yield partial(_put, database)
            database.sync(True)
    except lmdb.Error as error:
        raise OSError(str(error)) from error


def _put(database: Any, batch: list[Record]) -> None:
    """Commit one batch, in a larger map if need be."""
    import lmdb

    while True:
        try:
            with database.begin(write=True) as transaction:
                for key, value in batch:
                    transaction.put(key, value, append=True)
            return
        except lmdb.MapFullError:
            size = database.info()["map_size"]
            database.set_mapsize(size * 2)


@contextmanager
def _leveldb(path: str, compress: bool) -> Iterator[Put]:
    binding = plyvel()
    compression = "snappy" if compress else None

    def put(batch: list[Record]) -> None:
        with database.write_batch() as writing:
            for key, value in batch:
                writing.put(key, value)

    try:
        database = binding.DB(
            path, create_if_missing=True, write_buffer_size=1 << 25, compression=compression
        )
        try:
            yield put
            # Out of the log and into tables, so that opening it need not replay anything.
            database.compact_range()
        finally:
            database.close()
    except binding.Error as error:
        raise OSError(str(error)) from error
