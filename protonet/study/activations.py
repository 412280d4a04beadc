"""LeNet with sigmoids against LeNet with ReLUs: iterations to 97 %."""

from __future__ import annotations

from protonet.study import pairs
from protonet.study.study import Bench, Outcome, study

_NETS = {"ReLU": "lenet_relu", "sigmoid": "lenet_sigmoid"}


@study("activations", 3, "LeNet with ReLUs reaches 97 % in fewer iterations than with sigmoids")
def run(bench: Bench) -> Outcome:
    seeds = range(1, bench.pick(1, 3) + 1)
    most = bench.pick(500, 6000)
    every = bench.pick(50, 100)
    wanted = bench.pick(95, 97)
    fields = (f"max_iter={most}", f"test_interval={every}", f"test_iter={bench.pick(20, 100)}")
    runs = {
        name: [bench.train(net, seed, *fields, gradients=False) for seed in seeds]
        for name, net in _NETS.items()
    }
    pairs.draw(bench.figure, runs, "LeNet")
    counts = {
        name: [pairs.reached(run, 100 - wanted) for run in many] for name, many in runs.items()
    }
    relu, sigmoid = counts.values()
    finding = (
        f"To {wanted} % test accuracy LeNet takes {pairs.told(relu)} iterations with ReLUs and "
        f"{pairs.told(sigmoid)} with sigmoids, of {most:,} (tested every {every})."
    )
    worst_relu = max((c if c is not None else most + 1) for c in relu)
    best_sigmoid = min((c if c is not None else most + 1) for c in sigmoid)
    supported = True if worst_relu < best_sigmoid else None if worst_relu == best_sigmoid else False
    rows = [(name, pairs.told(values)) for name, values in counts.items()]
    return Outcome(finding, supported, ("activation", f"iterations to {wanted} %"), rows)
