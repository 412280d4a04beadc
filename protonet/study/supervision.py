"""Deep supervision: gradients in a deep sigmoid net, with it and without, during training."""

from __future__ import annotations

from collections.abc import Sequence

from protonet.lab import Training
from protonet.schema.read import NetSource, read_net
from protonet.spread import Spread
from protonet.study import pairs
from protonet.study.study import Bench, Outcome, model, study
from protonet.supervise import supervise
from protonet.watch import figures

_AT = ("ip2", "ip4")


@study("supervision", 5, "deep supervision brings gradients to the first layers of a deep net")
def run(bench: Bench) -> Outcome:
    seeds = range(1, bench.pick(1, 3) + 1)
    iterations = bench.pick(400, 5000)
    test = (f"test_interval={iterations // 4}", f"test_iter={bench.pick(20, 100)}")
    fields = (f"max_iter={iterations}", *test)
    plain = read_net(model("deep_sigmoid"))
    helped = NetSource.of(supervise(plain, _AT))
    runs = {
        "plain": [bench.train(plain, seed, *fields) for seed in seeds],
        "supervised": [bench.train(helped, seed, *fields) for seed in seeds],
    }
    layers = [la.name for la in plain.message.layer if la.type == "InnerProduct"]
    with figures.figure(bench.figure, 2, 2, (11, 6)) as (fig, axes):
        for row, (name, many) in zip(axes, runs.items(), strict=True):
            for axis, i, title in zip(row, (0, 1), ("weights", "biases"), strict=True):
                for layer, colour in zip(layers, figures.ramp(len(layers)), strict=True):
                    figures.band(axis, _curves(many, layer, i), colour, layer)
                axis.set(title=f"Mean |gradient| of {title}, {name}", yscale="log")
                figures.scale_iterations(axis)
        for column in axes.T:
            low = min(axis.get_ylim()[0] for axis in column)
            high = max(axis.get_ylim()[1] for axis in column)
            for axis in column:
                axis.set_ylim(low, high)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside right center")
    rows = []
    ratios = {}
    for i, title in ((0, "weights"), (1, "biases")):
        means = {n: [r.gradient(layers[0], i) for r in many] for n, many in runs.items()}
        ratios[title] = sum(means["supervised"]) / sum(means["plain"])
        cells = (Spread.of(means[name]).text(".2g") for name in runs)
        rows.append((f"mean |gradient| of {layers[0]}, {title}", *cells))
    errors = [Spread.of(pairs.last_errors(many)).text() for many in runs.values()]
    rows.append(("test error %", *errors))
    finding = (
        f"With companion losses at {' and '.join(_AT)} the gradient of the first layer is "
        f"{ratios['weights']:,.0f} (weights) and {ratios['biases']:,.0f} (biases) times as large; "
        f"the test error after {iterations:,} iterations is {errors[1]} % instead of {errors[0]} %."
    )
    supported = min(ratios.values()) > 2
    return Outcome(finding, supported, ("", "plain", "supervised"), rows)


def _curves(
    many: Sequence[Training], layer: str, index: int
) -> list[tuple[list[int], list[float]]]:
    flows = (run.history.flow("gradient")[layer, index] for run in many)
    return [(xs, list(figures.smooth(ys, 30))) for xs, ys in flows]
