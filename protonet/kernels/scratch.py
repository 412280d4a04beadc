"""Memory for intermediate results, kept for each thread and used by one kernel call at a time.

All layers share it: a buffer grows to the largest request and its contents mean nothing after the
call that asked for it.
"""

from __future__ import annotations

import threading

from protonet.blob import Array, aligned_zeros
from protonet.kernels import threads

_ROUND = 32  # values: no two workers write to the same or to neighbouring cache lines


class _Buffers(threading.local):
    def __init__(self) -> None:
        self.by_name: dict[str, Array] = {}
        self.views: dict[tuple[str, int, int], Array] = {}  # by name, values for each, workers


_buffers = _Buffers()


def get(name: str, count: int) -> Array:
    """Return at least ``count`` float32 values, aligned to a cache line, of undefined content.

    Args:
        name: tells apart buffers that one thread uses at the same time.
    """
    buffer = _buffers.by_name.get(name)
    if buffer is None or buffer.size < count:
        buffer = _buffers.by_name[name] = aligned_zeros(count)
        _buffers.views = {key: view for key, view in _buffers.views.items() if key[0] != name}
    return buffer


def each(name: str, count: int) -> Array:
    """Return at least ``count`` such values for each worker of a shared kernel, (workers, ...)."""
    workers = threads.count()
    key = name, count, workers
    view = _buffers.views.get(key)
    if view is None:
        size = -(-count // _ROUND) * _ROUND
        view = get(name, workers * size)[: workers * size].reshape(workers, size)
        _buffers.views[key] = view
    return view
