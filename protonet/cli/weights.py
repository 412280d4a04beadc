"""``protonet weights``: what a weights file holds, and the same weights for other programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from protonet.cli._flags import phase_option

if TYPE_CHECKING:
    from protonet.weights import BlobFacts


@click.group(name="weights")
def command() -> None:
    """Look at weights, and bring them to and from other programs.

    Files are .caffemodel (of any generation, of forks too), .caffemodel.h5, .npz or .safetensors.
    In the last two an array is called <layer>/<index>.
    """


@command.command()
@click.argument("file", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print the facts as JSON.")
def show(file: str, as_json: bool) -> None:
    """Print the blobs of FILE: layer, shape, and statistics of the values."""
    from protonet import weights
    from protonet.cli._reporting import output_console
    from protonet.solvers.snapshot import read_weights

    facts = weights.facts(read_weights(file))
    if as_json:
        click.echo(json.dumps([fact.as_data() for fact in facts], indent=2))
        return
    output_console().print(_table(file, facts))


@command.command()
@click.argument("file", type=click.Path())
@click.argument("out", type=click.Path())
def export(file: str, out: str) -> None:
    """Write the weights of FILE to OUT: .npz, .safetensors, or .h5 as Caffe has it."""
    from protonet import weights
    from protonet.solvers.snapshot import read_weights

    count = weights.write(read_weights(file), out)
    click.echo(f"{out}: {count} blobs")


@command.command(name="import")
@click.argument("net", type=click.Path())
@click.argument("file", type=click.Path())
@click.argument("out", type=click.Path())
@click.option(
    "--ignore-mismatched",
    is_flag=True,
    help="Leave layers as NET fills them where the blobs of FILE do not fit, as for fine-tuning.",
)
@phase_option("train")
def import_(net: str, file: str, out: str, ignore_mismatched: bool, phase: int) -> None:
    """Write OUT, a .caffemodel of NET with the weights of FILE, by layer name.

    Layers that FILE has nothing for keep what NET's fillers gave them. What was left out is
    listed. The sources of NET need not exist.
    """
    from protonet import weights
    from protonet.net import Net

    built = Net(net, phase, static=True)
    done = weights.import_weights(built, file, ignore_mismatched)
    built.save(out)
    for line in done.left_out:
        click.echo(f"left out: {line}")
    for name in done.unused:
        click.echo(f"left out: layer '{name}', which {net} does not have")
    for name in done.untouched:
        click.echo(f"not in {file}: layer '{name}', which keeps what its fillers gave it")
    filled = len(built.params) - len(done.untouched) - len(done.left_out)
    click.echo(f"{out}: {filled} of {len(built.params)} layers filled from {file}")


def _table(file: str, facts: list[BlobFacts]) -> Any:
    from rich import box
    from rich.table import Table

    from protonet.summary import shape_text

    table = Table(box=box.SIMPLE_HEAD, title=file, title_justify="left", show_footer=True)
    table.add_column("layer", footer="total", overflow="fold")
    table.add_column("blob", justify="right", footer=str(len(facts)))
    table.add_column("shape")
    table.add_column("values", justify="right", footer=f"{sum(f.count for f in facts):,}")
    for name in ("min", "max", "mean", "std", "zeros"):
        table.add_column(name, justify="right")
    last = None
    for fact in facts:
        table.add_row(
            fact.layer if fact.layer != last else "",
            str(fact.index),
            shape_text(fact.shape),
            f"{fact.count:,}",
            *(f"{v:.4g}" for v in (fact.minimum, fact.maximum, fact.mean, fact.std)),
            f"{fact.zeros:.0%}" + ("" if fact.finite else " not finite"),
        )
        last = fact.layer
    return table
