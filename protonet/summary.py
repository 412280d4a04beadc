"""The layers of a plan, as a table and as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protonet.facts import LayerFacts, layer_facts
from protonet.plan import Plan
from protonet.storage import forward_bytes

if TYPE_CHECKING:
    from rich.table import Table

    from protonet.blob import Shape


def table(plan: Plan) -> Table:
    """Return the layers of a plan with shapes and costs, totals below, as a rich table."""
    from rich import box
    from rich.table import Table

    facts = [fact for fact in layer_facts(plan) if not fact.inserted]
    title = plan.graph.name or plan.graph.path
    phase = "TEST" if plan.graph.phase else "TRAIN"
    out = Table(box=box.SIMPLE_HEAD, title=f"{title} ({phase})", title_justify="left")
    out.show_footer = True
    totals = {
        "parameters": f"{sum(f.parameters for f in facts):,}",
        "multiply-adds": f"{sum(f.multiply_adds for f in facts):,}",
        "memory": megabytes(sum(f.memory for f in layer_facts(plan))),
    }
    for name in ("layer", "type", "output shapes"):
        out.add_column(name, footer="total" if name == "layer" else "", overflow="fold")
    for name, total in totals.items():
        out.add_column(name, footer=total, justify="right")
    for fact in facts:
        out.add_row(
            fact.name,
            fact.type,
            "\n".join(f"{name} {shape_text(shape)}" for name, shape in fact.tops),
            f"{fact.parameters:,}" if fact.parameters else "",
            f"{fact.multiply_adds:,}" if fact.multiply_adds else "",
            megabytes(fact.memory),
        )
    return out


def forward_only(plan: Plan) -> str:
    """Return a line about the memory of a net that only runs forward, "" where it is unknown."""
    count = forward_bytes(plan)
    if count is None:
        return ""
    return f"forward only, as test and classify run it: {megabytes(count)} of blobs and parameters"


def as_data(plan: Plan) -> dict[str, Any]:
    """Return what ``--json`` prints: the facts of the table, Splits included, as plain data.

    Shapes are lists, None where unknown; memory is in bytes, that of a forward pass alone None
    where shapes are unknown.
    """
    facts = layer_facts(plan)
    return {
        "name": plan.graph.name,
        "path": plan.graph.path,
        "phase": "TEST" if plan.graph.phase else "TRAIN",
        "inputs": list(plan.graph.inputs),
        "outputs": list(plan.graph.outputs),
        "parameters": sum(f.parameters for f in facts),
        "multiply_adds": sum(f.multiply_adds for f in facts),
        "memory": sum(f.memory for f in facts),
        "memory_forward_only": forward_bytes(plan),
        "notes": list(plan.assumed),
        "layers": [layer_data(fact) for fact in facts],
    }


def layer_data(fact: LayerFacts) -> dict[str, Any]:
    """Return the facts of one layer as plain data."""
    return {
        "name": fact.name,
        "type": fact.type,
        "line": fact.line,
        "inserted": fact.inserted,
        "bottoms": list(fact.bottoms),
        "tops": [
            {"name": name, "shape": None if shape is None else list(shape)}
            for name, shape in fact.tops
        ],
        "blobs": [list(shape) for shape in fact.blobs],
        "parameters": fact.parameters,
        "multiply_adds": fact.multiply_adds,
        "memory": fact.memory,
        "loss_weights": [float(f"{weight:.7g}") for weight in fact.loss_weights],
        "backward": fact.backward,
        "gradient": list(fact.gradient),
        "trouble": fact.trouble,
    }


def shape_text(shape: Shape | None) -> str:
    """Return ``64×1×28×28``, ``scalar``, or ``?`` for a shape that is not known."""
    if shape is None:
        return "?"
    return "×".join(map(str, shape)) or "scalar"


def megabytes(count: int) -> str:
    """Return a number of bytes in MB (10^6)."""
    return f"{count / 1e6:.2f} MB"
