"""Compare a training iteration of LeNet fed from databases with one fed from memory.

Batches of 64 MNIST images; forward, backward, SGD with momentum. Three solvers in one process take
turns: LMDB, LevelDB (both built from the bundled set), and Input layers filled from arrays.

    python tools/bench/data.py [--seconds 10] [--threads 2]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from inputs import MODELS, from_memory

import protonet
from protonet.kernels import threads
from protonet.schema.read import SolverSource, read_net

BATCH, BATCHES = 64, 16
WARM_UP, TURN = 3, 12  # iterations before and in each measurement

Step = Callable[[], None]


def solver_of(message: Any) -> Any:
    """Return a solver that trains a net in the way of the lecture."""
    param = protonet.schema.caffe_pb2.SolverParameter(
        base_lr=0.01, momentum=0.9, weight_decay=5e-4, lr_policy="fixed", max_iter=10**6
    )
    param.train_net_param.CopyFrom(message)
    return protonet.get_solver(SolverSource.of(param))


def memory_step() -> Step:
    """Return a function that does an iteration with images from arrays."""
    solver = solver_of(from_memory("lenet", BATCH, True))
    data, label = solver.net.blobs["data"].data, solver.net.blobs["label"].data
    rng = np.random.default_rng(0)
    images = rng.random((BATCHES, *data.shape), np.float32)
    labels = rng.integers(0, 10, (BATCHES, *label.shape))
    batches = itertools.cycle(range(BATCHES))

    def step() -> None:
        i = next(batches)
        data[...], label[...] = images[i], labels[i]
        solver.step(1)

    return step


def database_step(backend: str) -> Step:
    """Return a function that does an iteration with images from a database."""
    message = read_net(MODELS / "lenet.prototxt").message
    param = next(layer for layer in message.layer if layer.type == "Data").data_param
    param.source = f"mnist_train_{backend}"
    param.backend = param.LMDB if backend == "lmdb" else param.LEVELDB
    solver = solver_of(message)
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
        "memory": memory_step(),
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
    print(f"LeNet, one training iteration, batch {BATCH}, {options.threads} threads")
    for name, values in times.items():
        ratio = statistics.median(v / m for v, m in zip(values, times["memory"], strict=True))
        median = 1000 * statistics.median(values)
        print(f"{name:8} {median:6.2f} ms   {ratio:.3f} of memory's")
    return 0


if __name__ == "__main__":
    sys.exit(main())
