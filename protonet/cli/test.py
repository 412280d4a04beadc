"""``protonet test``: score a net with weights on the data that its TEST phase reads."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import click

from protonet.cli._flags import (
    CaffeCommand,
    FlagArgument,
    gpu_note,
    gpu_option,
    phase_option,
    python_layers_option,
    state_options,
    threads_option,
    weight_files,
)

if TYPE_CHECKING:
    from protonet.scoring import Scores

UNKNOWN = 50  # batches where no source tells how many make a pass: Caffe's default


@click.command(name="test", cls=CaffeCommand)
@click.argument("net", cls=FlagArgument, flag="model", type=click.Path())
@click.option(
    "--weights",
    required=True,
    metavar="PATH[,PATH]...",
    help="Weights by layer name; the last file that has a layer wins.",
)
@click.option(
    "--iterations",
    type=click.IntRange(min=1),
    help=f"Batches.  [default: one pass over the source; {UNKNOWN} if its size is unknown]",
)
@phase_option("test")
@state_options
@gpu_option
@threads_option
@click.option("--json", "as_json", is_flag=True, help="Print the means as JSON.")
@python_layers_option(default=True)
def command(
    net: str,
    weights: str,
    iterations: int | None,
    phase: int,
    level: int | None,
    stages: tuple[str, ...],
    gpu: str | None,
    as_json: bool,
) -> None:
    """Score NET with weights: the mean of every output over batches of its test source.

    A NET without layers for the TEST phase is tested as in training: on the source whose name
    has "test" for "train", every softmax head scored by itself.

    Where standard error is no terminal, each batch is logged there as Caffe does.
    """
    from protonet import scoring
    from protonet.cli._reporting import output_console, progress, reporting
    from protonet.net import Net

    files = weight_files(weights)
    with reporting() as reporter:
        if gpu is not None:
            reporter.note(gpu_note(gpu))
        chosen = scoring.net_to_score(net, phase)
        if chosen.note:
            reporter.note(f"{net}: {chosen.note}")
        scored = Net(chosen.source, phase, level=level, stages=stages, keep=())
        scoring.check_scores(scored, net)
        for file in files:
            for name in scored.copy_from(file):
                reporter.note(f"{file}: the net has no layer '{name}', ignored")
        whole = scoring.whole_pass(scored)
        batches = iterations or (whole.batches if whole else UNKNOWN)
        if whole and not iterations and whole.repeated:
            reporter.note(
                f"{batches} batches of {whole.batch} read {whole.repeated} of the "
                f"{whole.records} records twice"
            )
        reporter.scoring(batches)
        with progress("testing", batches) as advance:

            def after_batch(index: int, outputs: list[Any]) -> None:
                reporter.scored_batch(index, outputs)
                advance()

            scores = scoring.score(scored, batches, after_batch)
        scored.close()
        assert scores is not None  # nothing stops it
        reporter.scored(scores)
    if as_json:
        found = {"net": net, "weights": files, "records": whole.records if whole else None}
        print(json.dumps(found | _plain(scores), indent=2))
    else:
        console = output_console()
        console.print(f"{net}: means over {batches} batches", markup=False, highlight=False)
        console.print(_table(scores))


def _plain(scores: Scores) -> dict[str, Any]:
    """Return scores as JSON takes them, values that are no numbers as None."""
    return {
        "batches": scores.batches,
        "loss": _finite(scores.loss),
        "outputs": [
            {"name": name, "mean": _finite(mean), "loss_weight": weight}
            for name, mean, weight in scores.outputs
        ],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _table(scores: Scores) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for column in ("output", "mean", "loss weight", "loss"):
        table.add_column(column, justify="left" if column == "output" else "right")
    for name, mean, weight in scores.outputs:
        loss = (f"{weight:g}", f"{weight * mean:g}") if weight else ("", "")
        table.add_row(name, f"{mean:g}", *loss)
    if any(weight for _, _, weight in scores.outputs):
        table.add_section()
        table.add_row("total", "", "", f"{scores.loss:g}")
    return table
