"""The small set of threads: parts, errors, nesting, forks."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from protonet.kernels import placement, scratch, threads
from protonet.kernels.board import ASLEEP, IDLE
from protonet.kernels.jit import kernel


@pytest.fixture(autouse=True)
def _same_count_afterwards() -> Iterator[None]:
    before = threads.count()
    yield
    threads.set_count(before)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("total", [0, 1, 4, 17, 64, 1000])
@pytest.mark.parametrize("grain", [1, 4, 16])
def test_parts_cover_everything_once(count: int, total: int, grain: int) -> None:
    threads.set_count(count)
    assert threads.count() == count
    parts: list[tuple[int, int, int]] = []
    threads.run(total, lambda lo, hi, worker: parts.append((lo, hi, worker)), grain)
    parts.sort()
    assert [i for lo, hi, _ in parts for i in range(lo, hi)] == list(range(total))
    assert len(parts) == (min(count, max(1, total // grain)) if total else 0)
    assert all(hi - lo >= grain for lo, hi, _ in parts) or len(parts) == 1
    assert all(lo % 16 == 0 for lo, _, _ in parts) or grain % 16
    assert len(parts) <= count
    assert {worker for _, _, worker in parts} <= set(range(count))


@kernel("void(int64[:, ::1], float32, int64, int64, int64)", shared=True)
def note(done: Any, factor: float, lo: int, hi: int, worker: int) -> None:
    """Note in done[0] how often each index was done, in done[1] where calls began.

    In row 2 + worker, whether that worker was here, and factor times what it has done.
    """
    for i in range(lo, hi):
        done[0, i] += 1
    done[1, lo] += 1
    done[2 + worker, 0] = 1
    done[2 + worker, 1] += factor * (hi - lo)


def notes(total: int, workers: int = 5) -> Any:
    return np.zeros((2 + workers, max(total, 16)), np.int64)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("total", [0, 1, 4, 17, 64, 1000])
@pytest.mark.parametrize(("grain", "step"), [(1, 0), (4, 0), (16, 0), (1, 3), (5, 7)])
@pytest.mark.parametrize("whole", [False, True])
def test_a_shared_kernel_does_everything_once(
    count: int, total: int, grain: int, step: int, whole: bool
) -> None:
    threads.set_count(count)
    boundary = step or (16 if grain % 16 == 0 else 1)
    parts = max(1, min(count, total // grain, -(-total // boundary)))
    most = max(parts, min(parts * threads.PIECES, total // grain, -(-total // boundary)))
    for _ in range(20):
        done = notes(total)
        threads.share(note, total, done, 2.0, grain=grain, step=step, whole=whole)
        assert done[0].tolist() == [1] * total + [0] * (done.shape[1] - total)
        begun = np.flatnonzero(done[1]).tolist()
        assert all(lo % boundary == 0 for lo in begun)
        assert (total > 0) <= len(begun) <= (parts if whole else most) * (total > 0)
        least = grain if boundary == 1 else boundary
        assert all(hi - lo >= least for lo, hi in itertools.pairwise(begun))
        assert sum(done[2:, 1]) == 2 * total
        assert not done[2 + count :].any()


@kernel("void(int64[:, ::1], int64, int64, int64, int64)", shared=True)
def work(done: Any, rounds: int, lo: int, hi: int, worker: int) -> None:
    """Count in done[0] how often each index was done, each with so many rounds of work."""
    for i in range(lo, hi):
        value = i
        for j in range(rounds):
            value = (value * 1664525 + j) & 0xFFFFFFFF
        done[0, i] += 1
        done[1, i] = value


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("pieces", [1, 3])
def test_no_piece_is_lost_or_done_twice(count: int, pieces: int) -> None:
    """However the ends of the parts fall: helpers end before, with and after the caller."""
    threads.set_count(count)
    rng = np.random.default_rng(count)
    total = count * pieces
    for rounds in rng.integers(0, 3000 // pieces, 10_000).tolist():
        done = np.zeros((2, total), np.int64)
        threads.share(work, total, done, rounds)
        assert done[0].tolist() == [1] * total


@kernel("void(int64[:, ::1], int64, int64, int64, int64)", shared=True)
def slow_at_the_end(done: Any, rounds: int, lo: int, hi: int, worker: int) -> None:
    """Count in done[worker] what it did; the second half takes long."""
    for i in range(lo, hi):
        value = i
        for j in range(rounds if i >= done.shape[1] // 2 else 1):
            value = (value * 1664525 + j) & 0xFFFFFFFF
        done[worker, i] += 1
        done[2, i] = value


@pytest.mark.skipif(placement.available() < 2, reason="needs two processors")
def test_a_thread_that_is_done_helps_the_other() -> None:
    threads.set_count(2)
    for _ in range(50):
        done = np.zeros((3, 64), np.int64)
        threads.share(slow_at_the_end, 64, done, 100_000)
        assert (done[0] + done[1]).tolist() == [1] * 64
        if done[0, 32:].any() and done[1, 32:].any():
            return
    raise AssertionError("one thread has done all that takes long, in each of 50 calls")


@kernel("void(int64[:, ::1], int64, int64, int64, int64, int64)", shared=True, in_turns=True)
def shift(rows: Any, rounds: int, turn: int, lo: int, hi: int, worker: int) -> None:
    """Write row ``turn + 1`` from all of the row before it; what is at its end takes longest."""
    for i in range(lo, hi):
        value = rows[turn, (i + 7) % rows.shape[1]]
        for j in range(rounds * i):
            value = (value * 1664525 + j) & 0xFFFFFFFF
        rows[turn + 1, i] = value + i


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("rounds", [0, 10, 2000])
def test_a_turn_begins_when_the_one_before_it_is_done(count: int, rounds: int) -> None:
    """Also where helpers need longer than the kernel waits for them."""
    turns = 3000 // (rounds + 1) + 3
    expected = np.zeros((turns + 1, 23), np.int64)
    threads.set_count(1)
    threads.share_in_turns(shift, turns, 23, expected, rounds)
    threads.set_count(count)
    for grain in (1, 9):
        rows = np.zeros_like(expected)
        threads.share_in_turns(shift, turns, 23, rows, rounds, grain=grain)
        np.testing.assert_array_equal(rows, expected)
    threads.share_in_turns(shift, 0, 23, np.zeros((1, 23), np.int64), rounds)


def test_turns_in_plain_python() -> None:
    rows = np.zeros((4, 5), np.int64)
    threads.share_in_turns(shift, 3, 5, rows, 0)
    plain = shift._as_python(shift._function, {})
    again = np.zeros_like(rows)
    assert plain(again, 0, 0, 3, 5, 1, 1, 1, 0) == 3
    np.testing.assert_array_equal(again, rows)


def test_the_caller_takes_back_what_a_helper_does_not_begin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads.set_count(2)
    _until_asleep()
    # a helper that is awake, it seems, but never looks
    monkeypatch.setattr(threads._Worker, "wake", lambda self, caller: None)
    threads._board.set_state(1, IDLE)
    try:
        done = notes(10)
        threads.share(note, 10, done, 1.0)
        assert done[0, :10].tolist() == [1] * 10
        assert done[2:, 1].tolist() == [10, 0, 0, 0, 0]
    finally:
        threads._board.set_state(1, ASLEEP)


def test_helpers_import_nothing_before_they_are_told_to() -> None:
    """Two threads that import Numba at once see modules that are only half there."""
    program = (
        "import sys, time\n"
        "from protonet.kernels import threads\n"
        "threads.set_count(3)\n"
        "time.sleep(0.3)\n"
        "print('numba' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_helpers_sleep_when_there_is_nothing_to_do() -> None:
    threads.set_count(2)
    threads.share(note, 10, notes(10), 1.0)
    _until_asleep()


def _until_asleep() -> None:
    """Wait for helper 1 to sleep."""
    for _ in range(500):
        if threads._board.state(1) == ASLEEP:
            return
        time.sleep(0.01)
    raise AssertionError("the helper does not sleep")


def test_python_and_kernels_take_turns() -> None:
    threads.set_count(3)
    done: list[int] = []
    noted = notes(9)
    for _ in range(50):
        threads.share(note, 9, noted, 1.0)
        threads.run(3, lambda lo, hi, worker: done.append(lo))
    assert sorted(done) == sorted([0, 1, 2] * 50)
    assert noted[0, :9].tolist() == [50] * 9


def test_another_thread_does_its_loop_alone() -> None:
    threads.set_count(2)
    results = [notes(10), notes(10)]

    def work(which: int) -> None:
        for _ in range(2000):
            threads.share(note, 10, results[which], 1.0)

    callers = [threading.Thread(target=work, args=(which,)) for which in range(2)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    for done in results:
        assert done[0, :10].tolist() == [2000] * 10


def test_an_error_is_raised_after_all_have_ended() -> None:
    threads.set_count(3)
    done: list[int] = []

    def task(lo: int, hi: int, worker: int) -> None:
        if lo:
            raise KeyError(f"part {lo}")
        done.append(lo)

    with pytest.raises(KeyError, match="part 1"):
        threads.run(3, task)
    assert done == [0]
    threads.run(3, lambda lo, hi, worker: done.append(worker))  # still alive
    assert len(done) == 4


def test_a_run_within_a_run_is_done_by_its_caller() -> None:
    threads.set_count(2)
    inner: list[tuple[int, int, int]] = []

    def task(lo: int, hi: int, worker: int) -> None:
        threads.run(4, lambda lo, hi, worker: inner.append((lo, hi, worker)))

    threads.run(2, task)
    assert inner == [(0, 4, 0), (0, 4, 0)]


def test_a_count_beyond_all_need_is_refused() -> None:
    with pytest.raises(ValueError, match="must be at most 1024, got 2000"):
        threads.set_count(2000)


def test_a_count_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="must be at least 1, got 0"):
        threads.set_count(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_starts_threads_of_its_own() -> None:
    threads.set_count(2)
    child = os.fork()
    if child == 0:
        threads.set_count(2)
        done: list[int] = []
        threads.run(2, lambda lo, hi, worker: done.append(worker))
        os._exit(0 if len(done) == 2 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_scratch_memory_grows_and_belongs_to_its_thread() -> None:
    small = scratch.get("test", 10)
    assert small.size >= 10 and small.ctypes.data % 64 == 0
    assert scratch.get("test", 5) is small
    large = scratch.get("test", 1000)
    assert large.size >= 1000 and scratch.get("test", 10) is large
    other: list[object] = []
    thread = threading.Thread(target=lambda: other.append(scratch.get("test", 10)))
    thread.start()
    thread.join()
    assert other[0] is not large and scratch.get("other", 10) is not large


@pytest.mark.skipif(placement.here() < 0, reason="nobody tells where a thread is")
@pytest.mark.skipif(placement.available() < 2, reason="needs two processors")
def test_helpers_keep_off_the_processor_of_the_caller() -> None:
    before = os.sched_getaffinity(0)
    seen: list[set[int]] = []
    try:
        for processor in sorted(before)[:2]:
            os.sched_setaffinity(0, {processor})
            os.sched_setaffinity(0, before)  # free again, and where it was
            threads.set_count(2)
            threads.run(2, lambda lo, hi, worker: None)
            seen.append(os.sched_getaffinity(threads._workers[0]._thread.native_id or 0))
            assert len(seen[-1]) == len(before) - 1
    finally:
        os.sched_setaffinity(0, before)
    assert os.sched_getaffinity(0) == before
