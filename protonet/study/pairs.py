"""Two nets of which one should learn faster or better: what several studies measure of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from protonet.lab import Training
from protonet.spread import Spread
from protonet.watch import figures
from protonet.watch.history import Curve

Runs = Mapping[str, Sequence[Training]]


def error_curve(run: Training, output: str = "accuracy") -> Curve:
    """Return iterations and test errors in %."""
    xs, ys = run.history.curve(run.history.tests_of(0), f"outputs/{output}")
    return xs, [100 * (1 - y) for y in ys]


def reached(run: Training, error: float, output: str = "accuracy") -> int | None:
    """Return the iterations after which a test first showed at most this error in %, or None."""
    return next((x for x, y in zip(*error_curve(run, output), strict=True) if y <= error), None)


def last_errors(runs: Sequence[Training], output: str = "accuracy") -> list[float]:
    """Return the last test error of each run, in %."""
    return [100 * (1 - run.last_test(output)) for run in runs]


def told(counts: Sequence[int | None]) -> str:
    """Return how many iterations runs took, which may be ``not within`` them."""
    there = [count for count in counts if count is not None]
    if not there:
        return "never"
    text = Spread.of([float(c) for c in there]).text(".0f")
    missing = len(counts) - len(there)
    return f"{text} ({missing} of {len(counts)} never)" if missing else text


def draw(path: object, runs: Runs, title: str, output: str = "accuracy") -> None:
    """Draw test error and training loss over iterations: means and bands."""
    with figures.figure(str(path), 1, 2, (10.5, 3.4)) as (_, axes):
        error, loss = axes[0]
        for (name, many), colour in zip(runs.items(), figures.COLOURS, strict=False):
            figures.band(error, [error_curve(run, output) for run in many], colour, name)
            curves = [run.history.curve(run.history.train, "loss") for run in many]
            smooth = [(xs, list(figures.smooth(ys, 30))) for xs, ys in curves]
            figures.band(loss, smooth, colour, name)
        error.set(title=f"{title}: test error, %")
        figures.plain_log(error)
        loss.set(title="Training loss")
        for axis in axes[0]:
            figures.scale_iterations(axis)
            axis.legend()
