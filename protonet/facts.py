"""What there is to tell of each layer of a plan: the one source of tables and diagrams."""

from __future__ import annotations

from dataclasses import dataclass

from protonet.blob import Shape
from protonet.plan import Plan


@dataclass(frozen=True)
class LayerFacts:
    """What ``summary`` and the diagrams tell of a layer.

    Attributes:
        tops: (name, shape) of each top; the shape is None behind a layer that a tolerant plan
            could not work out.
        blobs: shapes of its parameter blobs, shared ones included.
        parameters: number of learned values that the layer owns.
        multiply_adds: of one forward pass over the whole batch.
        memory: bytes of its tops, values and gradients, and of the parameters that it owns.
        gradient: for each bottom, whether its gradient is computed.
        trouble: why shapes are unknown, or "".
    """

    name: str
    type: str
    line: int
    inserted: bool
    bottoms: tuple[str, ...]
    tops: tuple[tuple[str, Shape | None], ...]
    blobs: tuple[Shape, ...]
    parameters: int
    multiply_adds: int
    memory: int
    loss_weights: tuple[float, ...]
    backward: bool
    gradient: tuple[bool, ...]
    trouble: str


def layer_facts(plan: Plan) -> list[LayerFacts]:
    """Return the facts of every layer, in order of execution."""
    facts = []
    owned = {id(p.blob): p for p in plan.learnable()}
    for step in plan.steps:
        mine = [b for b in step.layer.blobs if id(b) in owned]
        own_tops = [b for b in step.top if all(b is not c for c in step.bottom)]
        shared = step.layer.shares_values(step.bottom)
        per_value = 8 if step.backward else 4
        memory = 0 if shared else sum(b.count for b in own_tops) * per_value
        memory += sum(b.count for b in mine) * per_value
        known = not step.trouble
        facts.append(
            LayerFacts(
                name=step.node.name,
                type=step.node.type,
                line=step.node.line,
                inserted=step.node.inserted,
                bottoms=tuple(ref.name for ref in step.node.bottoms),
                tops=tuple(
                    (r.name, b.shape if known else None)
                    for r, b in zip(step.node.tops, step.top, strict=False)
                ),
                blobs=tuple(b.shape for b in step.layer.blobs),
                parameters=sum(b.count for b in mine) if step.layer.learned else 0,
                multiply_adds=step.layer.multiply_adds(step.bottom, step.top) if known else 0,
                memory=memory if known else 0,
                loss_weights=tuple(step.layer.loss_weights),
                backward=step.backward,
                gradient=tuple(step.backward and p for p in step.propagate_down),
                trouble=step.trouble,
            )
        )
    return facts
