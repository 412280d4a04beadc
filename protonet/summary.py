"""The table of a plan's layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protonet.plan import Plan, layer_facts

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


def shape_text(shape: Shape | None) -> str:
    """Return ``64×1×28×28``, ``scalar``, or ``?`` for a shape that is not known."""
    if shape is None:
        return "?"
    return "×".join(map(str, shape)) or "scalar"


def megabytes(count: int) -> str:
    """Return a number of bytes in MB (10^6)."""
    return f"{count / 1e6:.2f} MB"
