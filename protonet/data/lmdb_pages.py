"""The pages of an LMDB file, read with every check.

LMDB's own library takes what stands in a file for granted: a damaged or hostile one kills the
process that reads it. Reading needs little of the format. Page 0 and 1 are headers, of which the
one of the later transaction counts. A tree of branch and leaf pages leads to records in order of
their keys; a value too long for a leaf lies on pages of its own. Nothing is trusted: every page
must lie in the file, every record in its page, and no path may be longer than the tree is deep.

A net in training takes thousands of records a second, so Python looks at none of them by itself:
many leaves, with all their records, are checked at once with NumPy, and values stay where they
lie until they are needed.

The format: ``struct MDB_page``, ``MDB_node``, ``MDB_meta`` of LMDB 0.9.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from protonet.errors import DataError

_HEAD = 16  # bytes of a page before its records
_MAGIC, _VERSION = 0xBEEFC0DE, 1
_BRANCH, _LEAF, _OVERFLOW, _META, _FIXED = 0x01, 0x02, 0x04, 0x08, 0x20
_BIG, _TREE, _MANY = 0x01, 0x02, 0x04  # of a record: a value elsewhere, a tree, several values
_NO_PAGE = 2**64 - 1
_DEEPEST = 32  # what LMDB itself can follow

_PAGE = struct.Struct("<QHHHH")  # number, padding, flags, end of the offsets, start of the records
_NODE = 8  # bytes before a key: size of the value (4), flags (2); or a child (6); size of the key
_ROOT = struct.Struct("<IHHQQQQQ")  # padding, flags, depth, three counts of pages, entries, root
_META_HEAD = struct.Struct("<IIQQ")  # magic, version, address, size of the map
_TAIL = struct.Struct("<QQ")  # last page, transaction
_NUMBER = struct.Struct("<Q")

_TOGETHER = 1 << 20  # bytes of leaves that are checked at once, before their first record is read

Indices = np.ndarray[Any, np.dtype[Any]]


class Run(NamedTuple):
    """Where records lie in the file that follow each other; arrays (N,).

    Attributes:
        keys: where a key begins.
        starts: where it ends and its value begins, or the number of the value's first page.
        ends: ``starts`` and the bytes of the value.
        big: whether the value has pages of its own.
        any_big: whether any has.
    """

    keys: Indices
    starts: Indices
    ends: Indices
    big: Indices
    any_big: bool


class LmdbPages:
    """A ``data.mdb``, opened for reading.

    Attributes:
        entries: how many records it says that it has.
        memory: the whole file, (bytes,) uint8.
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
        self.memory = np.frombuffer(self._map, np.uint8)
        # the 64-bit number that begins at each byte: nothing in a damaged file need be aligned
        self._words: Indices = np.ndarray((self._size - 7,), "<u8", self._map, strides=(1,))
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
        data = self._map
        for run in self.runs():
            places = (run.keys.tolist(), run.starts.tolist(), run.ends.tolist(), run.big.tolist())
            for key, start, end, big in zip(*places, strict=True):
                at = self._overflow(start, end - start) if big and values else start
                yield (
                    data[key:start] if keys else b"",
                    data[at : at + end - start] if values else b"",
                )

    def runs(self) -> Iterator[Run]:
        """Yield all records in the order of their keys, those of some leaves at a time.

        Raises:
            DataError: a page or record is damaged; all before it have been yielded.
        """
        if self._root == _NO_PAGE or self._depth == 0:
            return
        number = visited = 0
        # depth first, with the pages still to visit at each level: the file decides nothing
        waiting = [iter([self._root])]
        while waiting:
            leaves = len(waiting) == self._depth
            count = _TOGETHER // self._page_size if leaves else 1
            pages = np.array(list(islice(waiting[-1], count)), np.uint64)
            if not pages.size:
                waiting.pop()
                continue
            starts, counts, error = self._heads(pages, leaves, visited, number)
            visited += pages.size
            if leaves:
                number += int(counts.sum())
                run, wrong = self._run(pages, starts, counts)
                yield run
                error = wrong or error  # a damaged record comes before a damaged page
            if error:
                raise error
            if not leaves:
                waiting.append(iter(self._children(pages, starts, counts)))
        if number != self.entries:
            raise DataError(f"is damaged: has {number} records, its header says {self.entries}")

    def places(self, run: Run, part: slice) -> tuple[Indices, Indices]:
        """Return where the values of a part of a run begin and end in ``memory``.

        Raises:
            DataError: the first page of a long value is damaged.
        """
        starts, ends = run.starts[part], run.ends[part]
        if run.any_big:
            sizes = ends - starts
            starts = starts.copy()
            for i in run.big[part].nonzero()[0].tolist():
                starts[i] = self._overflow(int(starts[i]), int(sizes[i]))
            ends = starts + sizes
        return starts, ends

    def _heads(
        self, pages: Indices, leaves: bool, visited: int, number: int
    ) -> tuple[Indices, Indices, DataError | None]:
        """Check the heads of pages that should all be leaves, or all branches.

        Args:
            pages: their numbers, (N,) uint64.
            visited, number: how many pages and records came before.

        Returns:
            Where each page begins and how many records it has, of those before the first that is
            damaged; and what is wrong with that one.
        """
        most = self._size // self._page_size
        outside = (pages < 2) | (pages >= most)
        starts = (np.where(outside, 0, pages) * self._page_size).astype(np.int64)
        flags, lower, upper = (self._words[starts + 8] >> shift & 0xFFFF for shift in (16, 32, 48))
        counts = (lower.astype(np.int64) - _HEAD) // 2
        faults = {
            "it is led to more than once": np.arange(1, pages.size + 1) + visited > most,
            "it lies outside of the file": outside,
            "its head makes no sense": (self._words[starts] != pages)
            | (lower < _HEAD)
            | (upper < lower)
            | (upper > self._page_size)
            | (lower % 2 != 0),
        }
        if leaves:
            faults["a leaf was expected"] = (flags & (_LEAF | _FIXED)) != _LEAF
            faults[f"more records than the {self.entries} of the header"] = (
                number + counts.cumsum() > self.entries
            )
        else:
            faults["a branch was expected"] = (flags & _BRANCH) == 0
        good, error = self._first(faults, pages)
        return starts[:good], counts[:good], error

    def _children(self, pages: Indices, starts: Indices, counts: Indices) -> list[int]:
        """Return the numbers of the pages that a branch leads to."""
        page, offsets = self._offsets(starts, counts)
        outside = offsets + _NODE > self._page_size
        _, error = self._first({"a record lies outside of it": outside}, pages[page])
        if error:
            raise error
        children: list[int] = (self._words[starts[page] + offsets] & 2**48 - 1).tolist()
        return children

    def _run(
        self, pages: Indices, starts: Indices, counts: Indices
    ) -> tuple[Run, DataError | None]:
        """Return the records of leaves before the first damaged one, and what is wrong with it."""
        page, offsets = self._offsets(starts, counts)
        outside = offsets + _NODE > self._page_size
        nodes = starts[page] + np.where(outside, 0, offsets)
        words = self._words[nodes]
        flags = words >> 32 & 0xFFFF
        sizes = (words & 0xFFFFFFFF).astype(np.int64)
        big = (flags & _BIG) != 0
        keys = nodes + _NODE
        at = keys + (words >> 48).astype(np.int64)
        faults = {
            "a record lies outside of it": outside,
            "a record is a database of its own": (flags & (_TREE | _MANY)) != 0,
            "a record is longer than it": (
                at + np.where(big, _NUMBER.size, sizes) > starts[page] + self._page_size
            ),
        }
        good, error = self._first(faults, pages[page])
        ends = at + sizes
        return Run(keys[:good], at[:good], ends[:good], big[:good], bool(big.any())), error

    def _offsets(self, starts: Indices, counts: Indices) -> tuple[Indices, Indices]:
        """Return for each record of some pages which page it is of, and its offset in there."""
        page = np.repeat(np.arange(starts.size), counts)
        index = np.arange(page.size) - (counts.cumsum() - counts)[page]
        # The last two bytes of a word: one that began here might not end within the file.
        words = self._words[starts[page] + (_HEAD + 2 - 8) + 2 * index]
        return page, (words >> 48).astype(np.int64)

    def _first(self, faults: dict[str, Indices], pages: Indices) -> tuple[int, DataError | None]:
        """Find the first of pages, or records in them, that has a fault, and the first that it has.

        Args:
            faults: what may be wrong, and (N,) whether it is.
            pages: (N,) their numbers.

        Returns:
            How many come before it, and the error that says so; without faults, N and None.
        """
        wrong = np.logical_or.reduce(list(faults.values()))
        if not wrong.any():
            return wrong.size, None
        good = int(wrong.argmax())
        what = next(what for what, found in faults.items() if found[good])
        return good, self._damaged(int(pages[good]), what)

    def _overflow(self, page_at: int, size: int) -> int:
        """Return where a value begins that has pages of its own.

        Args:
            page_at: where the number of the first one is.
        """
        (page,) = _NUMBER.unpack_from(self._map, page_at)
        start = page * self._page_size
        if page < 2 or start + _HEAD + size > self._size:
            raise self._damaged(page, "a value lies outside of the file")
        number, _, flags, _, _ = _PAGE.unpack_from(self._map, start)
        if number != page or not flags & _OVERFLOW:
            raise self._damaged(page, "a value was expected")
        return int(start + _HEAD)

    def _damaged(self, page: int, what: str) -> DataError:
        return DataError(f"is damaged: page {page}: {what}")
