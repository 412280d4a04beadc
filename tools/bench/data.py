"""Compare a training iteration of LeNet fed from databases with one fed from memory.

Batches of 64 MNIST images; forward, backward, SGD with momentum. Three solvers in one process take
turns: LMDB, LevelDB (both built from the bundled set), and a MemoryData layer with arrays.

    python tools/bench/data.py [--seconds 10] [--threads 2]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import Any

from inputs import LENET_BATCH, LENET_RATE, MODELS, lenet_from_memory, solver_of

from protonet.kernels import placement, threads
from protonet.schema.read import read_net

WARM_UP, TURN = 3, 12  # iterations before and in each measurement


def from_database(backend: str) -> Any:
    """Return a solver that trains on images from a database."""
    message = read_net(MODELS / "lenet.prototxt").message
    param = next(layer for layer in message.layer if layer.type == "Data").data_param
    param.source = f"mnist_train_{backend}"
    param.backend = param.LMDB if backend == "lmdb" else param.LEVELDB
    return solver_of(message, LENET_RATE)


def measure(solver: Any) -> float:
    """Return the seconds of an iteration, the mean of one turn."""
    solver.step(WARM_UP)
    start = time.perf_counter()
    solver.step(TURN)
    return (time.perf_counter() - start) / TURN


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--threads", type=int, default=placement.available())
    options = parser.parse_args()
    threads.set_count(options.threads)
    solvers = {
        "memory": lenet_from_memory("lenet")[0],
        "lmdb": from_database("lmdb"),
        "leveldb": from_database("leveldb"),
    }
    for solver in solvers.values():
        solver.step(WARM_UP)  # compile, build the databases
    times: dict[str, list[float]] = {name: [] for name in solvers}
    stop = time.perf_counter() + options.seconds
    while time.perf_counter() < stop:
        for name, solver in solvers.items():
            times[name].append(measure(solver))
    print(f"LeNet, one training iteration, batch {LENET_BATCH}, {options.threads} threads")
    for name, values in times.items():
        ratio = statistics.median(v / m for v, m in zip(values, times["memory"], strict=True))
        median = 1000 * statistics.median(values)
        print(f"{name:8} {median:6.2f} ms   {ratio:.3f} of memory's")
    return 0


if __name__ == "__main__":
    sys.exit(main())
