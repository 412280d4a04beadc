"""``protonet train``: train a net, or do what a solver says."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from protonet.solvers.solver import Solver
    from protonet.watch.reporter import Reporter


@click.command(name="train")
@click.argument("file", type=click.Path())
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--weights", type=click.Path(), help="Start from this .caffemodel, by layer name.")
@click.option("--resume", type=click.Path(), help="Go on from this .solverstate.")
@click.option("--out", type=click.Path(), help="Run folder.  [default: runs/<name of FILE>]")
@click.option("--threads", type=click.IntRange(min=1), help="Threads.  [default: all cores]")
def command(
    file: str,
    overrides: tuple[str, ...],
    weights: str | None,
    resume: str | None,
    out: str | None,
    threads: int | None,
) -> None:
    """Train FILE, a net or a solver prototxt of any Caffe generation.

    KEY=VALUE sets a field of the solver, such as base_lr=0.005 or max_iter=2000.

    A net without a solver is trained with the classic LeNet recipe. If it has no layers for the
    TEST phase, it is tested on the source whose name has "test" for "train", and every softmax
    head is scored by itself.

    The run folder is never overwritten: a number is added to its name. Ctrl-C stops after the
    iteration at hand, with a snapshot to resume from.
    """
    from rich.console import Console

    from protonet import run as runs
    from protonet.kernels import threads as kernel_threads
    from protonet.solvers import get_solver

    if threads is not None:
        kernel_threads.set_count(threads)
    run = runs.prepare(file, list(overrides), out)
    console = Console(stderr=True)
    with _reporting(console) as reporter:
        for note in run.notes:
            reporter.note(note)
        solver = get_solver(run.source, reporter=reporter)
        if weights is not None:
            for name in solver.net.copy_from(weights):
                reporter.note(f"{weights}: the net has no layer '{name}', ignored")
        with _stopping_on_interrupt(solver):
            finished = solver.solve(resume)
        if finished and solver.test_nets and solver.tested_at != solver.iter:
            solver.test_all()
    _print_result(solver, finished)


@contextmanager
def _reporting(console: Any) -> Iterator[Reporter]:
    """Give the live line on a terminal, glog's lines elsewhere; log messages become notes."""
    from protonet.watch.glog import GlogReporter
    from protonet.watch.live import LiveReporter

    live = LiveReporter(console) if console.is_terminal else None
    reporter: Reporter = live or GlogReporter()
    handler = _Notes(reporter)
    logger = logging.getLogger("protonet")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield reporter
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        if live is not None:
            live.close()


class _Notes(logging.Handler):
    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        self._reporter.note(record.getMessage())


@contextmanager
def _stopping_on_interrupt(solver: Solver) -> Iterator[None]:
    """Let the first Ctrl-C stop after the iteration; a second one interrupts at once."""

    def stop(number: int, frame: Any) -> None:
        solver.request_stop()
        signal.signal(signal.SIGINT, before)

    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _print_result(solver: Solver, finished: bool) -> None:
    from rich.console import Console

    from protonet.run import closing_table

    console = Console()
    table = closing_table(solver) if finished else None
    if table is not None:
        console.print(table)
    stem = solver.snapshot_prefix.with_name(f"{solver.snapshot_prefix.name}_iter_{solver.iter}")
    if solver.param.snapshot_after_train or not finished:
        print(f"weights: {stem}.caffemodel")
    if not finished:
        print(f"stopped after {solver.iter} iterations; go on with --resume {stem}.solverstate")
