"""One live progress line on a terminal: iterations/s, time left, the losses of all heads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from protonet.watch.reporter import OutputLine, Reporter

if TYPE_CHECKING:
    from rich.console import Console

    from protonet.solvers.solver import Solver

_EVERY = 0.2  # seconds between two looks at the losses: reading them more often costs speed


class LiveReporter(Reporter):
    """Shows a progress bar; tests and notes are printed above it."""

    def __init__(self, console: Console) -> None:
        import time

        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._clock = time.perf_counter
        self._next = 0.0
        self._start: tuple[float, int] | None = None
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[losses]}"),
            console=console,
        )
        self._task = self._progress.add_task("training", total=None, pace="", losses="")

    def reads_only_outputs(self) -> bool:
        return True

    def solving(self, solver: Solver) -> None:
        self._progress.update(
            self._task, description=solver.net.name or "training", total=solver.param.max_iter
        )
        self._progress.start()

    def iteration(self, solver: Solver) -> None:
        now = self._clock()
        if now < self._next:
            return
        self._next = now + _EVERY
        if self._start is None:
            # the first iteration compiles kernels: leave it out of the pace
            self._start = (now, solver.iter)
        since, first = self._start
        pace = f"{(solver.iter - first) / (now - since):.0f} it/s" if now > since else ""
        losses = "  ".join(
            f"{name} {value:.4f}" for name, value, weight in solver.net.output_values() if weight
        )
        self._progress.update(self._task, completed=solver.iter, pace=pace, losses=losses)

    def tested(
        self, solver: Solver, index: int, outputs: list[OutputLine], loss: float | None
    ) -> None:
        scores = "  ".join(f"{name} {value:.4f}" for name, value, _ in outputs)
        self.note(f"iteration {solver.iter}, test: {scores}")

    def snapshotting(self, weights: Path, state: Path) -> None:
        self.note(f"snapshot {weights}")

    def debug_info(self, line: str) -> None:
        self.note(line)

    def note(self, message: str) -> None:
        self._progress.console.print(message, highlight=False, markup=False, soft_wrap=True)

    def stopped(self, solver: Solver) -> None:
        self._finish(solver)

    def done(self, solver: Solver) -> None:
        self._finish(solver)

    def _finish(self, solver: Solver) -> None:
        self._progress.update(self._task, completed=solver.iter)
        self.close()

    def close(self) -> None:
        """Leave the terminal as it was, also after an error."""
        self._progress.stop()
