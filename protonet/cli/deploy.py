"""``protonet deploy``: the net to use, from the net to train."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from protonet.cli._shapes import shape_option

if TYPE_CHECKING:
    from protonet.blob import Shape


@click.command(name="deploy")
@click.argument("net", type=click.Path())
@click.argument("target", metavar="[OUT]", type=click.Path(), required=False)
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many images the inputs hold.",
)
@shape_option
def command(net: str, target: str | None, batch: int, shapes: dict[str, Shape]) -> None:
    """Write the deploy net of NET, a net to train, to OUT or to standard output.

    Data layers become Input layers, the main loss becomes the Softmax or Sigmoid in it, named
    prob; labels, scores, side heads, fillers and multipliers go. Weights fit both nets.
    """
    from protonet.deploy import deploy
    from protonet.schema.read import read_net
    from protonet.schema.write import write_file, write_text

    message = deploy(read_net(net), batch, shapes)
    if target is None:
        click.echo(write_text(message), nl=False)
    else:
        write_file(message, target)
