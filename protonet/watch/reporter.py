"""The interface through which a solver tells what happens. This base says nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protonet.scoring import Scores
    from protonet.solvers.solver import Solver
    from protonet.timing import Timing

# One value of an output: its name, the value, its weight in the loss.
OutputLine = tuple[str, float, float]


class Reporter:
    """Override what is of interest."""

    def reads_only_outputs(self) -> bool:
        """Whether all it reads of the training net's blobs are outputs, or it says nothing.

        Others may have no values, then, while the solver goes on to the next iteration. For
        reporters to override.
        """
        return type(self) is Reporter

    def solving(self, solver: Solver) -> None:
        """Training begins."""

    def iteration(self, solver: Solver) -> None:
        """An iteration is done; ``solver.iter`` counts it already."""

    def display(self, solver: Solver, loss: float, iterations: int, seconds: float) -> None:
        """``display`` is due: the smoothed loss, and how long the last iterations took."""

    def learning_rate(self, iteration: int, rate: float) -> None:
        """``display`` is due: the rate used."""

    def testing(self, solver: Solver, index: int) -> None:
        """A test of ``solver.test_nets[index]`` begins."""

    def tested(
        self, solver: Solver, index: int, outputs: list[OutputLine], loss: float | None
    ) -> None:
        """A test is done: the means of all output values, and of the loss if asked for."""

    def scoring(self, batches: int) -> None:
        """A net is about to be scored over so many batches, without a solver."""

    def scored_batch(self, index: int, outputs: list[OutputLine]) -> None:
        """A batch was scored: its number, from 0, and its output values."""

    def scored(self, scores: Scores) -> None:
        """A net was scored."""

    def timed(self, timing: Timing) -> None:
        """The layers of a net were timed."""

    def snapshotting(self, weights: Path, state: Path) -> None:
        """These files are about to be written."""

    def debug_info(self, line: str) -> None:
        """One line of what ``debug_info`` asks for."""

    def note(self, message: str) -> None:
        """Something that a user should know."""

    def stopped(self, solver: Solver) -> None:
        """A stop was requested; a snapshot was taken, unless the solver wants none."""

    def done(self, solver: Solver) -> None:
        """Training came to its end."""
