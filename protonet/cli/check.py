"""``protonet check``: what may be wrong with a net."""

from __future__ import annotations

import click


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
def command(net: str, batches: int, samples: int) -> int:
    """Check NET: shapes, data, labels, gradients, classic mistakes.

    Shapes of both phases; values and labels of the first batches; one forward and one backward
    pass; the backward pass of each layer against differences; and the classic mistakes, such as a
    BatchNorm without a Scale, or a Sigmoid before SigmoidCrossEntropyLoss.

    The exit code is 1 if something is wrong, 0 if there are only warnings.
    """
    from protonet.check.checks import check_net
    from protonet.check.finding import ERROR, OK, WARNING
    from protonet.cli._reporting import output_console
    from protonet.schema.read import read_net

    source = read_net(net)
    console = output_console()
    style = {OK: "green", WARNING: "yellow", ERROR: "red"}
    counts = dict.fromkeys(style, 0)
    for finding in check_net(source, batches, samples):
        counts[finding.level] += 1
        console.print(f"[{style[finding.level]}]{finding.level:8}[/]", end="")
        console.print(finding.message, markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"{counts[ERROR]} errors, {counts[WARNING]} warnings", markup=False, highlight=False
    )
    return 1 if counts[ERROR] else 0
