"""Sizes that a LevelDB's files give, compared with the files before LevelDB believes them.

LevelDB ends the process when it finds no memory for a block, and takes the size of a table's
index from its footer, and where the footer lies from the manifest. Sizes of other blocks stand in
the index, whose checksum LevelDB compares itself if it is opened with ``paranoid_checks``.

The formats: https://github.com/google/leveldb/tree/main/doc, ``table_format.md``,
``log_format.md`` for the manifest's records; what these hold is told by ``db/version_edit.cc``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

_FOOTER = 48  # bytes at a table's end: two handles of blocks, padding, eight that mark a table
_TRAILER = 5  # bytes behind each block: how it is compressed, its checksum
_PAGE = 32768  # bytes of a manifest's pages, each of whole pieces of records
_HEADER = 7  # bytes before each piece: checksum 4, length 2, kind 1
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4  # kinds of pieces

# What the fields of an edit consist of, by number: v a varint, b a varint and as many bytes.
_FIELDS = {1: "b", 2: "v", 3: "v", 4: "v", 5: "vb", 6: "vv", 7: "vvvbb", 9: "v"}
_DELETED, _NEW = 6, 7


def check_tables(folder: str) -> None:
    """Compare the tables in use with what the manifest and their own footers say.

    Missing tables, and records of the manifest that are damaged, are left to LevelDB to refuse.

    Raises:
        OSError: a table has another length, or a block that would lie outside of it; or there is
            no manifest.
    """
    for number, length in _tables(folder).items():
        for name in (f"{number:06}.ldb", f"{number:06}.sst"):
            path = os.path.join(folder, name)
            if os.path.exists(path):
                _check_table(path, length)


def _check_table(path: str, length: int) -> None:
    name = os.path.basename(path).partition(".")[0]
    with open(path, "rb") as file:
        there = file.seek(0, os.SEEK_END)
        if there != length:
            raise OSError(f"table {name} has {there} bytes, the manifest says {length}")
        file.seek(max(0, length - _FOOTER))
        footer = file.read()
    position = 0
    for block in ("list of filters", "index"):
        at, position = _varint(footer, position)
        size, position = _varint(footer, position)
        if at + size + _TRAILER > length - _FOOTER:
            raise OSError(
                f"table {name} has {length} bytes, its {block} would be {size} bytes at {at}"
            )


def _tables(folder: str) -> dict[int, int]:
    """Return the length of each table in use, by its number, as the manifest has them."""
    tables: dict[int, int] = {}
    for edit in _edits(folder):
        position = 0
        while position < len(edit):
            field, position = _varint(edit, position)
            values = []
            for form in _FIELDS.get(field, ""):
                value, position = _varint(edit, position)
                values.append(value)
                position += value if form == "b" else 0
            if field == _NEW:
                tables[values[1]] = values[2]
            elif field == _DELETED:
                tables.pop(values[1], None)
    return tables


def _edits(folder: str) -> Iterator[bytes]:
    """Yield the manifest's records, put together from their pieces."""
    with open(os.path.join(folder, "CURRENT"), "rb") as file:
        name = file.read().rstrip(b"\n").decode("latin-1")
    if not re.fullmatch(r"MANIFEST-[0-9]+", name):  # a path would lead out of the folder
        raise OSError(f"CURRENT holds {name[:40]!r}, expected the name of a manifest")
    with open(os.path.join(folder, name), "rb") as file:
        content = file.read()
    record = b""
    at = 0
    while at + _HEADER <= len(content):
        left = _PAGE - at % _PAGE
        length = int.from_bytes(content[at + 4 : at + 6], "little")
        kind = content[at + 6]
        if left < _HEADER or kind not in (_FULL, _FIRST, _MIDDLE, _LAST):
            at += left  # the rest of the page is empty
            continue
        piece = content[at + _HEADER : at + _HEADER + length]
        if len(piece) < length:  # whoever wrote it was interrupted
            return
        record = piece if kind in (_FULL, _FIRST) else record + piece
        if kind in (_FULL, _LAST):
            yield record
        at += _HEADER + length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at ``at``, seven bits a byte with the lowest first, and where it ends."""
    number = shift = 0
    while at < len(data) and shift < 64:
        number |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            break
    return number, at
