"""The pages of an LMDB file, read with every check.

LMDB's own library takes what stands in a file for granted: a damaged or hostile one kills the
process that reads it. Reading needs little of the format. Page 0 and 1 are headers, of which the
one of the later transaction counts. A tree of branch and leaf pages leads to records in order of
their keys; a value too long for a leaf lies on pages of its own. Nothing is trusted: every page
must lie in the file, every record in its page, and no path may be longer than the tree is deep.

The format: ``struct MDB_page``, ``MDB_node``, ``MDB_meta`` of LMDB 0.9.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator

from protonet.errors import DataError

_HEAD = 16  # bytes of a page before its records
_MAGIC, _VERSION = 0xBEEFC0DE, 1
_BRANCH, _LEAF, _OVERFLOW, _META, _FIXED = 0x01, 0x02, 0x04, 0x08, 0x20
_BIG, _TREE, _MANY = 0x01, 0x02, 0x04  # of a record: a value elsewhere, a tree, several values
_NO_PAGE = 2**64 - 1
_DEEPEST = 32  # what LMDB itself can follow

_PAGE = struct.Struct("<QHHHH")  # number, padding, flags, end of the offsets, start of the records
_NODE = struct.Struct("<HHHH")  # size or child (low, high), flags, size of the key
_ROOT = struct.Struct("<IHHQQQQQ")  # padding, flags, depth, three counts of pages, entries, root
_META_HEAD = struct.Struct("<IIQQ")  # magic, version, address, size of the map
_TAIL = struct.Struct("<QQ")  # last page, transaction
_NUMBER = struct.Struct("<Q")


class LmdbPages:
    """A ``data.mdb``, opened for reading.

    Attributes:
        entries: how many records it says that it has.
    """

    def __init__(self, path: str) -> None:
        """Map the file and find its tree.

        Raises:
            DataError: it is none, or is cut off. The message begins behind the source's name.
            OSError: it cannot be opened.
        """
        with open(path, "rb") as file:
            self._size = os.fstat(file.fileno()).st_size
            if self._size < 2 * 512:
                raise DataError(f"cannot be opened: data.mdb has {self._size} bytes")
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        first = self._meta(0)
        if first is None:
            raise DataError("cannot be opened: data.mdb does not begin as an LMDB")
        page_size = first[1]
        later = self._meta(page_size)
        _, self._page_size, self.entries, self._root, self._depth, last = max(
            meta for meta in (first, later) if meta is not None
        )
        if self._page_size != page_size:
            raise DataError(f"is damaged: its pages have {page_size} or {self._page_size} bytes")
        needed = (last + 1) * page_size
        if self._size < needed:
            raise DataError(
                f"is truncated: data.mdb has {self._size} bytes, its header says {needed}"
            )

    def _meta(self, start: int) -> tuple[int, int, int, int, int, int] | None:
        """Return transaction, page size, entries, root, depth, last page of a header."""
        at = start + _HEAD
        if self._size < at + 24 + 2 * _ROOT.size + _TAIL.size:
            return None
        magic, version, _, _ = _META_HEAD.unpack_from(self._map, at)
        if magic != _MAGIC:
            return None
        if version != _VERSION:
            raise DataError(f"cannot be opened: its format has version {version}, expected 1")
        at += _META_HEAD.size
        page_size = _ROOT.unpack_from(self._map, at)[0]
        if page_size not in (2**n for n in range(9, 17)):
            raise DataError(f"is damaged: its pages have {page_size} bytes")
        _, flags, depth, _, _, _, entries, root = _ROOT.unpack_from(self._map, at + _ROOT.size)
        if flags & 0x04:
            raise DataError("has several values for a key (MDB_DUPSORT), which Caffe does not use")
        if depth > _DEEPEST:
            raise DataError(f"is damaged: its tree is {depth} levels deep")
        last, transaction = _TAIL.unpack_from(self._map, at + 2 * _ROOT.size)
        return transaction, page_size, entries, root, depth, last

    def records(self, keys: bool, values: bool) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) in the order of the keys; what is not asked for is b"".

        Raises:
            DataError: a page or record is damaged.
        """
        if self._root == _NO_PAGE or self._depth == 0:
            return
        number = visited = 0
        # depth first, with the pages still to visit at each level: the file decides nothing
        waiting = [iter((self._root,))]
        while waiting:
            page = next(waiting[-1], None)
            if page is None:
                waiting.pop()
                continue
            visited += 1
            if visited * self._page_size > self._size:
                raise self._damaged(page, "it is led to more than once")
            start, flags, offsets = self._page(page)
            if len(waiting) < self._depth:
                if not flags & _BRANCH:
                    raise self._damaged(page, "a branch was expected")
                waiting.append(iter(self._children(page, start, offsets)))
                continue
            if not flags & _LEAF or flags & _FIXED:
                raise self._damaged(page, "a leaf was expected")
            number += len(offsets)
            if number > self.entries:
                raise self._damaged(page, f"more records than the {self.entries} of the header")
            yield from self._leaf(page, start, offsets, keys, values)
        if number != self.entries:
            raise DataError(f"is damaged: has {number} records, its header says {self.entries}")

    def _page(self, page: int) -> tuple[int, int, tuple[int, ...]]:
        """Return where a page begins, its flags, and the offsets of its records."""
        start = page * self._page_size
        if page < 2 or start + self._page_size > self._size:
            raise self._damaged(page, "it lies outside of the file")
        number, _, flags, lower, upper = _PAGE.unpack_from(self._map, start)
        if number != page or not _HEAD <= lower <= upper <= self._page_size or lower % 2:
            raise self._damaged(page, "its head makes no sense")
        return (
            start,
            flags,
            struct.unpack_from(f"<{(lower - _HEAD) // 2}H", self._map, start + _HEAD),
        )

    def _children(self, page: int, start: int, offsets: tuple[int, ...]) -> list[int]:
        children = []
        for offset in offsets:
            if offset + _NODE.size > self._page_size:
                raise self._damaged(page, "a record lies outside of it")
            low, high, top, _ = _NODE.unpack_from(self._map, start + offset)
            children.append(low | high << 16 | top << 32)
        return children

    def _leaf(
        self, page: int, start: int, offsets: tuple[int, ...], keys: bool, values: bool
    ) -> Iterator[tuple[bytes, bytes]]:
        data, page_size = self._map, self._page_size
        for offset in offsets:
            if offset + _NODE.size > page_size:
                raise self._damaged(page, "a record lies outside of it")
            low, high, flags, key_size = _NODE.unpack_from(data, start + offset)
            size = low | high << 16
            at = offset + _NODE.size + key_size
            if flags & (_TREE | _MANY):
                raise self._damaged(page, "a record is a database of its own")
            if at + (8 if flags & _BIG else size) > page_size:
                raise self._damaged(page, "a record is longer than it")
            at += start
            key = data[at - key_size : at] if keys else b""
            if not values:
                yield key, b""
            elif flags & _BIG:
                yield key, self._overflow(_NUMBER.unpack_from(data, at)[0], size)
            else:
                yield key, data[at : at + size]

    def _overflow(self, page: int, size: int) -> bytes:
        start = page * self._page_size
        if page < 2 or start + _HEAD + size > self._size:
            raise self._damaged(page, "a value lies outside of the file")
        number, _, flags, _, _ = _PAGE.unpack_from(self._map, start)
        if number != page or not flags & _OVERFLOW:
            raise self._damaged(page, "a value was expected")
        return self._map[start + _HEAD : start + _HEAD + size]

    def _damaged(self, page: int, what: str) -> DataError:
        return DataError(f"is damaged: page {page}: {what}")
