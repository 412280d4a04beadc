"""Batch normalization: a deep sigmoid net with it and without."""

from __future__ import annotations

from protonet.study import pairs
from protonet.study.study import Bench, Outcome, study

_NETS = {"with": "deep_sigmoid_bn", "without": "deep_sigmoid"}
_ERROR = 10.0


@study("normalization", 10, "batch normalization lets a deep sigmoid net train fast")
def run(bench: Bench) -> Outcome:
    seeds = range(1, 4)
    most, every = bench.pick((400, 50), (5000, 100))
    fields = (f"max_iter={most}", f"test_interval={every}", f"test_iter={bench.pick(20, 100)}")
    runs = {
        name: [bench.train(net, seed, *fields, gradients=False) for seed in seeds]
        for name, net in _NETS.items()
    }
    pairs.draw(bench.figure, runs, "Six sigmoid layers")
    counts = {n: [pairs.reached(run, _ERROR) for run in many] for n, many in runs.items()}
    finding = (
        f"To 90 % test accuracy the net of six sigmoid layers takes {pairs.told(counts['with'])} "
        f"iterations with batch normalization and {pairs.told(counts['without'])} without, of "
        f"{most:,} (tested every {every})."
    )
    slowest = max((c if c is not None else most + 1) for c in counts["with"])
    fastest = min((c if c is not None else most + 1) for c in counts["without"])
    rows = [(name, pairs.told(values)) for name, values in counts.items()]
    supported = True if slowest < fastest else None if slowest == fastest else False
    return Outcome(finding, supported, ("batch normalization", "iterations to 90 %"), rows)
