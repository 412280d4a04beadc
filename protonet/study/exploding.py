"""Exploding gradients: a large learning rate with clip_gradients and without."""

from __future__ import annotations

import math

from protonet.spread import Spread
from protonet.study import pairs
from protonet.study.study import Bench, Outcome, study
from protonet.watch import figures

_RATE = 0.1
_NORM = 1.0
_KINDS = {"without": (), "with": (f"clip_gradients={_NORM}",)}


@study("exploding", 8, "at a large learning rate training explodes, and clip_gradients saves it")
def run(bench: Bench) -> Outcome:
    seeds = range(1, bench.pick(3, 5) + 1)
    iterations = bench.pick(150, 1000)
    test = (f"test_interval={iterations}", f"test_iter={bench.pick(20, 100)}")
    fields = (f"max_iter={iterations}", f"base_lr={_RATE}", "lr_policy=fixed", *test)
    runs = {
        name: [bench.train("lenet_softmax", seed, *fields, *more) for seed in seeds]
        for name, more in _KINDS.items()
    }
    with figures.figure(bench.figure, 1, 2, (10.5, 3.4)) as (_, axes):
        loss, gradient = axes[0]
        for (name, many), colour in zip(runs.items(), figures.COLOURS, strict=False):
            for i, one in enumerate(many):
                label = f"{name} clipping" if i == 0 else None
                loss.plot(*one.history.curve(one.history.train, "loss"), color=colour, label=label)
                flow = one.history.flow("gradient").get(("conv1", 0), ([], []))
                gradient.plot(*flow, color=colour, label=label)
        loss.set(title=f"Training loss, base_lr {_RATE:g}, {len(seeds)} seeds", yscale="log")
        gradient.set(title="Mean |gradient| of conv1, before clipping", yscale="log")
        for axis in axes[0]:
            figures.scale_iterations(axis)
            axis.legend()
    errors = {name: pairs.last_errors(many) for name, many in runs.items()}
    learned = {name: sum(map(_learned, values)) for name, values in errors.items()}
    count = len(seeds)
    finding = (
        f"With a learning rate of {_RATE:g} and momentum 0.9 LeNet learns in {learned['without']} "
        f"of {count} runs; with gradients clipped to a norm of {_NORM:g} in {learned['with']} of "
        f"{count}, to a test error of {Spread.of(errors['with']).text()} % after {iterations:,} "
        "iterations."
    )
    rows = [
        (name, f"{learned[name]} of {count}", ", ".join(map(_shown, errors[name]))) for name in runs
    ]
    supported = learned["with"] == count and learned["without"] < count
    return Outcome(finding, supported, ("clipping", "learned", "test errors, %"), rows)


def _learned(error: float) -> bool:
    """Whether a run came to more than guessing: nine of ten guesses are wrong."""
    return error < 80


def _shown(error: float) -> str:
    return "diverged" if math.isnan(error) else f"{error:.2f}"
