"""Which snapshots of a run stay on the disk: the last few, and the best by a score of the tests."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protonet.errors import did_you_mean

if TYPE_CHECKING:
    from protonet.solvers.solver import Solver


class Keep:
    """Removes snapshots that a run wrote itself and that need not be kept; never others.

    Args:
        last: how many of the last ones to keep, None for all.
        best: the output of a test net by which one more is kept; a loss is better when it is
            lower, anything else when it is higher. A test with a new best takes a snapshot.
    """

    def __init__(self, last: int | None = None, best: str | None = None) -> None:
        self.last = last
        self.best = best
        self._written: dict[int, list[Path]] = {}
        self._best_at, self._best_score = -1, math.nan

    def check(self, solver: Solver) -> None:
        """Raise PrototxtError when no test net has the output to judge by."""
        if self.best is None:
            return
        names = {name for net in solver.test_nets for name in net.outputs}
        if self.best not in names:
            known = ", ".join(sorted(names)) or "none: there are no test nets"
            hint = did_you_mean(self.best, names)
            raise solver.error(
                f"no test net has an output '{self.best}' to keep the best snapshot by{hint}; "
                f"outputs: {known}"
            )

    def add(self, iteration: int, files: list[Path]) -> None:
        """A snapshot is being written."""
        if self.last is None:
            self._written.clear()
        self._written[iteration] = files

    def prune(self) -> None:
        """Remove what need not be kept; called when the latest snapshot is whole."""
        if self.last is None:
            return
        recent = sorted(self._written)[-self.last :]
        for iteration in list(self._written):
            if iteration not in recent and iteration != self._best_at:
                for file in self._written.pop(iteration):
                    file.unlink(missing_ok=True)

    def tested(self, solver: Solver) -> None:
        """A test is done: see whether it is the best so far."""
        if self.best is None:
            return
        for index, net in enumerate(solver.test_nets):
            values = solver.scores.get(index, {}).get(self.best)
            if not values or not math.isfinite(values[0]):
                continue
            lower = bool(net.blob_loss_weights[self.best])
            score, before = values[0], self._best_score
            if math.isnan(before) or (score < before if lower else score > before):
                self._best_at, self._best_score = solver.iter, score
                if solver.iter not in self._written:
                    solver.snapshot()
                self.prune()
            return

    def state(self) -> dict[str, Any]:
        """Return what a resumed run must know."""
        return {
            "last": self.last,
            "by": self.best,
            "written": [[i, [str(file) for file in files]] for i, files in self._written.items()],
            "best": [self._best_at, self._best_score],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what the run before had written, and what it kept unless told otherwise."""
        if self.last is None:
            self.last = state.get("last")
        if self.best is None:
            self.best = state.get("by")
        self._written = {int(i): [Path(file) for file in files] for i, files in state["written"]}
        self._best_at, self._best_score = int(state["best"][0]), float(state["best"][1])
