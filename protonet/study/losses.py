"""LeNet with the softmax loss against LeNet with the squared error of its softmax."""

from __future__ import annotations

from protonet.spread import Spread, difference
from protonet.study import pairs
from protonet.study.study import Bench, Outcome, study

_NETS = {"softmax loss": "lenet_softmax", "squared loss": "lenet_squared"}


@study("losses", 2, "LeNet learns faster with the softmax loss than with the squared loss")
def run(bench: Bench) -> Outcome:
    seeds = range(1, bench.pick(3, 5) + 1)
    iterations = bench.pick(150, 2000)
    test = (f"test_interval={bench.pick(50, 200)}", f"test_iter={bench.pick(20, 100)}")
    runs = {
        name: [
            bench.train(net, seed, f"max_iter={iterations}", *test, gradients=False)
            for seed in seeds
        ]
        for name, net in _NETS.items()
    }
    pairs.draw(bench.figure, runs, "LeNet")
    errors = {name: pairs.last_errors(many) for name, many in runs.items()}
    softmax, squared = errors.values()
    apart = difference(squared, softmax)
    finding = (
        f"After {iterations:,} iterations the test error is {Spread.of(softmax).text()} % with the "
        f"softmax loss and {Spread.of(squared).text()} % with the squared loss: a difference of "
        f"{apart.text()} points."
    )
    rows = [(name, Spread.of(values).text()) for name, values in errors.items()]
    supported = apart.value > 0 if apart.clear else None
    return Outcome(finding, supported, ("loss", "test error %"), rows)
