"""A small persistent set of threads that split one loop among them.

Work is split so that no sum crosses a boundary: results are bit-equal for any number of threads.

A kernel's loop is shared by :func:`share`, without Python: helpers go on looking for the next part
for a while, and take it within a microsecond. Then they sleep. What is written in Python is
shared by :func:`run`; waking a thread takes about 30 µs.
"""

from __future__ import annotations

import collections
import itertools
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from protonet.blob import aligned_zeros
from protonet.kernels import placement
from protonet.kernels.board import ASLEEP, BOX_BYTES, BOXES, CALLED, IDLE, LEAD, STATE
from protonet.kernels.jit import Kernel, compiles

# lo, hi: the part of the loop to do; worker: 0 <= worker < count().
Task = Callable[[int, int, int], None]


LINE = 16  # float32 values of a cache line
MOST = 1024  # threads
PIECES = 8  # of a part, at most, that another thread can take
FEW = 50  # interrupts of what must be done nevertheless; more, and it is not interrupted but broken
PATIENCE = 20_000  # looks for the next part before a helper sleeps: about half a millisecond


class _Job:
    """One loop, cut into parts that threads take until none is left.

    Args:
        bounds: where parts begin and end.
    """

    def __init__(self, task: Task, bounds: list[int]) -> None:
        self._task = task
        self._left = collections.deque(itertools.pairwise(bounds))
        self._errors: list[tuple[int, BaseException]] = []

    def work(self, worker: int) -> None:
        """Do parts: the caller, worker 0, from the front, so that it mostly meets its own data."""
        task, left = self._task, self._left
        take = left.pop if worker else left.popleft
        while left:
            try:
                lo, hi = take()
            except IndexError:  # another was faster
                return
            try:
                task(lo, hi, worker)
            except BaseException as error:  # raised where run() was called
                self._errors.append((lo, error))

    def cancel(self) -> None:
        """Leave the parts that nobody has taken yet."""
        self._left.clear()

    def check(self) -> None:
        """Raise the error of the first part that had one."""
        if self._errors:
            raise min(self._errors, key=lambda found: found[0])[1]


