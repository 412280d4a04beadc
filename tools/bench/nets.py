"""Compare protonet with PyTorch on the same work and threads, in one process, taking turns.

A training iteration of LeNet and LeNet-DSN at batch 64, on one thread and on all; of larger nets
forward at batch 1 and 16 and a training step at batch 16 (VGG-16: 4). Each row has medians ± half
the distance between quartiles, the median of the turns' ratios PyTorch / protonet, so that a
machine that is slower for a while is so for both, and protonet's share of what PyTorch's product
of large matrices reaches on as many threads. The nets are those of models/. Needs torch, which is
no dependency of protonet.

    python tools/bench/nets.py [--nets lenet resnet50] [--threads 1 2] [--turns 5] [--compile]
        [--markdown]
"""

from __future__ import annotations

import argparse
import gc
import itertools
import math
import statistics
import sys
import time
from typing import Any

import numpy as np

from protonet.kernels import placement, threads

try:
    import torch
except ImportError:
    sys.exit("this benchmark compares with PyTorch: pip install torch")
from inputs import LENETS, NETS
from works import Call, Work, works

WARM_UP, TURN = 0.03, 0.1  # seconds of calls before and in each measurement, one at least
LENET_TURNS = 20  # times as many: they are cheap, and short ones vary more
COLUMNS = {
    "net": "<18",
    "work": "<14",
    "threads": ">7",
    "protonet ms": ">16",
    "PyTorch ms": ">24",
    "ratio": ">8",
    "of peak": ">9",
}


def take_turns(calls: list[Call], turns: int) -> list[list[float]]:
    """Return the seconds that each function takes, the mean of each turn.

    A turn begins with calls that are not measured: threads of the other side go on spinning for a
    while after their last call, and take a processor.
    """
    for call in calls:
        call()
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(turns):
        for call, taken in zip(calls, times, strict=True):
            calls_for(WARM_UP, call)
            taken.append(calls_for(TURN, call))
    return times


def calls_for(seconds: float, call: Call) -> float:
    """Call it until so many seconds are over; return the mean time of a call."""
    start, calls = time.perf_counter(), 0
    while True:
        call()
        calls += 1
        passed = time.perf_counter() - start
        if passed >= seconds:
            return passed / calls


def use(count: int) -> None:
    """Have both use so many threads from now on."""
    threads.set_count(count)
    torch.set_num_threads(count)


def peak(count: int) -> float:
    """Return the multiply-adds a second of PyTorch's product of large matrices."""
    use(count)
    a, b = torch.rand(1536, 1536), torch.rand(1536, 1536)
    out = torch.empty(1536, 1536)
    best = math.inf
    for _ in range(20):
        start = time.perf_counter()
        torch.mm(a, b, out=out)
        best = min(best, time.perf_counter() - start)
    return 1536**3 / best


def compiled(work: Work, title: str) -> list[Call]:
    """Return PyTorch's part compiled, or nothing, having said why it does not compile."""
    torch.compiler.reset()  # all nets run the same code, of which only so many versions are kept
    try:
        call = work.theirs(torch.compile)
        for _ in range(3):  # compiles, and again where the first step left something new
            call()
    except Exception as error:  # of any kind: much can be missing or unsupported
        reason = str(error).split("\n")[0]
        print(f"{title}: eager, as torch.compile fails: {reason}", file=sys.stderr)
        return []
    return [call]


def compare(work: Work, title: str, turns: int, compiling: bool) -> tuple[Any, Any, float, str]:
    """Compare both.

    Returns:
        quartiles of the seconds, ours and PyTorch's; the ratio; a mark: how PyTorch was faster.
    """
    calls = [work.ours, work.theirs(lambda function: function)]
    if compiling:
        calls += compiled(work, title)
    ours, *theirs = np.array(take_turns(calls, turns)) / work.times
    best = min(range(len(theirs)), key=lambda i: np.median(theirs[i]))
    quartiles = [np.percentile(taken, [25, 50, 75]) for taken in (ours, theirs[best])]
    ratio = float(np.median(theirs[best] / ours))
    return *quartiles, ratio, "" if best == 0 else " compiled"


def milliseconds(quartiles: Any) -> str:
    """Return the median ± half the distance between quartiles, three digits of the median."""
    low, middle, high = 1e3 * quartiles
    digits = max(0, 2 - math.floor(math.log10(middle)))
    return f"{middle:.{digits}f} ±{(high - low) / 2:.{digits}f}"


def show(cells: list[str], markdown: bool) -> None:
    """Print a row of the table."""
    if markdown:
        print(f"| {' | '.join(cells)} |", flush=True)
    else:
        widths = COLUMNS.values()
        print("".join(map(format, cells, widths)), flush=True)


def kind_of(net: str, work: str) -> str:
    """Return what a row is averaged with."""
    if work.startswith("forward"):
        return work
    return "LeNet training" if net in LENETS else "training"


def table(options: argparse.Namespace) -> dict[str, list[float]]:
    """Measure and print row by row; return the ratios of each kind of work."""
    everything = placement.available()
    counts = {
        name: options.threads or sorted({1, everything} if name in LENETS else {everything})
        for name in options.nets
    }
    tops = {count: peak(count) for count in sorted(set().union(*counts.values()))}
    sgemm = ", ".join(f"{2e-9 * top:.0f} ({count})" for count, top in tops.items())
    print(f"torch {torch.__version__}, sgemm GFLOP/s (threads): {sgemm}\n")
    show(list(COLUMNS), options.markdown)
    if options.markdown:
        show(["---:" if width[0] == ">" else "---" for width in COLUMNS.values()], True)
    ratios: dict[str, list[float]] = {}
    for net in options.nets:
        turns = options.turns * (LENET_TURNS if net in LENETS else 1)
        for (name, make), count in itertools.product(works(net).items(), counts[net]):
            use(count)
            work = make()
            ours, theirs, ratio, mark = compare(work, f"{net}, {name}", turns, options.compile)
            share = work.multiply_adds / ours[1] / tops[count]
            times = [milliseconds(ours), milliseconds(theirs) + mark]
            show([net, name, str(count), *times, f"{ratio:.2f}", f"{share:.0%}"], options.markdown)
            ratios.setdefault(kind_of(net, name), []).append(ratio)
            del work
            gc.collect()  # nets hold themselves: two large ones may be too much
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", nargs="+", default=NETS, choices=NETS)
    parser.add_argument("--threads", type=int, nargs="+", help="default: all; LeNet also 1")
    parser.add_argument("--turns", type=int, default=5, help=f"LeNet: {LENET_TURNS} times as many")
    parser.add_argument("--compile", action="store_true", help="try torch.compile, take the faster")
    parser.add_argument("--markdown", action="store_true", help="print a table for a README")
    ratios = table(parser.parse_args())
    print()
    for kind, values in ratios.items():
        mean = statistics.geometric_mean(values)
        print(f"{kind:14} geometric mean {mean:.2f}, least {min(values):.2f}")


if __name__ == "__main__":
    main()
