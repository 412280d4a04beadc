"""What --watch gradients costs: LeNet trained in turns with it, without it, and without metrics.

Three solvers take turns, a block of iterations each, so that whatever else the machine does slows
all of them alike; what is printed are medians over the blocks.

    python tools/bench/watch_gradients.py [--iterations 1000] [--blocks 40]
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

from protonet.lab import solver_for
from protonet.schema.read import read_net
from protonet.solvers import get_solver
from protonet.watch.metrics import MetricsReporter
from protonet.watch.reporter import Reporter

LENET = Path(__file__).parents[2] / "models/lenet.prototxt"


def make(reporter: Reporter, iterations: int) -> Any:
    """Return a solver of LeNet that does not test, some iterations on."""
    source = solver_for(read_net(LENET), [f"max_iter={iterations}", "test_interval=1000000"], 1)
    solver = get_solver(source, reporter=reporter)
    reporter.solving(solver)
    solver.iter = 1
    solver.step(20)
    return solver


def main() -> None:
    """Print what an iteration takes each way, and the shares that watching adds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=1000, help="max_iter: sets how often")
    parser.add_argument("--blocks", type=int, default=40)
    options = parser.parse_args()
    kinds = {
        "no metrics": Reporter(),
        "metrics": MetricsReporter(lambda record: None),
        "metrics and gradients": MetricsReporter(lambda record: None, gradients=True),
    }
    solvers = {name: make(reporter, options.iterations) for name, reporter in kinds.items()}
    size = 50
    taken: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(options.blocks):
        for name, solver in solvers.items():
            start = time.perf_counter()
            solver.step(size)
            taken[name].append((time.perf_counter() - start) / size)
    for name, times in taken.items():
        print(f"{name:22} {1000 * statistics.median(times):.3f} ms an iteration")
    for name, base in (("metrics", "no metrics"), ("metrics and gradients", "metrics")):
        ratios = [a / b for a, b in zip(taken[name], taken[base], strict=True)]
        share = 100 * (statistics.median(ratios) - 1)
        print(f"{name} over {base}: {share:+.2f} %")


if __name__ == "__main__":
    main()
