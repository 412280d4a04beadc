"""Compare a training iteration of LeNet fed from databases with one fed from memory.

Batches of 64 MNIST images; forward, backward, SGD with momentum. Three solvers in one process take
turns: LMDB, LevelDB (both built from the bundled set), and Input layers filled from arrays.

    python tools/bench/data.py [--seconds 10] [--threads 2]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from lenet import BATCH, BATCHES, MODELS, SOLVER, Step, compare, protonet_step

import protonet
from protonet.kernels import threads


def database_step(backend: str, folder: Path) -> Step:
    """Return a function that does an iteration with images from a database."""
    from protonet.schema.read import read_net
    from protonet.schema.write import write_text

    message = read_net(MODELS / "lenet.prototxt").message
    data = next(layer for layer in message.layer if layer.type == "Data")
    data.data_param.source = f"mnist_train_{backend}"
    data.data_param.backend = data.data_param.LMDB if backend == "lmdb" else data.data_param.LEVELDB
    net = folder / f"{backend}.prototxt"
    net.write_text(write_text(message))
    (folder / f"{backend}_solver.prototxt").write_text(SOLVER % net)
    solver = protonet.get_solver(str(folder / f"{backend}_solver.prototxt"))
    return lambda i: solver.step(1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--threads", type=int, default=threads.available())
    options = parser.parse_args()
    threads.set_count(options.threads)
    generator = np.random.default_rng(0)
    images = generator.random((BATCHES, BATCH, 1, 28, 28), np.float32)
    labels = generator.integers(0, 10, (BATCHES, BATCH)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        steps = {
            "memory": protonet_step(False, images, labels, place),
            "lmdb": database_step("lmdb", place),
            "leveldb": database_step("leveldb", place),
        }
        times = compare(steps, options.seconds)
    print(f"LeNet, one training iteration, batch {BATCH}, {options.threads} threads")
    for name, values in times.items():
        ratio = statistics.median(v / m for v, m in zip(values, times["memory"], strict=True))
        median = 1000 * statistics.median(values)
        print(f"{name:8} {median:6.2f} ms   {ratio:.3f} of memory's")
    return 0


if __name__ == "__main__":
    sys.exit(main())
