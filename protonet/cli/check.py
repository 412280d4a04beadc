"""``protonet check``: what may be wrong with a net."""

from __future__ import annotations

import click

from protonet.cli._flags import python_layers_option


@click.command(name="check")
@click.argument("net", type=click.Path())
@click.option(
    "--batches",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="How many batches to look through for values and labels.",
)
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="How many derivatives of each bottom and parameter to compare.",
)
@click.option(
    "--static",
    is_flag=True,
    is_eager=True,
    help="Read the file only: no data, no weights, nothing is run.",
)
@python_layers_option(default=None)
def command(net: str, batches: int, samples: int, static: bool) -> int:
    """Check NET: shapes, data, labels, gradients, classic mistakes.

    Shapes of both phases; values and labels of the first batches; one forward and one backward
    pass; the backward pass of each layer against differences; and the classic mistakes, such as a
    BatchNorm without a Scale, or a Sigmoid before SigmoidCrossEntropyLoss.

    With --static only shapes and mistakes are looked for. Layers of type Python are then not
    loaded: what they do is code that the file names, and may come with it from a stranger.

    The exit code is 1 if something is wrong, 0 if there are only warnings.
    """
    from protonet.check.checks import check_file, check_net
    from protonet.check.finding import ERROR, OK, WARNING
    from protonet.cli._reporting import output_console
    from protonet.schema.read import read_net

    source = read_net(net)
    console = output_console()
    style = {OK: "green", WARNING: "yellow", ERROR: "red"}
    counts = dict.fromkeys(style, 0)
    for finding in check_file(source) if static else check_net(source, batches, samples):
        counts[finding.level] += 1
        console.print(f"[{style[finding.level]}]{finding.level:8}[/]", end="")
        console.print(finding.message, markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"{counts[ERROR]} errors, {counts[WARNING]} warnings", markup=False, highlight=False
    )
    return 1 if counts[ERROR] else 0
