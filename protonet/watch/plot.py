"""``protonet plot``: the curves of one run or several."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from protonet.errors import DataError
from protonet.watch import PANELS, figures
from protonet.watch.history import Curve, History

_WIDTH, _HEIGHT = 5.2, 3.0  # inches of a panel


def plot(
    histories: Sequence[History],
    path: str | os.PathLike[str],
    wanted: Sequence[str] = PANELS,
) -> list[str]:
    """Draw loss, score, learning rate and gradient flow, as far as they were measured.

    Runs share the panels of loss, score and rate. Gradient flow has a row for each run: weights
    and biases apart, a line for each layer. In loss panels training is thin and tests are bold.

    Returns:
        The panels that were drawn.

    Raises:
        DataError: nothing of what is wanted was measured.
        OutputError: the figure cannot be drawn or written.
    """
    watched = [h for h in histories if h.gradients] if "gradients" in wanted else []
    shared = [name for name in wanted if name != "gradients" and _there(histories, name)]
    if not watched and not shared:
        hint = "; train with --watch gradients" if "gradients" in wanted else ""
        raise DataError(f"{histories[0].name}: nothing was measured of {', '.join(wanted)}{hint}")
    columns = max(len(shared), 2 if watched else 1)
    rows = bool(shared) + len(watched)
    size = (_WIDTH * columns, _HEIGHT * rows)
    with figures.figure(path, rows, columns, size) as (fig, axes):
        if shared:
            for axis, name in zip(axes[0], shared, strict=False):
                _PANEL[name](axis, histories)
        for history, row in zip(watched, axes[bool(shared) :], strict=True):
            several = f" · {history.name}" if len(histories) > 1 else ""
            gradient_panels(row[:2], history, several)
        last = max(r["iter"] for h in histories for r in (*h.train, *h.tests))
        for axis in axes.flat:
            if axis.has_data():
                axis.set_xlim(0, last * 1.02)
            else:
                fig.delaxes(axis)
    return [*shared, *(["gradients"] if watched else [])]


def _there(histories: Sequence[History], name: str) -> bool:
    if name == "score":
        return any(_scores(h) for h in histories)
    return any(h.curve(h.train, name)[0] for h in histories)


def _scores(history: History) -> list[tuple[str, Curve]]:
    """Return the outputs of tests that are not losses."""
    found = []
    for net in history.test_nets():
        records = history.tests_of(net)
        for name in history.outputs(records):
            if name not in history.heads:
                shown = name if net == 0 else f"{name} (test net {net})"
                found.append((shown, history.curve(records, f"outputs/{name}")))
    return found


def _named(history: History, name: str, many: bool) -> str:
    return f"{history.name}: {name}" if many else name


def _loss(axis: Any, histories: Sequence[History]) -> None:
    colours = iter(figures.COLOURS * 8)
    many = len(histories) > 1
    for history in histories:
        names = [n for n in history.outputs(history.train) if n in history.heads]
        for name in names or [""]:
            colour = next(colours)
            xs, ys = history.curve(history.train, f"outputs/{name}" if name else "loss")
            shown = _named(history, name or "loss", many)
            axis.plot(xs, figures.smooth(ys), color=colour, lw=0.9, alpha=0.75, label=shown)
            for net in history.test_nets():
                test = history.curve(history.tests_of(net), f"outputs/{name}")
                axis.plot(*test, color=colour, lw=2, marker="o", ms=3)
    axis.set_yscale("log")
    axis.set(title="Loss (thin: training, dots: test)")
    axis.legend()
    figures.scale_iterations(axis)


def _score(axis: Any, histories: Sequence[History]) -> None:
    for history in histories:
        for name, curve in _scores(history):
            axis.plot(*curve, marker="o", ms=3, label=_named(history, name, len(histories) > 1))
    axis.set(title="Score in tests")
    axis.legend(loc="lower right")
    figures.scale_iterations(axis)


def _rate(axis: Any, histories: Sequence[History]) -> None:
    for history in histories:
        axis.plot(*history.curve(history.train, "lr"), label=history.name)
    axis.set(title="Learning rate")
    axis.set_ylim(0, 1.05 * axis.get_ylim()[1])
    if len(histories) > 1:
        axis.legend()
    figures.scale_iterations(axis)


_PANEL = {"loss": _loss, "score": _score, "lr": _rate}


def gradient_panels(axes: Sequence[Any], history: History, suffix: str = "") -> None:
    """Draw mean |gradient| over iterations, a line for each layer: weights left, biases right."""
    curves = history.flow("gradient")
    layers = list(dict.fromkeys(layer for layer, _ in curves))
    colour = dict(zip(layers, figures.ramp(len(layers)), strict=True))
    for axis, title, bias in zip(axes, ("weights", "biases"), (False, True), strict=True):
        for (layer, index), (xs, ys) in curves.items():
            if (index > 0) == bias:
                axis.plot(xs, figures.smooth(ys, 30), color=colour[layer], label=layer)
        if axis.has_data():
            axis.set_yscale("log")
            axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), ncols=1 + len(layers) // 12)
        axis.set(title=f"Mean |gradient| of {title}{suffix}")
        figures.scale_iterations(axis)
