"""Reads batches ahead in a thread of its own.

A few batches travel in a circle: empty ones go to the thread, filled ones come back in the order
in which they were read. What comes out depends on nothing but the reader: not on timing, not on
how many batches there are.
"""

from __future__ import annotations

import os
import queue
import threading
import weakref
from typing import Any, Generic, Protocol, TypeVar

B = TypeVar("B")
B_contra = TypeVar("B_contra", contravariant=True)


class Reader(Protocol[B_contra]):
    """What the thread runs. All calls come from one thread at a time."""

    def seek(self, record: int) -> None:
        """Go to the record that comes after so many."""

    def read(self, batch: B_contra) -> int:
        """Fill ``batch`` with the next records and return how many they are."""


class Prefetcher(Generic[B]):
    """A reader in a thread. The thread starts with the first batch asked for.

    Attributes:
        consumed: records in the batches taken so far. What was read ahead is not counted, so a
            run that is resumed at this number continues with the very next record.
    """

    def __init__(self, reader: Reader[B], batches: list[B]) -> None:
        """Prepare; nothing is read yet.

        Args:
            batches: the empty ones to fill: how many are read ahead. At least one.
        """
        self._reader = reader
        self._batches = batches
        self.consumed = 0
        self._circle: _Circle | None = None

    def take(self) -> B:
        """Return the next batch. Hand it back with :meth:`give_back` when it has been used.

        Raises:
            Whatever the reader raised, at its place in the order, and again ever after.
        """
        if self._circle is None or self._circle.process != os.getpid():
            # Threads do not come along into a forked child: it goes on with one of its own.
            self._circle = _Circle(self._reader, self.consumed, self._batches)
        batch, count = self._circle.take()
        self.consumed += count
        return batch

    def give_back(self, batch: B) -> None:
        """Let a batch be filled again."""
        if self._circle is not None:
            self._circle.give_back(batch)

    def seek(self, record: int) -> None:
        """Continue with the record that comes after so many."""
        self.close()
        self.consumed = record

    def close(self) -> None:
        """Stop the thread and wait until it has ended. A later take() starts another one."""
        if self._circle is not None:
            self._circle.stop()
            self._circle = None


class _Circle:
    """The thread and its two queues. The thread knows the queues, never this object."""

    def __init__(self, reader: Any, start: int, batches: list[Any]) -> None:
        self.process = os.getpid()
        self._empty: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()
        self._filled: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._error: BaseException | None = None
        self._used: list[Any] = []  # to be filled again
        self._together = max(1, len(batches) // 2)
        self._empty.put(batches)
        stopping = threading.Event()
        thread = threading.Thread(
            target=_fill,
            args=(reader, start, self._empty, self._filled, stopping),
            name="protonet-prefetch",
            daemon=True,
        )
        # Runs at the latest when nobody refers to this object any more, or at exit.
        self.stop = weakref.finalize(self, _stop, self.process, thread, self._empty, stopping)
        thread.start()

    def take(self) -> tuple[Any, int]:
        if self._error is None:
            if self._used and self._filled.empty():
                self._send()
            got = self._filled.get()
            if not isinstance(got, BaseException):
                return got
            self._error = got
        raise self._error

    def give_back(self, batch: Any) -> None:
        # Training drives the thread's code and data out of the caches: for a small batch, waking
        # up costs more than reading. So half of the batches go to it together.
        self._used.append(batch)
        if len(self._used) >= self._together:
            self._send()

    def _send(self) -> None:
        self._empty.put(self._used)
        self._used = []


def _fill(
    reader: Any,
    start: int,
    empty: queue.SimpleQueue[list[Any]],
    filled: queue.SimpleQueue[Any],
    stopping: threading.Event,
) -> None:
    try:
        reader.seek(start)
        while True:
            for batch in empty.get():
                if stopping.is_set():
                    return
                filled.put((batch, reader.read(batch)))
    except BaseException as error:  # raised again by take()
        filled.put(error)


def _stop(
    process: int,
    thread: threading.Thread,
    empty: queue.SimpleQueue[list[Any]],
    stopping: threading.Event,
) -> None:
    if os.getpid() == process:
        stopping.set()
        empty.put([None])
        if thread is not threading.current_thread():
            thread.join()
