"""``report.html``: what came of a run, on one page that needs nothing else."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protonet import __version__
from protonet.files import written_beside
from protonet.watch.chart import Series, chart
from protonet.watch.history import History, read_history
from protonet.watch.mistakes import Mistakes, find_mistakes

if TYPE_CHECKING:
    from protonet.solvers.solver import Solver

NAME = "report.html"
_SHOWN_FIELDS = (
    "type base_lr lr_policy gamma power stepsize momentum weight_decay clip_gradients iter_size "
    "max_iter random_seed"
).split()

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 980px; padding: 0 1em;
  color: #1a1a1a; background: #fff }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 1.8em }
table { border-collapse: collapse } td, th { padding: .2em .9em .2em 0; text-align: left }
th { border-bottom: 1px solid #999 } td.n, th.n { text-align: right }
svg text { font: 11px system-ui, sans-serif; fill: #333 } .grid { stroke: #e2e2e2; fill: none }
.charts { display: flex; flex-wrap: wrap; gap: 12px }
.diagram { max-width: 100%; max-height: 1100px }
figure { display: inline-block; margin: 0 10px 10px 0; text-align: center; font-size: 12px }
figure img { width: 56px; image-rendering: pixelated; display: block; border: 1px solid #ccc }
"""


def write_report(folder: Path, solver: Solver, mistakes: bool = True) -> Path:
    """Write the report of a run into its folder; return its path.

    Args:
        folder: holds the run's ``metrics.jsonl``.
        mistakes: look for misclassified records, by another pass over the first test net.

    Raises:
        DataError: nothing was measured.
        OutputError: the report cannot be written.
    """
    history = read_history(folder)
    found = None
    if mistakes and solver.test_nets:
        found = find_mistakes(solver.test_nets[0], solver.param.test_iter[0])
    name = escape(solver.net.name or folder.name)
    parts = [
        "<!DOCTYPE html><html lang='en'><meta charset='utf-8'>",
        f"<title>{name}</title><style>{_STYLE}</style><h1>{name}</h1>",
        f"<p>{solver.iter:,} iterations; protonet {__version__}; folder <code>"
        f"{escape(str(folder))}</code></p>",
        _scores(solver),
        "<h2>Curves</h2><div class='charts'>",
        *curves(history),
        "</div>",
        _mistakes(found),
        "<h2>Net</h2>",
        _diagram(solver),
        _solver(solver),
        "</html>\n",
    ]
    path = folder / NAME
    with written_beside(path) as file:
        file.write("\n".join(part for part in parts if part).encode())
    return path


def curves(history: History) -> list[str]:
    """Return the charts of what was measured: SVG elements."""
    losses = [n for n in history.outputs(history.train) if n in history.heads]
    lines: list[Series] = []
    scores: list[Series] = []
    for i, name in enumerate(losses):
        lines.append(Series(name, *history.curve(history.train, f"outputs/{name}"), i))
    if not losses:
        lines.append(Series("loss", *history.curve(history.train, "loss"), 0))
    for net in history.test_nets():
        records = history.tests_of(net)
        for name in history.outputs(records):
            curve = history.curve(records, f"outputs/{name}")
            if name in losses:
                lines.append(Series("", *curve, losses.index(name), dots=True))
            else:
                scores.append(Series(name, *curve, len(scores), dots=True))
    charts = [
        chart("Loss: training; dots: tests", lines, log=True),
        chart("Score in tests", scores),
        chart("Learning rate", [Series("", *history.curve(history.train, "lr"), 0)], zero=True),
    ]
    flow = history.flow("gradient")
    layers = list(dict.fromkeys(layer for layer, _ in flow))
    for what, bias in (("weights", False), ("biases", True)):
        chosen = [
            Series(layer, *curve, layers.index(layer))
            for (layer, index), curve in flow.items()
            if (index > 0) == bias
        ]
        charts.append(chart(f"Mean |gradient| of {what}", chosen, log=True))
    for kind, title in (("dead", "Dead ReLUs, share"), ("saturated", "Saturated units, share")):
        names = history.gradients[-1].get(kind, {}) if history.gradients else {}
        charts.append(
            chart(
                title,
                [
                    Series(name, *history.curve(history.gradients, f"{kind}/{name}"), i)
                    for i, name in enumerate(names)
                ],
                zero=True,
            )
        )
    return [one for one in charts if one]


def _scores(solver: Solver) -> str:
    from protonet.run import heads

    rows = []
    for index, net in enumerate(solver.test_nets):
        for head in heads(net, solver.scores.get(index, {})):
            loss = "–" if head.loss is None else f"{head.loss:.4f}"
            accuracy = "–" if head.accuracy is None else f"{head.accuracy:.2%}"
            rows.append((head.name, head.scored, f"{head.weight:g}", loss, accuracy))
    if not rows:
        return ""
    headings = ("loss", "of", "weight", "test loss", "test accuracy")
    return f"<h2>Test after {solver.tested_at:,} iterations</h2>" + _table(headings, rows)


def _table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table whose first two columns are words and whose others are numbers."""

    def line(cells: tuple[str, ...], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=n' if i > 1 else ''}>{escape(cell)}</{tag}>"
            for i, cell in enumerate(cells)
        )

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return f"<table><tr>{line(headings, 'th')}</tr>{body}</table>"


def _mistakes(found: Mistakes | None) -> str:
    if found is None or not found.records:
        return ""
    head = f"<h2>Misclassified</h2><p>{escape(found.scored)} is wrong on {found.wrong:,} of "
    head += f"{found.records:,} test records"
    if found.wrong:
        most = ", ".join(
            f"{label} taken for {guess} ({count})"
            for (label, guess), count in found.confusions.most_common(5)
        )
        head += f"; most often: {most}"
    figures = "".join(
        f"<figure><img alt='' src='{_png(one.image)}'>{one.label} → {one.guess}</figure>"
        for one in found.examples
    )
    legend = "<p>The right class → what the net says:</p>" if figures else ""
    return f"{head}.</p>{legend}{figures}"


def _png(image: Any) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return _data_uri("image/png", buffer.getvalue())


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _diagram(solver: Solver) -> str:
    from protonet.diagram.drawing import draw

    drawing = draw(solver.net, detail="normal", rankdir="TB", gradients=True, fold=True)
    source = _data_uri("image/svg+xml", drawing.render("svg"))
    return f"<img class='diagram' alt='diagram of the net' src='{source}'>"


def _solver(solver: Solver) -> str:
    param = solver.param
    rows = [
        (name, f"{value:g}" if isinstance(value, float) else str(value))
        for name in _SHOWN_FIELDS
        if param.HasField(name) and (value := getattr(param, name)) is not None
    ]
    return "<h2>Solver</h2>" + _table(("field", "value"), rows)