class _Board:
    """The memory described in board.py."""

    def __init__(self) -> None:
        size = BOXES + MOST * BOX_BYTES
        memory = aligned_zeros(size // 4)
        self.address: int = memory.ctypes.data
        words = memory.view("int64")
        words[(BOXES + STATE) // 8 :: BOX_BYTES // 8] = ASLEEP
        self._words = words.data  # which is sooner read than an array
        self._ready = False

    def prepare(self) -> None:
        """Have it know the code that shares out a job. Compiles that."""
        if not self._ready:
            from protonet.kernels import fork

            self._words[LEAD // 8] = fork.address_of_lead()
            self._ready = True

    def box(self, index: int) -> int:
        """Return the address of a box."""
        return self.address + BOXES + index * BOX_BYTES

    def state(self, index: int) -> int:
        return self._words[(BOXES + index * BOX_BYTES + STATE) // 8]

    def set_state(self, index: int, state: int) -> None:
        self._words[(BOXES + index * BOX_BYTES + STATE) // 8] = state


class _Worker:
    """A helper thread: looks for parts, sleeps when there are none, comes into Python when called.

    Args:
        index: of its box, and of the worker that it is.
    """

    def __init__(self, board: _Board, index: int) -> None:
        self._go, self._done = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._done.acquire()
        self._job: _Job | None = None
        self._stop = False
        self._board, self._index = board, index
        board.set_state(index, ASLEEP)
        self._kept_off = -1
        self._thread = threading.Thread(target=self._loop, name="protonet-kernel", daemon=True)
        self._thread.start()

    def _loop(self) -> None:
        board, index = self._board, self._index
        while True:
            self._go.acquire()
            if self._stop:
                return
            job = self._job
            if job is not None:
                job.work(index)
                del job
                self._done.release()
                continue
            # Not before it is told to: two threads that import Numba get in each other's way.
            from protonet.kernels import fork

            fork.serve(board.address, board.box(index), index, _patience)

    def wake(self, caller: int) -> None:
        """Have it look for parts. caller: the processor of the thread it helps, -1 if unknown."""
        self._keep_off(caller)
        if self._board.state(self._index) == ASLEEP:
            self._board.set_state(self._index, IDLE)
            self._go.release()

    def start(self, job: _Job, caller: int) -> None:
        """Let it help with a job in Python."""
        self._keep_off(caller)
        if self._board.state(self._index) != ASLEEP:
            self._call()
        self._job = job
        self._go.release()

    def wait(self) -> None:
        """Wait until it has ended the job; if it has not even begun, because the processors have
        other things to do, then it need not any more.
        """
        if not self._go.acquire(blocking=False):
            self._done.acquire()
        self._job = None

    def _call(self) -> None:
        """Have it come back into Python, where it waits."""
        from protonet.kernels import fork

        if fork.change(self._board.box(self._index), IDLE, CALLED):
            while self._board.state(self._index) != ASLEEP and self._thread.is_alive():
                time.sleep(0)

    def _keep_off(self, caller: int) -> None:
        thread = self._thread.native_id
        if caller != self._kept_off and thread is not None:
            placement.keep_off(caller, thread)
            self._kept_off = caller

    def abandon(self) -> None:
        """End the thread, whether it works, waits, or is just being told to; wait for the end."""
        job, self._job = self._job, None
        if job is not None:
            job.cancel()
        self._stop = True
        try:
            self._go.release()
        except RuntimeError:
            pass  # it was told to already
        if self._board.state(self._index) != ASLEEP:
            self._call()
        self._thread.join()


_workers: list[_Worker] = []
_board = _Board()
_count = _patience = 0

# Who uses the workers: under WORKERS, an object of the call that does. Not a lock: Ctrl-C can come
# between taking one and knowing that it was taken. All of it stands inside try, and what lets go
# (in, [] and del) holds no call, after which Python would look for signals.
WORKERS = "workers"
_taken: dict[str, object] = {}


def count() -> int:
    """Return how many threads work on a loop, the caller's included."""
    if _count == 0:
        set_count(placement.available())
    return _count


def set_count(n: int) -> None:
    """Use ``n`` threads from now on. Results do not depend on it.

    Raises:
        ValueError: n is less than 1, or more than anybody needs.
    """
    global _count, _patience
    if n < 1:
        raise ValueError(f"the number of threads must be at least 1, got {n}")
    if n > MOST:
        raise ValueError(f"the number of threads must be at most {MOST}, got {n}")
    claim = object()
    try:
        while _taken.setdefault(WORKERS, claim) is not claim:
            time.sleep(0.001)
        while len(_workers) > n - 1:
            _workers.pop().abandon()
        while len(_workers) < n - 1:
            _workers.append(_Worker(_board, len(_workers) + 1))
        _count = n
        spare = n <= placement.available()
        _patience = PATIENCE if spare else 0  # nobody waits at another's expense
    finally:
        if WORKERS in _taken and _taken[WORKERS] is claim:
            del _taken[WORKERS]


def _step(grain: int) -> int:
    """Return what boundaries of parts are multiples of."""
    return LINE if grain % LINE == 0 else 1


def share(
    kernel: Kernel, total: int, *args: Any, grain: int = 1, step: int = 0, whole: bool = False
) -> None:
    """Call a shared kernel as ``kernel(*args, lo, hi)`` for parts that cover ``range(total)``.

    Parts are as :func:`run` cuts them, with boundaries at multiples of ``step`` if that is given.
    A thread that has done its own part helps with the others, piece by piece: with what is left
    of it, and with all of it if the other thread does not get to run.

    Args:
        whole: parts are not cut into pieces, because each call of the kernel costs something.
    """
    do = kernel.compile()
    step = step or _step(grain)
    most = min(total // grain, -(-total // step))
    parts = min(_count or count(), most)
    pieces = parts if whole else min(parts * PIECES, most)
    if parts > 1 and compiles():
        _with_workers(lambda n: do(*args, total, step, pieces, n, _board.address), parts)
    elif total > 0:
        do(*args, total, step, 1, 1, _board.address)


def share_in_turns(kernel: Kernel, turns: int, total: int, *args: Any, grain: int = 1) -> None:
    """Call a kernel that is shared in turns as ``kernel(*args, turn, lo, hi)``, turn by turn.

    Each is cut in parts as :func:`share` does, and begins when all of the one before it is done.
    """
    do = kernel.compile()

    def in_parts(parts: int) -> bool:
        turn = 0
        while turn < turns:
            turn = do(*args, turn, turns, total, 1, parts, parts, _board.address)
            if turn < 0:  # helpers are still at work
                turn = -turn
                _insist(lambda: _ended(parts))
        return True

    parts = min(count(), total // grain)
    if parts > 1 and compiles():
        _with_workers(in_parts, parts)
    elif total > 0:
        in_parts(1)


def _with_workers(in_parts: Callable[[int], bool], parts: int) -> None:
    """Call ``in_parts`` with a number of parts, 1 if the workers are taken; see to their end.

    Args:
        in_parts: returns whether they have ended.
    """
    claim, started, ended = object(), False, False
    try:
        alone = _taken.setdefault(WORKERS, claim) is not claim
        if not alone:
            _board.prepare()
            _wake(parts)
            started = True
            ended = in_parts(parts)
    finally:
        try:
            if started and not ended:
                _insist(lambda: _ended(parts))
        finally:
            if WORKERS in _taken and _taken[WORKERS] is claim:
                del _taken[WORKERS]
    if alone:
        in_parts(1)


def _wake(parts: int) -> None:
    caller = placement.here()
    try:
        for worker in _workers[: parts - 1]:
            worker.wake(caller)
    except BaseException:
        _insist(_replace_workers)  # one may be asleep while its box says that it looks
        raise


def _ended(parts: int) -> bool:
    """Return whether nobody works on the job on the board any more, after a while."""
    from protonet.kernels import fork

    if fork.ended(_board.address, parts):
        return True
    time.sleep(0)  # a helper may need this very processor
    return False


def _insist(do: Callable[[], bool]) -> None:
    """Repeat ``do`` until it returns True, even if interrupted; raise the interrupt after that."""
    errors: list[BaseException] = []
    while len(errors) < FEW:
        try:
            if do():
                break
        except BaseException as error:
            errors.append(error)
    if errors:
        raise errors[-1]


def run(total: int, task: Task, grain: int = 1) -> None:
    """Call ``task(lo, hi, worker)`` for disjoint parts that cover ``range(total)``; wait for all.

    There are as many parts as threads, of about the same size, but no part is smaller than
    ``grain`` unless it is the only one. Where the grain is a multiple of a cache line of float32
    values, so are the boundaries. A thread that does not get to run leaves its part to the
    others. A part that raises does so here, after the others have ended. When another thread is
    using the workers, all is done by the caller.
    """
    parts = min(count(), total // grain)
    alone = parts <= 1
    claim = object()
    try:
        alone = alone or _taken.setdefault(WORKERS, claim) is not claim
        if not alone:
            _run_parts(total, task, parts, _step(grain))
    finally:
        if WORKERS in _taken and _taken[WORKERS] is claim:
            del _taken[WORKERS]
    if alone and total > 0:
        task(0, total, 0)


def _run_parts(total: int, task: Task, parts: int, step: int) -> None:
    bounds = [total * i // parts // step * step for i in range(parts)]
    try:
        job = _Job(task, [*bounds, total])
        active, caller = _workers[: parts - 1], placement.here()
        for worker in active:
            worker.start(job, caller)
        job.work(0)
        for worker in active:
            worker.wait()
    except BaseException:
        # Ctrl-C may come between any two steps above: nobody knows who was told what. No worker
        # may go on writing into arrays that the caller takes for its own again.
        _insist(_replace_workers)
        raise
    job.check()


def _replace_workers() -> bool:
    """End all workers, whatever they are at, and have new ones."""
    for worker in _workers:
        worker.abandon()
    _workers[:] = [_Worker(_board, i + 1) for i in range(len(_workers))]
    return True


def _after_fork() -> None:
    """A forked child has none of the parent's threads: start anew when next needed."""
    global _board, _count
    _workers.clear()
    _taken.clear()
    _board = _Board()
    _count = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
