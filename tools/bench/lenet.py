"""Compare one training iteration of LeNet, protonet against PyTorch, in one process.

Batches of 64 images from memory; forward, backward, SGD with momentum and weight decay. The two
take turns, so that what else the machine does hits both. Needs torch, which is no dependency of
protonet: ``pip install torch``.

    python tools/bench/lenet.py [--seconds 10] [--threads 2 1] [--side]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import protonet
from protonet.kernels import threads

BATCH, BATCHES = 64, 16
WARM_UP, TURN = 3, 12  # iterations before and in each measurement
RATE, MOMENTUM, DECAY = 0.01, 0.9, 0.0005

INPUT = """
layer { name: "mnist" type: "Input" top: "data" top: "label"
  input_param { shape { dim: 64 dim: 1 dim: 28 dim: 28 } shape { dim: 64 } } }
"""
SOLVER = f"""
net: "%s" base_lr: {RATE} momentum: {MOMENTUM} weight_decay: {DECAY} lr_policy: "fixed"
max_iter: 1000000
"""
MODELS = Path(__file__).parents[2] / "models"

Step = Callable[[int], None]


def protonet_step(side: bool, images: Any, labels: Any, folder: Path) -> Step:
    """Return a function that does iteration i with protonet."""
    from protonet.schema.read import read_net
    from protonet.schema.write import write_text

    source = read_net(MODELS / ("lenet_dsn.prototxt" if side else "lenet.prototxt"))
    message = source.message
    layers = [layer for layer in message.layer if layer.type != "Data"]
    del message.layer[:]
    message.layer.extend(layers)
    net = folder / "net.prototxt"
    net.write_text(INPUT + write_text(message))
    (folder / "solver.prototxt").write_text(SOLVER % net)
    solver = protonet.get_solver(str(folder / "solver.prototxt"))
    data, label = solver.net.blobs["data"].data, solver.net.blobs["label"].data

    def step(i: int) -> None:
        data[...] = images[i % BATCHES]
        label[...] = labels[i % BATCHES]
        solver.step(1)

    return step


def torch_step(side: bool, images: Any, labels: Any) -> Step:
    """Return a function that does iteration i with PyTorch, eager."""
    import torch
    from torch.nn import functional

    conv1, conv2 = torch.nn.Conv2d(1, 20, 5), torch.nn.Conv2d(20, 50, 5)
    ip1, ip2 = torch.nn.Linear(800, 500), torch.nn.Linear(500, 10)
    ip1_side = torch.nn.Linear(2880, 10)
    layers = [conv1, conv2, ip1, ip2] + ([ip1_side] if side else [])
    parameters = [p for layer in layers for p in layer.parameters()]
    rule = torch.optim.SGD(parameters, lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)
    xs, ys = torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))

    def step(i: int) -> None:
        x, y = xs[i % BATCHES], ys[i % BATCHES]
        rule.zero_grad()
        pool1 = functional.max_pool2d(conv1(x), 2)
        pool2 = functional.max_pool2d(conv2(pool1), 2)
        hidden = functional.relu(ip1(pool2.flatten(1)))
        loss = functional.cross_entropy(ip2(hidden), y)
        if side:
            loss = loss + functional.cross_entropy(ip1_side(pool1.flatten(1)), y)
        loss.backward()
        rule.step()
        loss.item()

    return step


def measure(step: Step) -> float:
    """Return the seconds of an iteration, the mean of one turn."""
    for i in range(WARM_UP):
        step(i)
    start = time.perf_counter()
    for i in range(TURN):
        step(i)
    return (time.perf_counter() - start) / TURN


def compare(steps: dict[str, Step], seconds: float) -> dict[str, list[float]]:
    """Measure the functions in turn for so many seconds."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step(0)
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop:
        for name, step in steps.items():
            times[name].append(measure(step))
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10, help="per number of threads")
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--side", action="store_true", help="the deeply supervised variant")
    options = parser.parse_args()
    try:
        import torch
    except ImportError:
        print("this benchmark compares with PyTorch: pip install torch", file=sys.stderr)
        return 2
    generator = np.random.default_rng(0)
    images = generator.random((BATCHES, BATCH, 1, 28, 28), np.float32)
    labels = generator.integers(0, 10, (BATCHES, BATCH)).astype(np.float32)
    name = "LeNet-DSN" if options.side else "LeNet"
    print(f"{name}, one training iteration, batch {BATCH}, torch {torch.__version__}")
    print(f"{'threads':>8}{'':4}{'':10}{'median':>9}{'least':>9}{'quartiles':>16}  ms")
    with tempfile.TemporaryDirectory() as folder:
        steps = {
            "protonet": protonet_step(options.side, images, labels, Path(folder)),
            "torch": torch_step(options.side, images, labels),
        }
        for count in options.threads:
            threads.set_count(count)
            torch.set_num_threads(count)
            times = compare(steps, options.seconds)
            for who, values in times.items():
                low, middle, high = (1000 * q for q in statistics.quantiles(values, n=4))
                spread = f"{low:.2f} - {high:.2f}"
                print(f"{count:8}{'':4}{who:10}{middle:9.2f}{1000 * min(values):9.2f}{spread:>16}")
            ratios = [t / p for t, p in zip(times["torch"], times["protonet"], strict=True)]
            least = min(times["torch"]) / min(times["protonet"])
            print(
                f"{'':12}torch / protonet: {statistics.median(ratios):.2f} (of minima {least:.2f})"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
