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
    state_options,
    threads_option,
)
from protonet.cli._shapes import shape_option

if TYPE_CHECKING:
    from protonet.blob import Shape
    from protonet.timing import Pass, Timing


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
            f"{net}: {iterations} iterations, {threads.count()} threads",
            markup=False,
            highlight=False,
        )
        console.print(_table(timing))


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


def _table(timing: Timing) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_footer=True)
    sums = ["total", "", *_cells(timing.forward), *_cells(timing.backward), "100.0%"]
    ways = [f"{way} {what}" for way in ("forward", "backward") for what in ("ms", "min")]
    ways.insert(2, "GFLOP/s")
    for i, name in enumerate(["layer", "type", *ways, "GFLOP/s", "share"]):
        text = i < 2
        table.add_column(
            name, sums[i], justify="left" if text else "right", overflow="fold", no_wrap=not text
        )
    for layer in timing.layers:
        back = _cells(layer.backward) if layer.backward else ("", "", "")
        row = (layer.name, layer.type, *_cells(layer.forward), *back, f"{layer.share:.1%}")
        table.add_row(*row)
    return table


def _cells(one: Pass) -> tuple[str, str, str]:
    speed = f"{one.gflops:.1f}" if one.multiply_adds else ""
    return f"{one.mean * 1e3:.3f}", f"{one.least * 1e3:.3f}", speed
