"""``metrics.jsonl``: what a training run measured, one JSON object a line.

::

    {"event": "run", "net": "LeNet", "max_iter": 10000, "heads": ["loss"], "protonet": "0.1.0"}
    {"event": "train", "iter": 50, "lr": 0.0099, "loss": 0.51, "outputs": {"loss": 0.51},
     "per_second": 210.4}
    {"event": "gradients", "iter": 50, "params": [{"layer": "conv1", "index": 0, ...}], ...}
    {"event": "test", "iter": 500, "net": 0, "outputs": {"loss": 0.17, "loss_accuracy": 0.95}}

``iter`` counts the iterations done. Of a train line ``loss`` is the weighted sum of the losses and
``outputs`` are the values of each output, all of them means over the iterations since the line
before. An output of several values is a list. Tests do not count in ``per_second``.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from protonet import __version__
from protonet.errors import OutputError
from protonet.files import written_beside
from protonet.watch.gradient_flow import GradientFlow
from protonet.watch.reporter import OutputLine, Reporter

if TYPE_CHECKING:
    from protonet.solvers.solver import Solver

NAME = "metrics.jsonl"

Record = dict[str, Any]
Sink = Callable[[Record], None]

_POINTS = 200  # lines of a whole run: as many as a figure can show
_LEAST_BETWEEN = 10  # iterations between two looks at the gradients: keeps them cheap
_MOST_VALUES = 100  # an output with more than these is a picture, not a measure


class JsonLines:
    """Writes records to a file, each at once, so that a run can be watched while it goes on.

    Numbers that JSON has no word for become null.

    Args:
        goes_on: the run was begun before: what the file holds of it stays, up to the iteration
            of the first new record. Lines after it, or half a line, come from iterations that
            are done again.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(self, path: Path, goes_on: bool = False) -> None:
        self._path = path
        self._goes_on = goes_on
        self._opening: list[bytes] = []  # for a file that turns out to hold nothing yet
        self._file: IO[str] | None = None

    def _open(self, record: Record) -> IO[str]:
        if not self._goes_on:
            return self._path.open("w", encoding="utf-8")
        keep: list[bytes] = []
        held = self._path.read_bytes() if self._path.exists() else b""
        for line in held.splitlines(keepends=True):
            try:
                if json.loads(line).get("iter", 0) < record.get("iter", 0):
                    keep.append(line)
            except (ValueError, AttributeError, TypeError):
                break  # the process was killed while it wrote this
        with written_beside(self._path) as file:
            file.writelines(keep or self._opening)
        return self._path.open("a", encoding="utf-8")

    def __call__(self, record: Record) -> None:
        try:
            line = json.dumps(_plain(record)) + "\n"
            if self._file is None and self._goes_on and "iter" not in record:
                self._opening = [line.encode()]
                return
            if self._file is None:
                self._file = self._open(record)
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {error.strerror}") from None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class MetricsReporter(Reporter):
    """Turns what a solver does into records.

    Args:
        sinks: are called with each record.
        gradients: measure how gradients flow, too.

    Attributes:
        tested_for: seconds that tests have taken.
    """

    def __init__(self, *sinks: Sink, gradients: bool = False) -> None:
        self._sinks = sinks
        self._wanted = gradients
        self._flow: GradientFlow | None = None
        self._attached: Solver | None = None
        self._opening: Record = {}
        self._paused = 0.0
        self._test_began = 0.0
        self.tested_for = 0.0

    def reads_only_outputs(self) -> bool:
        return True

    def solving(self, solver: Solver) -> None:
        """Begin to measure; hooks are added to the solver once."""
        if self._attached is solver:
            return
        self._attached = solver
        self._every = max(1, solver.param.max_iter // _POINTS)
        self._flow_every = max(_LEAST_BETWEEN, self._every)
        self._outputs = [n for n in solver.net.outputs if _measures(solver, n)]
        # written with the first measure: a run that comes to none leaves no file
        self._opening = {
            "event": "run",
            "net": solver.net.name,
            "max_iter": solver.param.max_iter,
            "heads": [n for n, weight in solver.net.blob_loss_weights.items() if weight],
            "protonet": __version__,
        }
        self._flow = GradientFlow(solver) if self._wanted else None
        self._measured = False
        self._lr = 0.0
        solver.add_callback(self._before, self._ready, reads_blobs=self._flow is not None)
        self._restart()

    def _restart(self) -> None:
        self._sums: list[Any] = [0.0] * len(self._outputs)
        self._loss = 0.0
        self._count = 0
        self._paused = 0.0
        self._since = time.perf_counter()

    def _before(self) -> None:
        solver = self._attached
        assert solver is not None
        self._measured = self._flow is not None and solver.iter % self._flow_every == 0
        if self._flow is not None and self._measured:
            self._flow.begin()

    def _ready(self) -> None:
        solver = self._attached
        assert solver is not None
        self._lr = solver.learning_rate()
        if self._flow is not None and self._measured:
            self._flow.gradients()

    def iteration(self, solver: Solver) -> None:
        if self._flow is not None and self._measured:
            self._flow.update()
            self._emit("gradients", iter=solver.iter, **self._flow.record)
        self._loss += solver.losses[-1]
        self._count += 1
        for i, name in enumerate(self._outputs):
            value = solver.net.blobs[name].data
            same = np.shape(self._sums[i]) in ((), value.shape)
            self._sums[i] = self._sums[i] + value if same else value * self._count
        if solver.iter % self._every == 0 or self._count == 1 == solver.iter:
            self._line(solver)

    def _line(self, solver: Solver) -> None:
        seconds = time.perf_counter() - self._since - self._paused
        means = zip(self._outputs, self._sums, strict=True)
        self._emit(
            "train",
            iter=solver.iter,
            lr=self._lr,
            loss=self._loss / self._count,
            outputs={name: _value(total / self._count) for name, total in means},
            per_second=self._count / seconds if seconds > 0 else None,
        )
        self._restart()

    def testing(self, solver: Solver, index: int) -> None:
        self._test_began = time.perf_counter()

    def tested(
        self, solver: Solver, index: int, outputs: list[OutputLine], loss: float | None
    ) -> None:
        seconds = time.perf_counter() - self._test_began
        self._paused += seconds
        self.tested_for += seconds
        values: dict[str, list[float]] = {}
        for name, value, _ in outputs:
            values.setdefault(name, []).append(value)
        kept = {
            name: v[0] if len(v) == 1 else v for name, v in values.items() if len(v) <= _MOST_VALUES
        }
        self._emit("test", iter=solver.iter, net=index, outputs=kept)

    def stopped(self, solver: Solver) -> None:
        self._finish(solver)

    def done(self, solver: Solver) -> None:
        self._finish(solver)

    def _finish(self, solver: Solver) -> None:
        if self._count:
            self._line(solver)

    def close(self) -> None:
        """Write what was measured last, also after an error, and close what the records go to."""
        if self._attached is not None:
            self._finish(self._attached)
        for sink in self._sinks:
            close = getattr(sink, "close", None)
            if close is not None:
                close()

    def _emit(self, event: str, **fields: Any) -> None:
        opening, self._opening = self._opening, {}
        for sink in self._sinks:
            if opening:
                sink(opening)
            sink({"event": event, **fields})


def recording(
    folder: Path, gradients: bool = False, tensorboard: bool = False, goes_on: bool = False
) -> MetricsReporter:
    """Return what writes the metrics of a run into its folder; ``goes_on`` as for JsonLines.

    Raises:
        OutputError: TensorBoard events are wanted, and what writes them is not installed.
    """
    sinks: list[Sink] = [JsonLines(folder / NAME, goes_on)]
    if tensorboard:
        from protonet.watch.tensorboard import TensorBoardEvents

        sinks.append(TensorBoardEvents(folder / "events"))
    return MetricsReporter(*sinks, gradients=gradients)


def _measures(solver: Solver, name: str) -> bool:
    return solver.net.blobs[name].count <= _MOST_VALUES


def _value(array: Any) -> float | list[float]:
    values = np.asarray(array, np.float64).reshape(-1).tolist()
    return values[0] if len(values) == 1 else values


def _plain(value: Any) -> Any:
    """Return what JSON can say, floats to seven digits: neither infinity nor not-a-number."""
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return value
