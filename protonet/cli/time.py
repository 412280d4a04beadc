"""``protonet time``: how long each layer of a net takes, forward and backward."""

from __future__ import annotations

import json
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
)
from protonet.cli._shapes import shape_option

if TYPE_CHECKING:
    from protonet.blob import Shape
    from protonet.timing import Pass, Timing


_WIDE = 120  # columns of a terminal from which the table has all there is to tell


@click.command(name="time", cls=CaffeCommand)
@click.argument("net", cls=FlagArgument, flag="model", type=click.Path())
@click.option(
    "--iterations",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Iterations that are counted, after one that is not.",
)
@phase_option("train")
@state_options
@shape_option
@gpu_option
@threads_option
@click.option("--json", "as_json", is_flag=True, help="Print the times as JSON.")
@python_layers_option(default=True)
def command(
    net: str,
    iterations: int,
    phase: int,
    level: int | None,
    stages: tuple[str, ...],
    shapes: dict[str, Shape],
    gpu: str | None,
    as_json: bool,
) -> None:
    """Time every layer of NET: mean and minimum, GFLOP/s, its share of the whole.

    A multiply-add counts as two operations; backward passes count those for the gradients that
    are computed. Layers that the backward pass does not need have no time there: in a net without
    a loss, all of them.

    Where a source is not there, random values of its shape stand in for it; inputs get random
    values too. Where standard error is no terminal, times are logged there as Caffe does.
    """
    from protonet.cli._reporting import output_console, progress, reporting
    from protonet.kernels import threads
    from protonet.schema.read import read_net
    from protonet.timing import WARM_UP, net_to_time, time_net

    with reporting() as reporter:
        if gpu is not None:
            reporter.note(gpu_note(gpu))
        timed = net_to_time(read_net(net), phase, level, stages, shapes)
        for note in timed.notes:
            reporter.note(f"{note}, with random values")
        if not any(step.backward for step in timed.net.steps):
            reporter.note(f"{net}: no loss, no backward pass")
        with progress("timing", iterations + WARM_UP) as advance:
            timing = time_net(timed.net, iterations, advance)
        timed.net.close()
        reporter.timed(timing)
    if as_json:
        head = {"net": net, "iterations": iterations, "threads": threads.count()}
        print(json.dumps(head | _plain(timing), indent=2))
    else:
        console = output_console()
        console.print(
            f"{net}: {iterations} iterations, {threads.count()} threads, milliseconds",
            markup=False,
            highlight=False,
        )
        console.print(_table(timing, wide=console.width >= _WIDE))


def _plain(timing: Timing) -> dict[str, Any]:
    return {
        "seconds": timing.seconds,
        "forward": _plain_pass(timing.forward),
        "backward": _plain_pass(timing.backward),
        "layers": [
            {
                "name": layer.name,
                "type": layer.type,
                "forward": _plain_pass(layer.forward),
                "backward": _plain_pass(layer.backward) if layer.backward else None,
                "share": layer.share,
            }
            for layer in timing.layers
        ],
    }


def _plain_pass(one: Pass) -> dict[str, Any]:
    return {
        "mean_ms": one.mean * 1e3,
        "min_ms": one.least * 1e3,
        "multiply_adds": one.multiply_adds,
        "gflops": one.gflops,
    }


def _table(timing: Timing, wide: bool) -> Any:
    """Return the times as a table; a narrow one is without types and minima."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_footer=True)
    both = [*_cells(timing.forward, wide), *_cells(timing.backward, wide)]
    sums = ["total", *[""] * wide, *both, "100.0%"]
    ways = [n for way in ("forward", "backward") for n in (way, *["min"] * wide, "GFLOP/s")]
    texts = ["layer", *["type"] * wide]
    for name, footer in zip([*texts, *ways, "share"], sums, strict=True):
        table.add_column(
            name,
            footer,
            justify="left" if name in texts else "right",
            overflow="fold",
            no_wrap=name not in texts,
        )
    for layer in timing.layers:
        back = _cells(layer.backward, wide) if layer.backward else [""] * (2 + wide)
        table.add_row(
            layer.name,
            *[layer.type] * wide,
            *_cells(layer.forward, wide),
            *back,
            f"{layer.share:.1%}",
        )
    return table


def _cells(one: Pass, wide: bool) -> list[str]:
    times = [f"{seconds * 1e3:.3f}" for seconds in (one.mean, *[one.least] * wide)]
    return [*times, f"{one.gflops:.1f}" if one.multiply_adds else ""]
