"""What commands tell while they work: log lines, or on a terminal notes and a progress bar."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from protonet.watch.reporter import Reporter


@contextmanager
def reporting() -> Iterator[Reporter]:
    """Give the live line on a terminal, glog's lines elsewhere; log messages become notes."""
    from protonet.watch.glog import GlogReporter
    from protonet.watch.live import LiveReporter

    console = errors_console()
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
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Yield a function that counts one step of ``total``: a bar on a terminal, else nothing."""
    console = errors_console()
    if not console.is_terminal:
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeLeft(compact=True),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


def errors_console() -> Console:
    """Return the console of standard error."""
    from rich.console import Console

    return Console(stderr=True)


def output_console() -> Console:
    """Return the console of standard output; what goes into a file is not cut to 80 columns."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = 200
    return console
