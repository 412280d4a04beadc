"""What pycaffe lets a script say about the machine: devices, the log, a timer, other processes.

There is one device here, the processor, and one solver.
"""

from __future__ import annotations

import os
import time
import warnings
from typing import Any, NoReturn

from protonet.errors import ProtonetError
from protonet.watch.glog import GlogReporter
from protonet.watch.reporter import Reporter

INFO = 0  # glog's levels: warnings are 1, errors 2

_warned_of_gpu = False
_level: int | None = None


# --- devices -------------------------------------------------------------------------------------
def set_mode_cpu() -> None:
    """Do nothing: the processor is what computes."""


def set_mode_gpu() -> None:
    """Warn, once, that the processor goes on computing."""
    _warn_of_gpu()


def set_device(device: int) -> None:
    """Warn, once, that there is no GPU to choose."""
    _warn_of_gpu()


def _warn_of_gpu() -> None:
    global _warned_of_gpu
    if not _warned_of_gpu:
        _warned_of_gpu = True
        warnings.warn("protonet computes on the processor; no GPU is used", stacklevel=3)


# --- the log -------------------------------------------------------------------------------------
def init_log(level: int = INFO, stderr: bool = True) -> None:
    """Set the lowest level of glog's that is written to standard error: 0 is all, 1 warnings.

    Before that, ``GLOG_minloglevel`` in the environment counts, as in Caffe.
    """
    global _level
    _level = level if stderr else INFO + 1


def log_level() -> int:
    """Return the lowest level that is written."""
    if _level is not None:
        return _level
    given = os.environ.get("GLOG_minloglevel", "")
    return int(given) if given.isdecimal() else INFO


def log(message: str) -> None:
    """Write a line to the log, in glog's shape."""
    if log_level() <= INFO:
        GlogReporter().write(message, "_caffe.cpp", 1)


def reporter() -> Reporter:
    """Return what a solver's log lines go to."""
    return GlogReporter() if log_level() <= INFO else Reporter()


class Timer:
    """A stop-watch.

    Attributes:
        ms: milliseconds between the last ``start`` and ``stop``, or up to now.
    """

    def __init__(self) -> None:
        self._started = self._stopped = 0.0
        self._running = False

    def start(self) -> None:
        self._started, self._running = time.perf_counter(), True

    def stop(self) -> None:
        if self._running:
            self._stopped, self._running = time.perf_counter(), False

    @property
    def ms(self) -> float:
        end = time.perf_counter() if self._running else self._stopped
        return (end - self._started) * 1000


# --- other processes -----------------------------------------------------------------------------
def has_nccl() -> bool:
    """Return False: there is no GPU whose work could be shared out."""
    return False


def solver_count() -> int:
    """Return how many solvers share the work: 1."""
    return 1


def solver_rank() -> int:
    """Return which of them this one is: 0."""
    return 0


def set_solver_count(count: int) -> None:
    """Raise ProtonetError for more than one solver."""
    if count != 1:
        _refuse_several(f"{count} solvers")


def set_solver_rank(rank: int) -> None:
    """Raise ProtonetError for any solver but the first."""
    if rank != 0:
        _refuse_several(f"a solver of rank {rank}")


def set_multiprocess(multiprocess: bool) -> None:
    """Raise ProtonetError when asked for several processes."""
    if multiprocess:
        _refuse_several("several processes")


class NCCL:
    """pycaffe's link between GPUs; making one raises ProtonetError."""

    def __init__(self, *args: Any) -> None:
        _refuse_several("NCCL")


def _refuse_several(what: str) -> NoReturn:
    raise ProtonetError(f"protonet trains in one process on the processor; got {what}")
