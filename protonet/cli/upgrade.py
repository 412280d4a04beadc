"""``protonet upgrade``: the current form of an older net or solver."""

from __future__ import annotations

import click


@click.command(name="upgrade")
@click.argument("source", metavar="IN", type=click.Path())
@click.argument("target", metavar="[OUT]", type=click.Path(), required=False)
def command(source: str, target: str | None) -> None:
    """Write the current form of IN, a net or a solver of any generation, to OUT.

    IN may be text or binary; its content tells which, and what it is. What is written means the
    same to Caffe; comments are lost. Fields and types that only a fork of Caffe knows are written
    as they are; standard error tells of them. OUT may be IN. Without OUT the text goes to standard
    output.

    An OUT that ends in .caffemodel or .binaryproto is written in binary, with the weights that IN
    holds. Any other OUT is text; if IN is binary, its weights are left out, and a line on
    standard error says so.
    """
    from protonet.schema.read import NetSource, read_any
    from protonet.schema.write import is_binary_name, write_file, write_text

    read = read_any(source)
    message = read.message
    for note in read.notes():
        click.echo(note, err=True)
    if isinstance(read, NetSource) and read.binary and not is_binary_name(target or ""):
        holders = [layer for layer in message.layer if layer.blobs]
        for layer in holders:
            del layer.blobs[:]
        if holders:
            click.echo(f"{source}: the weights of {len(holders)} layers are left out", err=True)
    if target is None:
        click.echo(write_text(message), nl=False)
    else:
        write_file(message, target)
