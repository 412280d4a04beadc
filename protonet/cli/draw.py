"""``protonet draw``: a net as a diagram."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from protonet.cli._flags import phase_option, python_layers_option, state_options
from protonet.cli._shapes import shape_option

if TYPE_CHECKING:
    from protonet.blob import Shape


@click.command(name="draw")
@click.argument("net", type=click.Path())
@click.argument("other", type=click.Path(), required=False)
@click.option(
    "-o",
    "--out",
    type=click.Path(),
    help="File to write: .svg .png .pdf .html .dot .mmd .txt, or - for standard output.  "
    "[default: NET's name with .svg, in this folder]",
)
@click.option(
    "--format",
    "form",
    metavar="FORMAT",
    help="svg, png, pdf, html, dot, mermaid or text, instead of what the extension says.",
)
@phase_option("train")
@state_options
@shape_option
@click.option(
    "--rankdir",
    default="TB",
    show_default=True,
    help="Where data flows: TB, BT, LR or RL.",
)
@click.option(
    "--detail",
    default="normal",
    show_default=True,
    help="brief: names and types; normal: settings and shapes; full: fillers, multipliers, costs.",
)
@click.option("--gradients", is_flag=True, help="Show along which lines gradients flow back.")
@click.option("--fold", is_flag=True, help="Draw repeated blocks once.")
@click.option(
    "--columns",
    type=click.IntRange(1, 12),
    default=1,
    show_default=True,
    help="Break a long drawing into columns.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the diagram's facts as JSON instead.")
@python_layers_option(default=False)
def command(
    net: str,
    other: str | None,
    out: str | None,
    form: str | None,
    phase: int,
    level: int | None,
    stages: tuple[str, ...],
    shapes: dict[str, Shape],
    rankdir: str,
    detail: str,
    gradients: bool,
    fold: bool,
    columns: int,
    as_json: bool,
) -> None:
    """Draw NET; with a second net, mark what OTHER adds, drops and changes against NET.

    Any net that parses can be drawn: layers of unknown types are hatched, and a layer that does
    not fit says why. The HTML file is a viewer that needs no network.
    """
    from protonet.diagram.drawing import draw, format_of, known_format

    to_stdout = out == "-"
    if form is not None:
        form = known_format(form)
    elif out is None or to_stdout:
        form = "svg"
    else:
        form = format_of(out)
    drawing = draw(
        net if other is None else other,
        against=None if other is None else net,
        phase=phase,
        level=level,
        stages=stages,
        shapes=shapes,
        rankdir=rankdir.upper(),
        detail=detail.lower(),
        gradients=gradients,
        fold=fold,
        columns=columns,
    )
    if as_json:
        import json

        print(json.dumps(drawing.as_data(), indent=2))
        return
    if to_stdout:
        sys.stdout.buffer.write(drawing.render(form))
        sys.stdout.buffer.flush()
    else:
        if out is None:
            suffix = {"text": ".txt", "mermaid": ".mmd"}.get(form, f".{form}")
            out = Path(net if other is None else other).with_suffix(suffix).name
        drawing.save(out, form)
        print(out)
    for note in drawing.diagram.notes:
        print(f"note: {note}", file=sys.stderr)
