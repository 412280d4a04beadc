"""What a diagram shows: layers as nodes, blobs as edges. No positions, no colours.

An in-place layer is folded into the node that made its blob; the Splits that the graph inserts
are left out, their branches being edges from one node.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from protonet.blob import Shape
from protonet.diagram.kinds import kind_of
from protonet.diagram.settings import settings
from protonet.facts import LayerFacts, layer_facts
from protonet.graph import MISSING, BlobRef
from protonet.plan import Plan, Step


@dataclass
class Folded:
    """An in-place layer, shown within the node whose blob it changes."""

    facts: LayerFacts
    kind: str
    settings: tuple[str, ...]
    param: Any


@dataclass
class Node:
    """A layer of the diagram.

    Attributes:
        key: its name, made unique.
        facts: what ``summary`` tells of it too.
        param: its LayerParameter message.
        folded: the in-place layers behind it, in order.
        loss_weight: of its loss, None where it has none.
        side: whether it belongs to a branch of deep supervision.
        status, changes: in a comparison: "added", "dropped" or "changed" against the first net,
            and what changed.
    """

    key: str
    facts: LayerFacts
    kind: str
    settings: tuple[str, ...]
    param: Any
    folded: list[Folded] = field(default_factory=list)
    loss_weight: float | None = None
    side: bool = False
    status: str = ""
    changes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.facts.name

    @property
    def unknown(self) -> bool:
        return self.kind == "unknown"

    @property
    def parameters(self) -> int:
        return self.facts.parameters + sum(f.facts.parameters for f in self.folded)

    @property
    def multiply_adds(self) -> int:
        return self.facts.multiply_adds + sum(f.facts.multiply_adds for f in self.folded)


@dataclass(frozen=True)
class Edge:
    """A blob on its way from the node that makes it to one that reads it.

    Attributes:
        source, target: indices of nodes.
        top: which of the source's tops it is.
        blob, shape: its name, and its shape where known.
        gradient: whether a gradient flows back along it.
        side: whether it belongs to a branch of deep supervision.
        status: "added" or "dropped" in a comparison, else "".
    """

    source: int
    target: int
    top: int
    blob: str
    shape: Shape | None
    gradient: bool
    side: bool = False
    status: str = ""


@dataclass(frozen=True)
class Panel:
    """A block of nodes that stands for several alike: ``count`` times, called by ``names``."""

    nodes: tuple[int, ...]
    count: int
    names: tuple[str, str]


@dataclass
class Diagram:
    """The nodes and edges of a net in one phase.

    Attributes:
        name: the net's name, or its file's where it has none.
        phase: "TRAIN" or "TEST".
        plan: what it was made from; in a comparison, the second net's.
        nodes: in the order of execution.
        parameters, multiply_adds: totals.
        notes: what had to be assumed, and what is wrong with the net.
        compared: in a comparison, what the first net is called.
        before: in a comparison, parameters and multiply-adds of the first net.
    """

    name: str
    path: str
    phase: str
    plan: Plan
    nodes: list[Node]
    edges: list[Edge]
    parameters: int
    multiply_adds: int
    notes: list[str] = field(default_factory=list)
    panels: list[Panel] = field(default_factory=list)
    compared: str = ""
    before: tuple[int, int] | None = None


@dataclass
class _Made:
    """Where a version of a blob comes from."""

    node: int
    top: int
    name: str
    shape: Shape | None


def build_diagram(plan: Plan) -> Diagram:
    """Return the diagram of a plan, which may be a tolerant one."""
    graph = plan.graph
    facts = layer_facts(plan)
    diagram = Diagram(
        name=graph.name or graph.path or "net",
        path=graph.path,
        phase="TEST" if graph.phase else "TRAIN",
        plan=plan,
        nodes=[],
        edges=[],
        parameters=sum(f.parameters for f in facts),
        multiply_adds=sum(f.multiply_adds for f in facts),
        notes=list(dict.fromkeys([*graph.notes, *plan.assumed])),
    )
    made: dict[BlobRef, _Made] = {}
    for step, fact in zip(plan.steps, facts, strict=True):
        if fact.inserted:
            _pass_through(step, fact, diagram, made)
        elif _folds(step, fact, diagram, made):
            _fold(step, fact, diagram, made)
        else:
            _add(step, fact, diagram, made)
        if fact.trouble.startswith(graph.path or "layer ") and fact.type != MISSING:
            diagram.notes.append(fact.trouble)
    mark_side_branches(diagram)
    return diagram


def _pass_through(
    step: Step, fact: LayerFacts, diagram: Diagram, made: dict[BlobRef, _Made]
) -> None:
    """A Split: its tops are the blob that it reads; a loss weight on it is that of the maker."""
    origin = made[step.node.bottoms[0]]
    made.update(dict.fromkeys(step.node.tops, origin))
    if any(fact.loss_weights):
        diagram.nodes[origin.node].loss_weight = max(fact.loss_weights)


def _folds(step: Step, fact: LayerFacts, diagram: Diagram, made: dict[BlobRef, _Made]) -> bool:
    bottoms, tops = step.node.bottoms, step.node.tops
    if len(bottoms) != 1 or len(tops) != 1 or bottoms[0].name != tops[0].name:
        return False
    return not any(fact.loss_weights) and kind_of(fact.type) != "unknown"


def _fold(step: Step, fact: LayerFacts, diagram: Diagram, made: dict[BlobRef, _Made]) -> None:
    origin = made[step.node.bottoms[0]]
    made[step.node.tops[0]] = origin
    param = step.node.param
    diagram.nodes[origin.node].folded.append(
        Folded(fact, kind_of(fact.type), settings(param), param)
    )


def _add(step: Step, fact: LayerFacts, diagram: Diagram, made: dict[BlobRef, _Made]) -> None:
    index = len(diagram.nodes)
    weights = [w for w in fact.loss_weights if w]
    diagram.nodes.append(
        Node(
            key=_unique(fact.name, diagram),
            facts=fact,
            kind=kind_of(fact.type),
            settings=settings(step.node.param),
            param=step.node.param,
            loss_weight=weights[0] if weights else None,
        )
    )
    for ref, gradient in zip(step.node.bottoms, fact.gradient, strict=True):
        origin = made[ref]
        diagram.edges.append(
            Edge(origin.node, index, origin.top, origin.name, origin.shape, gradient)
        )
    for i, (ref, (name, shape)) in enumerate(zip(step.node.tops, fact.tops, strict=True)):
        made[ref] = _Made(index, i, name, shape)


def _unique(name: str, diagram: Diagram) -> str:
    taken = {node.key for node in diagram.nodes}
    key, number = name, 2
    while key in taken:
        key, number = f"{name}#{number}", number + 1
    return key


def unread_tops(diagram: Diagram, index: int) -> list[int]:
    """Return which tops of a node nothing reads: outputs of the net."""
    read = {edge.top for edge in diagram.edges if edge.source == index}
    return [i for i in range(len(diagram.nodes[index].facts.tops)) if i not in read]


# --- deep supervision -------------------------------------------------------------------------
def mark_side_branches(diagram: Diagram) -> None:
    """Set ``side`` on nodes and edges that serve only a loss to the side of the main one.

    The main loss is the deepest. Another one is to the side where the way from the branching
    point on to the main loss is longer than the branch: heads side by side at the end of a net
    (a class and a box, say) are none.
    """
    nodes, edges = diagram.nodes, diagram.edges
    losses = [i for i, node in enumerate(nodes) if node.loss_weight is not None]
    if len(losses) < 2:
        return
    above: list[list[int]] = [[] for _ in nodes]
    for edge in edges:
        above[edge.target].append(edge.source)
    depth = [0] * len(nodes)
    for i in range(len(nodes)):
        depth[i] = max((depth[j] + 1 for j in above[i]), default=0)
    main = max(losses, key=lambda i: (depth[i], i))
    to_main = _heights(above, main)
    sides: set[int] = set()
    for loss in losses:
        to_loss = _heights(above, loss)
        branch = {i for i in to_loss if i not in to_main and nodes[i].kind != "data"}
        roots = {j for i in branch for j in above[i] if j in to_main and nodes[j].kind != "data"}
        longest = max((to_loss[i] for i in branch), default=0) + 1
        if roots and max(to_main[j] for j in roots) > longest:
            sides |= branch
    for i in sides:
        nodes[i].side = True
    diagram.edges = [
        replace(edge, side=True)
        if edge.target in sides and nodes[edge.source].kind != "data"
        else edge
        for edge in edges
    ]


def _heights(above: list[list[int]], end: int) -> dict[int, int]:
    """Return, for each node that leads to ``end``, the longest way there, in edges."""
    heights = {end: 0}
    for i in range(end, -1, -1):  # nodes come in an order that edges follow
        if i in heights:
            for j in above[i]:
                heights[j] = max(heights.get(j, 0), heights[i] + 1)
    return heights
