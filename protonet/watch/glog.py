"""Log lines in the shape of real Caffe's, so that parsers written for those work.

``I1122 20:17:13.556969 10515 solver.cpp:239] Iteration 100 (37.3 iter/s, 2.68s/100 iters), …``
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from protonet.watch.reporter import OutputLine, Reporter

if TYPE_CHECKING:
    from protonet.scoring import Scores
    from protonet.solvers.solver import Solver
    from protonet.timing import Timing

# Where real Caffe 1.0 logs each kind of line; parsers may look for them.
_SOLVER, _SGD, _NET, _TOOL = "solver.cpp", "sgd_solver.cpp", "net.cpp", "caffe.cpp"


def output_text(line: OutputLine) -> str:
    """Return ``name = value`` and, for a loss, its weight and weighted value."""
    name, value, weight = line
    text = f"{name} = {value:g}"
    return f"{text} (* {weight:g} = {weight * value:g} loss)" if weight else text


class GlogReporter(Reporter):
    """Writes one line for each event.

    Args:
        stream: standard error by default, as glog.
    """

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream

    def reads_only_outputs(self) -> bool:
        return True

    def write(self, message: str, file: str = _SOLVER, line: int = 1) -> None:
        now = time.time()
        stamp = time.strftime("%m%d %H:%M:%S", time.localtime(now))
        micros = int(now % 1 * 1e6)
        stream = self._stream or sys.stderr
        print(f"I{stamp}.{micros:06d} {os.getpid():5d} {file}:{line}] {message}", file=stream)
        stream.flush()

    def solving(self, solver: Solver) -> None:
        self.write(f"Solving {solver.net.name}", line=279)
        self.write(f"Learning Rate Policy: {solver.param.lr_policy}", line=280)

    def display(self, solver: Solver, loss: float, iterations: int, seconds: float) -> None:
        if iterations:
            pace = f" ({iterations / seconds:g} iter/s, {seconds:g}s/{solver.param.display} iters)"
        else:
            pace = ""
        self.write(f"Iteration {solver.iter}{pace}, loss = {loss:g}", line=239)
        for i, line in enumerate(solver.net.output_values()):
            self.write(f"    Train net output #{i}: {output_text(line)}", line=258)

    def learning_rate(self, iteration: int, rate: float) -> None:
        self.write(f"Iteration {iteration}, lr = {rate:g}", _SGD, 112)

    def testing(self, solver: Solver, index: int) -> None:
        self.write(f"Iteration {solver.iter}, Testing net (#{index})", line=347)

    def tested(
        self, solver: Solver, index: int, outputs: list[OutputLine], loss: float | None
    ) -> None:
        if loss is not None:
            self.write(f"Test loss: {loss:g}", line=406)
        for i, line in enumerate(outputs):
            self.write(f"    Test net output #{i}: {output_text(line)}", line=414)

    def scoring(self, batches: int) -> None:
        self.write(f"Running for {batches} iterations.", _TOOL, 284)

    def scored_batch(self, index: int, outputs: list[OutputLine]) -> None:
        for name, value, _ in outputs:
            self.write(f"Batch {index}, {name} = {value:g}", _TOOL, 308)

    def scored(self, scores: Scores) -> None:
        self.write(f"Loss: {scores.loss:g}", _TOOL, 313)
        for line in scores.outputs:
            self.write(output_text(line), _TOOL, 325)

    def timed(self, timing: Timing) -> None:
        self.write("Average time per layer: ", _TOOL, 397)
        for layer in timing.layers:
            back = layer.backward.mean if layer.backward else 0.0
            for way, seconds, line in (
                ("forward", layer.forward.mean, 400),
                ("backward", back, 403),
            ):
                self.write(f"{layer.name:>10}\t{way}: {seconds * 1e3:g} ms.", _TOOL, line)
        forward, backward = timing.forward.mean * 1e3, timing.backward.mean * 1e3
        self.write(f"Average Forward pass: {forward:g} ms.", _TOOL, 408)
        self.write(f"Average Backward pass: {backward:g} ms.", _TOOL, 410)
        both = timing.seconds * 1e3
        self.write(f"Average Forward-Backward: {both / timing.iterations:g} ms.", _TOOL, 412)
        self.write(f"Total Time: {both:g} ms.", _TOOL, 414)

    def snapshotting(self, weights: Path, state: Path) -> None:
        kind, lines = (
            ("HDF5", (475, 315)) if state.suffix == ".h5" else ("binary proto", (464, 284))
        )
        self.write(f"Snapshotting to {kind} file {weights}", line=lines[0])
        self.write(f"Snapshotting solver state to {kind} file {state}", _SGD, lines[1])

    def debug_info(self, line: str) -> None:
        self.write(line, _NET, 591)

    def note(self, message: str) -> None:
        self.write(message, "protonet", 1)

    def stopped(self, solver: Solver) -> None:
        self.write("Optimization stopped early.", line=304)

    def done(self, solver: Solver) -> None:
        self.write("Optimization Done.", line=332)
