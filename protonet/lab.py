"""Trainings side by side: the same recipe, the same records in the same order, several seeds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from protonet import recipe
from protonet.errors import NotFiniteError
from protonet.schema.read import NetSource, SolverSource
from protonet.watch.history import History
from protonet.watch.metrics import NAME, JsonLines, MetricsReporter, Sink

if TYPE_CHECKING:
    from protonet.solvers.solver import Solver

_TESTS, _APART = 10, 250  # of a run, where the recipe leaves it open; iterations between two
_TEST_BATCHES = 100  # of nets with a TEST part of their own, as in Caffe's MNIST example


@dataclass
class Training:
    """A training that has ended.

    Attributes:
        name: of the net that was trained.
        seed: what its weights were drawn with.
        solver: as it was left.
        history: what was measured.
        seconds: of its iterations, tests left out.
        diverged: why it stopped early: a value that was no longer finite; else "".
    """

    name: str
    seed: int
    solver: Solver
    history: History
    seconds: float
    diverged: str

    def last_test(self, output: str) -> float:
        """Return an output of the last test; not-a-number if there is none."""
        values = self.history.curve(self.history.tests_of(0), f"outputs/{output}")[1]
        return values[-1] if values and not self.diverged else math.nan

    def gradient(self, layer: str, index: int = 0) -> float:
        """Return the mean over the run of a parameter's mean |gradient|."""
        values = self.history.flow("gradient").get((layer, index), ([], []))[1]
        return sum(values) / len(values) if values else math.nan


def solver_for(
    found: NetSource | SolverSource, assignments: Sequence[str], seed: int
) -> SolverSource:
    """Return a solver in memory: of a net by the classic recipe, with a test of every head.

    Args:
        found: a net, or a solver to take as it is.
        assignments: ``key=value`` texts that override solver fields.

    Raises:
        ProtonetError: an override, or the test source, is at fault.
    """
    if isinstance(found, SolverSource):
        message = type(found.message)()
        message.CopyFrom(found.message)
        recipe.override(message, list(assignments))
        message.random_seed = seed
        message.snapshot_after_train = False
        return SolverSource(message, found.path, found.field_lines, found._nets)
    message = recipe.classic_solver()
    message.display = 0
    message.snapshot_after_train = False
    message.ClearField("test_interval")
    recipe.override(message, list(assignments))
    message.random_seed = seed
    if recipe.has_test_part(found.message):
        message.net_param.CopyFrom(found.message)
        if not message.test_iter:
            message.test_iter.append(_TEST_BATCHES)
        if not message.test_interval:
            message.test_interval = _test_interval(message.max_iter)
        return SolverSource(message, "", {}, {"net_param": [found]})
    nets = {"train_net_param": [found]}
    message.train_net_param.CopyFrom(found.message)
    derived = recipe.derive_test_net(found)
    if derived is not None:
        test = NetSource(derived.message, found.path, [0] * len(derived.message.layer))
        nets["test_net_param"] = [test]
        message.test_net_param.add().CopyFrom(derived.message)
        if not message.test_iter:
            message.test_iter.append(derived.batches)
        if not message.test_interval:
            message.test_interval = _test_interval(message.max_iter)
    return SolverSource(message, "", {}, nets)


def _test_interval(iterations: int) -> int:
    """Return a part of a run: a tenth, or more where a test would take as long as that."""
    tests = min(_TESTS, max(2, iterations // _APART))
    return max(1, iterations // tests)


def train(
    name: str,
    source: SolverSource,
    *,
    folder: Path | None = None,
    gradients: bool = True,
    prepare: Callable[[Solver], None] = lambda solver: None,
) -> Training:
    """Train as a solver says, and measure.

    Args:
        folder: where ``metrics.jsonl`` goes; it is made. Without one nothing is written.
        prepare: is called with the solver before it begins.

    Raises:
        ProtonetError: the solver or its nets cannot be built, or a source cannot be read.
    """
    from protonet.solvers import get_solver

    history = History(name)
    sinks: list[Sink] = [history.add]
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        sinks.append(JsonLines(folder / NAME))
    metrics = MetricsReporter(*sinks, gradients=gradients)
    solver = get_solver(source, reporter=metrics)
    prepare(solver)
    start = time.perf_counter()
    diverged = ""
    try:
        solver.solve()
        if solver.test_nets and solver.tested_at != solver.iter:
            solver.test_all()
    except NotFiniteError as error:
        diverged = str(error)
    finally:
        metrics.close()
        for net in (solver.net, *solver.test_nets):
            net.close()
    seconds = time.perf_counter() - start - metrics.tested_for
    return Training(name, source.message.random_seed, solver, history, seconds, diverged)
