"""LMDB pages that are read many at a time: the same records, and damage found at the same one."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from protonet.data import lmdb_pages
from protonet.data.source import Cursor, open_source
from protonet.errors import DataError

PAGE = 4096


@pytest.fixture(params=[1, 3, 256], ids="{}_pages_at_once".format)
def at_once(request: Any, monkeypatch: Any) -> int:
    monkeypatch.setattr(lmdb_pages, "_TOGETHER", request.param * PAGE)
    return int(request.param)


def odd_values(count: int) -> list[bytes]:
    """Values of all sizes from none on; every seventh has pages of its own, 2 or 3."""
    return [bytes([i % 251]) * ((i * 13) % 700 + (5000 if i % 7 == 6 else 0)) for i in range(count)]


@pytest.mark.parametrize(("start", "size"), [(0, 1), (0, 7), (5, 64), (150, 50), (999, 450)])
def test_batches_are_the_records_in_turn(
    database: Any, at_once: int, start: int, size: int
) -> None:
    values = odd_values(200)
    cursor = Cursor(open_source(database(values)), start)
    for at in range(start, start + 5 * size, size):
        want = [values[i % 200] for i in range(at, at + size)]
        assert list(cursor.take(size)) == want


def test_batch_lies_in_the_file(database: Any) -> None:
    """Nothing is copied before the kernel reads it, long values neither."""
    folder = database(odd_values(20))
    took = Cursor(open_source(folder)).take(20)
    assert took.memory.nbytes == (folder / "data.mdb").stat().st_size


def records_of(data: bytearray) -> list[int]:
    """Return where the record of each key begins, in the order of the keys."""
    found = {}
    for start in range(2 * PAGE, len(data), PAGE):
        flags, lower = struct.unpack_from("<HH", data, start + 10)
        if flags == 2:
            for offset in struct.unpack_from(f"<{(lower - 16) // 2}H", data, start + 16):
                found[bytes(data[start + offset + 8 : start + offset + 16])] = start + offset
    return [found[key] for key in sorted(found)]


def harm(folder: Path, record: int, form: str, back: int, *values: int) -> None:
    """Overwrite something of a record, so many bytes behind its beginning."""
    path = folder / "data.mdb"
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, records_of(data)[record] + back, *values)
    path.write_bytes(data)


DAMAGE = [  # of record 62, which is long, or 60, which is not
    ("size", 60, ("<HH", 0, 65535, 65535), r"page \d+: a record is longer than it"),
    ("tree", 60, ("<H", 4, 2), r"page \d+: a record is a database of its own"),
    ("outside", 62, ("<Q", 16, 2**40), "page 1099511627776: a value lies outside of the file"),
    ("no_value", 62, ("<Q", 16, 2), "page 2: a value was expected"),
]


@pytest.mark.parametrize(
    ("record", "change", "message"), [d[1:] for d in DAMAGE], ids=[d[0] for d in DAMAGE]
)
def test_damage_is_found_where_it_is(
    database: Any, at_once: int, record: int, change: Any, message: str
) -> None:
    values = odd_values(200)
    folder = database(values)
    harm(folder, record, *change)
    source = open_source(folder)
    cursor = Cursor(source)
    assert list(cursor.take(record)) == values[:record]
    with pytest.raises(DataError, match=rf"^source '.*' \(lmdb\) is damaged: {message}$"):
        cursor.take(1)
    one_by_one = source.values()
    assert [next(one_by_one) for _ in range(record)] == values[:record]
    with pytest.raises(DataError, match=message):
        next(one_by_one)
    with pytest.raises(DataError, match=message):
        Cursor(source).take(record + 1)
    with pytest.raises(DataError, match=message):
        Cursor(source, record + 1).take(1)


def test_damaged_page_between_good_ones(database: Any, at_once: int) -> None:
    values = [bytes([i]) * 500 for i in range(100)]
    folder = database(values)
    data = bytearray((folder / "data.mdb").read_bytes())
    at = records_of(data)
    page = at[50] // PAGE
    good = sum(place // PAGE < page for place in at[:50])  # in order of their keys
    struct.pack_into("<H", data, page * PAGE + 10, 1)
    (folder / "data.mdb").write_bytes(data)
    cursor = Cursor(open_source(folder))
    assert list(cursor.take(good)) == values[:good]
    with pytest.raises(DataError, match=rf"is damaged: page {page}: a leaf was expected"):
        cursor.take(1)
