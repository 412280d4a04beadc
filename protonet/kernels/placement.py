"""Which processors there are, and where helper threads run: not on that of the thread they help.

The scheduler of Linux likes to wake a thread on the processor of the one that wakes it. There it
waits until the caller has done its own part of a loop, and of two threads only one works. Elsewhere
nothing is known to need this, and nothing is done.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable


def available() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def _finder() -> Callable[[], int] | None:
    """Return a function that tells which processor the calling thread is on, if there is one."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    try:
        find: Callable[[], int] = ctypes.PyDLL(None).sched_getcpu  # a call that keeps the GIL
        return find if find() >= 0 else None
    except (OSError, AttributeError):
        return None


def here() -> int:
    """Return the number of the processor that the calling thread is on, -1 if nobody can tell."""
    find = _finder()
    return -1 if find is None else find()


def keep_off(processor: int, thread: int) -> None:
    """Let a thread run on all processors of the calling thread but one, if others are left.

    Args:
        thread: its native id.
    """
    others = os.sched_getaffinity(0) - {processor}
    if not others:
        return
    try:
        os.sched_setaffinity(thread, others)
    except OSError:
        pass  # it has ended, or may not be moved: it is as well off as it was
