"""Show which layers take much of a net's time, and how close each is to what the machine can do.

A layer's limit is its multiply-adds at the rate of NumPy's product of large matrices or, if that
takes longer, the bytes that it has to read and write at the rate of reading or copying large
arrays; both on as many threads, and measured beside each net. Layers that run as one are shown as
one. Bytes are counted once, as if nothing had to be read twice: tops, bottoms and parameters
forward, their gradients backward, and bottoms once more where there are gradients of parameters.
Winograd's method does less than the multiply-adds that are counted, and caches are faster than
memory: a layer can be above 100 %.

Forward passes are those of deploy nets, training those of a solver's step between its first and its
last iteration, without the update.

    python tools/bench/layers.py [--nets googlenet vgg16] [--turns 7] [--share 10]
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from inputs import LENETS, NETS, TRAIN_BATCH, fill, from_memory, lenet_from_memory, solver_of

import protonet
from protonet.blob import Blob
from protonet.fusion import Chain
from protonet.kernels import threads
from protonet.schema.read import NetSource

LARGE = 1536  # rows and columns of the product
VALUES = 16 << 20  # of each of two arrays that are read, or one copied to the other
TRIES = 12  # of each; the best counts


@dataclass(frozen=True)
class Part:
    """A layer, or some that run as one, in one direction.

    Attributes:
        multiply_adds, bytes: what it has to do.
        seconds: of all turns.
    """

    name: str
    run: Callable[[], None]
    multiply_adds: int
    bytes: int
    seconds: list[float]


def rates() -> tuple[float, float]:
    """Return the multiply-adds, and the bytes read or written, in a second."""
    a = np.random.default_rng(0).random((LARGE, LARGE), np.float32)
    out = np.empty_like(a)
    product = _least(lambda: np.matmul(a, a, out=out))
    count = threads.count()
    # ones: of zeros that nobody has written the system makes one page
    pieces = [(np.ones(n, np.float32), np.ones(n, np.float32)) for n in [VALUES // count] * count]
    with ThreadPoolExecutor(count) as pool:
        reading = _least(lambda: list(pool.map(lambda pair: np.dot(*pair), pieces)))
        copying = _least(lambda: list(pool.map(lambda pair: np.copyto(*pair), pieces)))
    return LARGE**3 / product, 8 * VALUES / min(reading, copying)


def _least(call: Callable[[], Any]) -> float:
    times = []
    for _ in range(TRIES):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def forward_parts(chains: Iterable[Chain]) -> list[Part]:
    """Return the forward passes of these chains."""
    return [
        Part(
            _name(chain),
            chain.forward,
            sum(step.layer.multiply_adds(step.bottom, step.top) for step in chain.steps),
            4 * (_count(chain.steps[0].bottom, chain.steps[-1].top) + _parameters(chain)),
            [],
        )
        for chain in chains
    ]


def backward_parts(chains: Iterable[Chain]) -> list[Part]:
    """Return the backward passes of these chains, the last one first."""
    parts = []
    for chain in reversed(list(chains)):
        first, last = chain.steps[0], chain.steps[-1]
        learns = any(any(step.layer.param_propagate_down) for step in chain.steps)
        work = first.layer.backward_multiply_adds(first.bottom, first.top, first.propagate_down)
        down = [b for b, wanted in zip(first.bottom, first.propagate_down, strict=True) if wanted]
        moved = _count(last.top, down) + learns * (_count(first.bottom) + _parameters(chain))
        if any(step.backward for step in chain.steps):
            parts.append(Part(_name(chain) + " back", chain.backward, work, 4 * moved, []))
    return parts


def _name(chain: Chain) -> str:
    return " + ".join(step.node.name for step in chain.steps)


def _count(*blobs: list[Blob]) -> int:
    different = {id(blob): blob for group in blobs for blob in group}
    return sum(blob.count for blob in different.values())


def _parameters(chain: Chain) -> int:
    return sum(blob.count for step in chain.steps for blob in step.layer.blobs)


def forward(name: str, batch: int) -> tuple[list[Part], Callable[[], None]]:
    """Return the parts of a deploy net's forward pass, and what comes before each."""
    net = protonet.Net(NetSource.of(from_memory(name, batch, False)))
    fill(net, np.random.default_rng(0))
    net.run_forward()
    return forward_parts(net.chains), lambda: None


def training(name: str) -> tuple[list[Part], Callable[[], None]]:
    """Return the parts of a training step."""
    if name.startswith("lenet"):
        solver = lenet_from_memory(name)[0]
    else:
        solver = solver_of(from_memory(name, TRAIN_BATCH.get(name, 16), True), 1e-5)
        fill(solver.net, np.random.default_rng(0))
    solver.step(3)
    chains = solver.net.hidden_chains
    return forward_parts(chains) + backward_parts(chains), solver.net.forget_param_diffs


def show(title: str, parts: list[Part], share: float, tops: tuple[float, float]) -> int:
    """Print the parts that take more than this share; return how many are below 60 %."""
    total = sum(statistics.median(part.seconds) for part in parts)
    print(f"{title}: {1e3 * total:.1f} ms")
    below = 0
    for part in sorted(parts, key=lambda part: -statistics.median(part.seconds)):
        taken = statistics.median(part.seconds)
        if taken < share / 100 * total:
            break
        limits = part.multiply_adds / tops[0], part.bytes / tops[1]
        reached = max(limits) / taken
        by = "multiply-adds" if limits[0] > limits[1] else "memory"
        below += reached < 0.6
        print(
            f"  {part.name:40} {1e3 * taken:8.2f} ms {taken / total:5.1%}  {reached:4.0%} of {by}"
        )
    return below


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", nargs="+", default=NETS, choices=NETS)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--share", type=float, default=10, help="per cent; layers below it: none")
    options = parser.parse_args()
    below = 0
    for name in options.nets:
        works = {"training": partial(training, name)}
        if name not in LENETS:
            works |= {f"forward, {batch}": partial(forward, name, batch) for batch in (1, 16)}
        for title, make in works.items():
            parts, before = make()
            tops = rates()
            for _ in range(options.turns):
                before()
                for part in parts:
                    start = time.perf_counter()
                    part.run()
                    part.seconds.append(time.perf_counter() - start)
            below += show(f"{name}, {title}", parts, options.share, tops)
            del parts, before
            gc.collect()
    print(f"{below} layers take {options.share:g} % or more and are below 60 % of their limit")


if __name__ == "__main__":
    main()
