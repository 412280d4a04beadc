"""``protonet summary``: the layers of a net, their shapes and what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from protonet.cli._flags import phase_option, python_layers_option, state_options
from protonet.cli._shapes import shape_option

if TYPE_CHECKING:
    from protonet.blob import Shape


@click.command(name="summary")
@click.argument("net", type=click.Path())
@phase_option("train")
@state_options
@shape_option
@click.option("--json", "as_json", is_flag=True, help="Print the facts as JSON.")
@python_layers_option(default=False)
def command(
    net: str,
    phase: int,
    level: int | None,
    stages: tuple[str, ...],
    shapes: dict[str, Shape],
    as_json: bool,
) -> None:
    """Print the layers of NET as a table: type, output shapes, parameters, multiply-adds, memory.

    No weight is allocated and no record is read. Memory counts values of blobs and parameters,
    and their gradients where the backward pass needs them; where a net only runs forward, blobs
    take each other's place, and the last line tells what is left.
    """
    from protonet.graph import build_graph
    from protonet.plan import build_plan
    from protonet.schema.read import read_net
    from protonet.summary import as_data, forward_only, table

    plan = build_plan(build_graph(read_net(net), phase, level, stages), shapes, static=True)
    if as_json:
        import json

        print(json.dumps(as_data(plan), indent=2))
        return
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = 200  # what is piped into a file or a pager is not cut to 80 columns
    console.print(table(plan))
    if line := forward_only(plan):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for note in plan.assumed:
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
