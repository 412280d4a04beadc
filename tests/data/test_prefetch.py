"""The prefetch thread: order, errors, the end of it."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from protonet.data.prefetch import Prefetcher


class Counting:
    """A reader of batches of three numbers; it breaks at ``end``."""

    def __init__(self, end: int = 1 << 30, pause: float = 0.0) -> None:
        self.at, self.end, self.pause = 0, end, pause

    def seek(self, record: int) -> None:
        self.at = record

    def read(self, batch: list[int]) -> int:
        if self.at >= self.end:
            raise ValueError("broken")
        time.sleep(self.pause)
        batch[:] = range(self.at, self.at + 3)
        self.at += 3
        return 3


def running() -> set[threading.Thread]:
    gc.collect()
    return {t for t in threading.enumerate() if t.name == "protonet-prefetch"}


@pytest.fixture
def prefetchers() -> Callable[[], int]:
    """Return a function that counts the threads started since, whatever other tests left."""
    before = running()
    return lambda: len(running() - before)


def take(source: Prefetcher[list[int]]) -> int:
    batch = source.take()
    first = batch[0]
    source.give_back(batch)
    return first


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("pause", [0.0, 0.002])
def test_order(depth: int, pause: float) -> None:
    source = Prefetcher(Counting(pause=pause), [[] for _ in range(depth)])
    assert [take(source) for _ in range(20)] == list(range(0, 60, 3))
    assert source.consumed == 60
    source.close()


def test_batches_may_be_kept(prefetchers: Callable[[], int]) -> None:
    """All but the one that was given back can be out at once."""
    source = Prefetcher(Counting(), [[] for _ in range(6)])
    assert take(source) == 0
    kept = [source.take() for _ in range(6)]
    assert [batch[0] for batch in kept] == list(range(3, 21, 3))
    for batch in kept:
        source.give_back(batch)
    assert [take(source) for _ in range(9)] == list(range(21, 48, 3))
    source.close()


def test_seek_and_close_go_on_exactly(prefetchers: Callable[[], int]) -> None:
    source = Prefetcher(Counting(), [[], [], []])
    assert [take(source) for _ in range(2)] == [0, 3]
    source.close()
    assert prefetchers() == 0
    assert take(source) == 6
    source.seek(30)
    assert [take(source), source.consumed] == [30, 33]
    source.close()


def test_no_thread_before_the_first_batch_and_none_after_the_last_reference(
    prefetchers: Callable[[], int],
) -> None:
    source = Prefetcher(Counting(), [[], []])
    assert prefetchers() == 0
    take(source)
    assert prefetchers() == 1
    del source
    assert prefetchers() == 0


def test_error_comes_at_its_place_and_stays() -> None:
    source = Prefetcher(Counting(end=6), [[], [], [], []])
    assert [take(source), take(source)] == [0, 3]
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            source.take()
    source.seek(0)
    assert take(source) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_forked_child_goes_on_by_itself() -> None:
    source = Prefetcher(Counting(), [[], [], []])
    assert take(source) == 0
    child = os.fork()
    if child == 0:
        os._exit(0 if [take(source), take(source)] == [3, 6] else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert take(source) == 3
    source.close()


def test_process_ends_while_reading_ahead() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from test_prefetch import *; p = Prefetcher(Counting(pause=.01), [[], []]); take(p)"
    )
    here = os.path.dirname(__file__)
    done: Any = subprocess.run(
        [sys.executable, "-c", code, here], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
