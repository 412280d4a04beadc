"""Compare a training iteration of LeNet fed from databases with one fed from memory.

Batches of 64 MNIST images; forward, backward, SGD with momentum. Three solvers in one process take
turns: LMDB, LevelDB (both built from the bundled set), and Input layers filled from arrays.

    python tools/bench/data.py [--seconds 10] [--threads 2]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

from inputs import LENET_BATCH, LENET_RATE, MODELS, lenet_from_memory, solver_of

from protonet.kernels import threads
from protonet.schema.read import read_net

WARM_UP, TURN = 3, 12  # iterations before and in each measurement

Step = Callable[[], None]


def database_step(backend: str) -> Step:
    """Return a function that does an iteration with images from a database."""
    message = read_net(MODELS / "lenet.prototxt").message
    param = next(layer for layer in message.layer if layer.type == "Data").data_param
    param.source = f"mnist_train_{backend}"
    param.backend = param.LMDB if backend == "lmdb" else param.LEVELDB
    solver = solver_of(message, LENET_RATE)
    return lambda: solver.step(1)


def measure(step: Step) -> float:
    """Return the seconds of an iteration, the mean of one turn."""
    for _ in range(WARM_UP):
        step()
    start = time.perf_counter()
    for _ in range(TURN):
        step()
    return (time.perf_counter() - start) / TURN


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--threads", type=int, default=threads.available())
    options = parser.parse_args()
    threads.set_count(options.threads)
    steps = {
        "memory": lenet_from_memory("lenet")[1],
        "lmdb": database_step("lmdb"),
        "leveldb": database_step("leveldb"),
    }
    for step in steps.values():
        step()  # compile, build the databases
    times: dict[str, list[float]] = {name: [] for name in steps}
    stop = time.perf_counter() + options.seconds
    while time.perf_counter() < stop:
        for name, step in steps.items():
            times[name].append(measure(step))
    print(f"LeNet, one training iteration, batch {LENET_BATCH}, {options.threads} threads")
    for name, values in times.items():
        ratio = statistics.median(v / m for v, m in zip(values, times["memory"], strict=True))
        median = 1000 * statistics.median(values)
        print(f"{name:8} {median:6.2f} ms   {ratio:.3f} of memory's")
    return 0


if __name__ == "__main__":
    sys.exit(main())
