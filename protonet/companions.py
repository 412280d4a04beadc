"""Schedules for the weights of companion losses during a training run.

As in "Deeply-supervised nets" (Lee et al., 2015) what companions are for is the early part of
training; their weights may go down while it goes on. A net file has no field for that: Caffe
reads ``loss_weight`` as a constant. So a schedule belongs to the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from protonet.errors import DataError, GraphError, PrototxtError, did_you_mean
from protonet.supervise import companions

if TYPE_CHECKING:
    from protonet.blob import Blob
    from protonet.solvers.solver import Solver

FORMS = ("constant", "linear", "drop@ITERATION", "decay")

# From the iterations done and the iterations of the run to a share of the weight in the file.
Schedule = Callable[[int, int], float]


def constant(iteration: int, total: int) -> float:
    """Return 1: what a file without a schedule means."""
    return 1.0


def linear(iteration: int, total: int) -> float:
    """Return 1 at the start, 0 at the end, a line between."""
    return max(0.0, 1.0 - iteration / total) if total else 1.0


def dropped(at: int) -> Schedule:
    """Return the schedule that is 1 before an iteration and 0 from it on."""
    return lambda iteration, total: float(iteration < at)


def decay(epoch: float) -> Schedule:
    """Return the paper's schedule: after epoch t of N, α ← α · 0.1 · (1 - t / N).

    Args:
        epoch: iterations of one pass over the data. The last epoch may be a part of one.
    """

    def share(iteration: int, total: int) -> float:
        epochs = math.ceil(total / epoch)
        product = 1.0
        for t in range(1, int(iteration / epoch) + 1):
            product *= 0.1 * max(0.0, 1.0 - t / epochs)
        return product

    return share


def parse(text: str, epoch: Callable[[], float]) -> Schedule:
    """Return the schedule that ``constant``, ``linear``, ``drop@ITERATION`` or ``decay`` names.

    Args:
        epoch: is asked for the iterations of an epoch where the schedule needs them.

    Raises:
        PrototxtError: it names none.
    """
    name, at, number = text.partition("@")
    if name == "drop" and number.isdecimal():
        return dropped(int(number))
    if not at and name == "decay":
        return decay(epoch())
    if not at and name in ("constant", "linear"):
        return constant if name == "constant" else linear
    hint = did_you_mean(text, FORMS) if name != "drop" else ""
    raise PrototxtError(f"companion weights '{text}': expected one of {', '.join(FORMS)}{hint}")


class CompanionWeights:
    """Keeps the weights of a solver's companion losses on a schedule.

    Args:
        solver: its training net must have companion losses.
        text: the schedule, as for :func:`parse`.

    Raises:
        PrototxtError: no such schedule.
        GraphError: the net has no companion loss.
        DataError: the schedule counts epochs and the number of records is not known.
    """

    def __init__(self, solver: Solver, text: str) -> None:
        self._solver = solver
        self._schedule = parse(text, self._epoch)
        steps = [s for s in solver.net.steps if not s.node.inserted]
        names = {la.name for la in companions([s.node.param for s in steps])}
        self._tops: list[tuple[Blob, float]] = [
            (blob, weight)
            for step in steps
            if step.node.name in names
            for blob, weight in zip(step.top, step.layer.loss_weights, strict=True)
            if weight
        ]
        if not self._tops:
            raise GraphError(
                f"net '{solver.net.name}' has no companion loss to weigh: put one in with "
                "protonet supervise"
            )
        solver.add_callback(self._weigh, lambda: None, reads_blobs=False)

    def _epoch(self) -> float:
        from protonet.scoring import whole_pass

        once = whole_pass(self._solver.net)
        if once is None:
            raise DataError(
                "companion weights 'decay' go down by epochs, and the number of records that the "
                "net reads is not known"
            )
        return once.records / once.batch / self._solver.param.iter_size

    def _weigh(self) -> None:
        share = self._schedule(self._solver.iter, self._solver.param.max_iter)
        for blob, weight in self._tops:
            # the loss takes its weights, and backward its start, from here
            blob.diff.fill(weight * share)
