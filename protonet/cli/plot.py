"""``protonet plot``: draw what runs measured."""

from __future__ import annotations

import click

from protonet.watch import PANELS


@click.command(name="plot")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path())
@click.option(
    "--out",
    type=click.Path(),
    help="File to draw into: .svg, .png or .pdf.  [default: plot.svg in the run folder if there "
    "is one RUN, else here]",
)
@click.option(
    "--only",
    "wanted",
    multiple=True,
    type=click.Choice(PANELS),
    help="Draw this panel only; may be repeated.",
)
def command(runs: tuple[str, ...], out: str | None, wanted: tuple[str, ...]) -> None:
    """Draw loss, score, learning rate and gradient flow of each RUN into one figure.

    RUN is a run folder of protonet train, its metrics.jsonl, or a log that real Caffe wrote.
    Gradient flow (weights and biases apart, a line for each layer) is there for runs with
    --watch gradients, and for logs of solvers with debug_info.
    """
    from pathlib import Path

    from protonet.watch.history import read_history
    from protonet.watch.plot import plot

    histories = [read_history(run) for run in runs]
    folder = Path(runs[0]) if len(runs) == 1 and Path(runs[0]).is_dir() else Path()
    target = Path(out) if out else folder / "plot.svg"
    panels = plot(histories, target, wanted or PANELS)
    click.echo(f"{target}: {', '.join(panels)}")
