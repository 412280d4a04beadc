"""Vanishing gradients: mean |gradient| by layer in a net of six sigmoid layers."""

from __future__ import annotations

from protonet.spread import Spread
from protonet.study.study import Bench, Outcome, study
from protonet.watch import figures


@study("vanishing", 4, "in a deep sigmoid net gradients vanish on the way to the first layers")
def run(bench: Bench) -> Outcome:
    seeds = range(1, bench.pick(3, 5) + 1)
    iterations = bench.pick(100, 1000)
    fields = (f"max_iter={iterations}", f"test_interval={iterations}", "test_iter=10")
    runs = [bench.train("deep_sigmoid", seed, *fields) for seed in seeds]
    layers = list(dict.fromkeys(layer for layer, _ in runs[0].history.flow("gradient")))
    # the last layer has fewer, larger weights: what is compared are the hidden layers behind one
    # another, of 100 x 100 weights each
    hidden = [layer for layer in layers if layer.startswith("ip")][1:]
    means = {(layer, i): [r.gradient(layer, i) for r in runs] for layer in layers for i in (0, 1)}
    with figures.figure(bench.figure, 1, 2, (10, 3.4)) as (_, axes):
        for axis, i, title in zip(axes[0], (0, 1), ("weights", "biases"), strict=True):
            spreads = [Spread.of(means[layer, i]) for layer in layers]
            axis.bar(layers, [s.mean for s in spreads], color=figures.COLOURS[0])
            axis.set(title=f"Mean |gradient| of {title}, {iterations:,} iterations", yscale="log")
            axis.set_ylim(bottom=min(s.mean for s in spreads) / 4)
            axis.tick_params(axis="x", labelsize=8)
    first, last = hidden[0], hidden[-1]
    ratios = [b / a for a, b in zip(means[first, 0], means[last, 0], strict=True)]
    steps = len(hidden) - 1
    ratio = Spread.of(ratios)
    each = Spread.of([r ** (1 / steps) for r in ratios])
    finding = (
        f"The mean |gradient| of {first}'s weights is {ratio.text('.0f')} times smaller than that "
        f"of {last}'s, {steps} layers above: a factor of {each.text('.1f')} a layer."
    )
    rows = [(layer, *(Spread.of(means[layer, i]).text(".2g") for i in (0, 1))) for layer in layers]
    return Outcome(finding, each.mean > 1.5, ("layer", "weights", "biases"), rows)
