"""``protonet summary``: the layers of a net, their shapes and what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from protonet.errors import ShapeError

if TYPE_CHECKING:
    from protonet.blob import Shape

PHASES = {"train": 0, "test": 1}


@click.command(name="summary")
@click.argument("net", type=click.Path())
@click.option(
    "--phase",
    type=click.Choice(list(PHASES), case_sensitive=False),
    default="train",
    show_default=True,
    help="The phase whose layers are shown.",
)
@click.option("--level", type=int, help="The level of the state that chooses layers.")
@click.option("--stage", "stages", multiple=True, help="A stage of the state; may be repeated.")
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    metavar="BLOB=N,C,H,W",
    help="Shape of a data blob, instead of what its source says; may be repeated.",
)
def command(
    net: str, phase: str, level: int | None, stages: tuple[str, ...], shapes: tuple[str, ...]
) -> None:
    """Print the layers of NET as a table: type, output shapes, parameters, multiply-adds, memory.

    No weight is allocated and no record is read. Memory counts values of blobs and parameters,
    and their gradients where the backward pass needs them.
    """
    from rich.console import Console

    from protonet.graph import build_graph
    from protonet.plan import build_plan
    from protonet.schema.read import read_net
    from protonet.summary import table

    graph = build_graph(read_net(net), PHASES[phase.lower()], level, stages)
    plan = build_plan(graph, dict(_shape(text) for text in shapes), static=True)
    console = Console()
    if not console.is_terminal:
        console.width = 200  # what is piped into a file or a pager is not cut to 80 columns
    console.print(table(plan))
    for note in plan.assumed:
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)


def _shape(text: str) -> tuple[str, Shape]:
    name, equals, axes = text.partition("=")
    try:
        shape = tuple(int(n) for n in axes.split(","))
    except ValueError:
        shape = ()
    if not equals or not shape or min(shape) < 1:
        raise ShapeError(f"--shape: expected BLOB=N,C,H,W of numbers from 1, got '{text}'")
    return name, shape
