"""``protonet supervise``: deep supervision put into a net, or taken out."""

from __future__ import annotations

import click


@click.command(name="supervise")
@click.argument("net", type=click.Path())
@click.argument("target", metavar="[OUT]", type=click.Path(), required=False)
@click.option(
    "--at",
    metavar="LAYER[,LAYER]...",
    multiple=True,
    help="Hidden layers to supervise; may be repeated.",
)
@click.option(
    "--loss",
    type=click.Choice(["softmax", "hinge"]),
    default="softmax",
    show_default=True,
    help="The companion losses; hinge is squared.",
)
@click.option(
    "--weight",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Their weight in the loss.",
)
@click.option("--strip", "take_out", is_flag=True, help="Take side heads out instead.")
@click.option("--keep", metavar="LOSS", help="With --strip: the main loss.  [default: the last]")
def command(
    net: str,
    target: str | None,
    at: tuple[str, ...],
    loss: str,
    weight: float,
    take_out: bool,
    keep: str | None,
) -> None:
    """Write the deeply supervised form of NET to OUT, or to standard output.

    Behind each LAYER comes a classifier ip1_side, ip2_side, ... made as the main one is, with a
    companion loss l1, l2, ... Gradients then reach the layers below by a short way.

    With --strip all companion losses go, with the layers that only serve them. Weights fit the
    net before and after: layers keep their names.

    protonet train --companion-weights lets the weights of companion losses follow a schedule.
    """
    from protonet.cli._flags import parts
    from protonet.schema.read import read_net
    from protonet.schema.write import write_file, write_text
    from protonet.supervise import strip, supervise

    places = [name for text in at for name in parts(text)]
    if bool(places) == take_out:
        raise click.UsageError("Give --at LAYER to supervise, or --strip.")
    if keep is not None and not take_out:
        raise click.UsageError("--keep belongs to --strip.")
    source = read_net(net)
    if take_out:
        message, removed = strip(source, keep)
        click.echo(f"removed: {', '.join(removed) or 'nothing'}", err=True)
    else:
        message = supervise(source, places, loss, weight)
    if target is None:
        click.echo(write_text(message), nl=False)
    else:
        write_file(message, target)
