"""Where every box and every line goes. The layered layout itself is graphlay's.

A layer with several tops is given a pill for each, so that lines which share a blob, and only
those, can be drawn as one line that forks. The label of a blob stands at the foot of its box,
in room that the layout knows of: nothing can run through it.

All positions are worked out for the direction that data flows in, and mirrored at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from protonet.diagram.boxes import LABEL, Box, blob_label, node_box, pill_box
from protonet.diagram.model import Diagram, Edge, unread_tops
from protonet.diagram.text_width import text_width

RANKDIRS = ("TB", "BT", "LR", "RL")

Point = tuple[float, float]

_GAP = {"brief": 22.0, "normal": 20.0, "full": 22.0}  # between layers, along the flow
_BESIDE = 18.0  # between boxes of a layer
_LABEL_LINE = 13.0
_STUB = 12.0  # of an arrow that leads out of the net


@dataclass
class Item:
    """A placed box: a node's (``top`` None), or the pill of one of its tops."""

    node: int
    top: int | None
    box: Box
    label: tuple[str, ...] = ()
    leads_out: bool = False
    x: float = 0.0
    y: float = 0.0
    foot: list[list[Point]] = field(default_factory=list)


@dataclass
class Wire:
    """A line between two boxes, its points from source to target.

    Attributes:
        edges: the diagram's edges that it draws. A line from a layer to the pill of a top stands
            for all readers of the top.
        blob: what it carries, as (node, top): lines of one blob may lie on each other.
    """

    edges: list[Edge]
    blob: tuple[int, int]
    source: int
    target: int
    points: list[Point]


@dataclass
class Layout:
    """Boxes, lines and the points where lines fork, from (0, 0) to (width, height)."""

    rankdir: str
    items: list[Item]
    wires: list[Wire]
    forks: list[Point]
    width: float
    height: float

    @property
    def vertical(self) -> bool:
        return self.rankdir in ("TB", "BT")


def lay_out(
    diagram: Diagram, rankdir: str = "TB", detail: str = "normal", columns: int = 1
) -> Layout:
    """Return a layout of a diagram. The same diagram gives the same layout, to the bit."""
    layout = Layout(rankdir, [], [], [], 0.0, 0.0)
    place_of = _items(diagram, detail, layout)
    _wires(diagram, layout, place_of)
    if layout.items:
        _solve(layout, detail)
    if columns > 1 and layout.items:
        from protonet.diagram.columns import into_columns

        into_columns(layout, columns, [panel.nodes for panel in diagram.panels])
    if rankdir in ("BT", "RL"):
        _mirror(layout)
    return layout


def _items(diagram: Diagram, detail: str, layout: Layout) -> dict[tuple[int, int], int]:
    """Add the boxes; return where the lines of each (node, top) start."""
    place_of: dict[tuple[int, int], int] = {}
    for i, node in enumerate(diagram.nodes):
        unread = unread_tops(diagram, i)
        tops = len(node.facts.tops)
        home = Item(i, None, node_box(node, detail))
        layout.items.append(home)
        place = len(layout.items) - 1
        if tops <= 1:
            place_of[i, 0] = place
            home.leads_out = bool(unread) and node.kind not in ("loss", "measure")
            if tops and (not unread or home.leads_out):
                home.label = blob_label(node, 0, detail)
            continue
        for top, (name, shape) in enumerate(node.facts.tops):
            if top in unread and node.kind in ("loss", "measure") and top == 0:
                place_of[i, top] = place
                continue
            pill = Item(i, top, pill_box(name, shape, detail), leads_out=top in unread)
            layout.items.append(pill)
            place_of[i, top] = len(layout.items) - 1
    return place_of


def _wires(diagram: Diagram, layout: Layout, place_of: dict[tuple[int, int], int]) -> None:
    home = {item.node: i for i, item in enumerate(layout.items) if item.top is None}
    for edge in diagram.edges:
        blob = (edge.source, edge.top)
        wire = Wire([edge], blob, place_of[blob], home[edge.target], [])
        layout.wires.append(wire)
    for i, item in enumerate(layout.items):
        if item.top is not None:
            carried = [e for e in diagram.edges if (e.source, e.top) == (item.node, item.top)]
            wire = Wire(carried, (item.node, item.top), home[item.node], i, [])
            layout.wires.append(wire)


def _make_room(item: Item, vertical: bool) -> None:
    """Widen a box to whole pixels, and so that its label, beside the line from its middle, fits."""
    if vertical and item.label:
        label = max(text_width(line, LABEL) for line in item.label)
        item.box.width = max(item.box.width, 2 * label + 16)
    item.box.width, item.box.height = ceil(item.box.width), ceil(item.box.height)


def _room(item: Item, vertical: bool) -> float:
    """Return the room behind a box, along the flow, for its label and the arrow of an output."""
    stub = _STUB if item.leads_out else 0.0
    if vertical:
        return max(len(item.label) * _LABEL_LINE + 2 if item.label else 0.0, stub)
    return max((text_width(line, LABEL) + 9 for line in item.label), default=stub)


def _solve(layout: Layout, detail: str) -> None:
    vertical = layout.vertical
    sizes = []
    for item in layout.items:
        _make_room(item, vertical)
        room, box = _room(item, vertical), item.box
        sizes.append((box.width, box.height + room) if vertical else (box.width + room, box.height))
    solved = _ask(layout, sizes, detail, set())
    if not vertical:
        # a label stands on the line: where several leave a box, all are to start along that one
        starts: dict[int, set[float]] = {}
        for wire, edge in zip(layout.wires, solved.edges, strict=True):
            if layout.items[wire.source].label:
                starts.setdefault(wire.source, set()).add(edge["points"][0]["y"])
        centred = {source for source, ys in starts.items() if len(ys) > 1}
        solved = _ask(layout, sizes, detail, centred) if centred else solved
    for item, (w, h), node in zip(layout.items, sizes, solved.nodes, strict=True):
        item.x, item.y = node["center"]["x"] - w / 2, node["center"]["y"] - h / 2
        if item.leads_out:
            item.foot.append(_foot(item, vertical))
    for wire, edge in zip(layout.wires, solved.edges, strict=True):
        source = layout.items[wire.source]
        points = _straightened([(p["x"], p["y"]) for p in edge["points"]])
        wire.points, foot = _from_box(points, source, vertical)
        if source.label and foot not in source.foot:
            source.foot.append(foot)
    layout.forks = sorted({(p["x"], p["y"]) for p in solved.raw.get("junctions", [])})
    _normalise(layout)


def _ask(layout: Layout, sizes: list[tuple[float, float]], detail: str, centred: set[int]) -> Any:
    """Let graphlay solve it; lines of the sources in ``centred`` leave from the middle."""
    import graphlay

    middle = {"source_port": {"offset": {"side": "right", "t": 0.0}}}
    return graphlay.layout(
        {
            "nodes": [
                {"key": str(i), "shape": "box", "size": {"width": w, "height": h}}
                for i, (w, h) in enumerate(sizes)
            ],
            "edges": [
                {
                    "source": wire.source,
                    "target": wire.target,
                    "weight": 1.0,
                    **(middle if wire.source in centred else {}),
                }
                for wire in layout.wires
            ],
        },
        options={
            "direction": "topbottom" if layout.vertical else "leftright",
            "spacing": {
                "layer_gap": _GAP[detail],
                "node_gap": _BESIDE,
                "dummy_gap": 14.0,
                "port_gap": 10.0,
                "isolated_gap": 24.0,
            },
            "routing": {"merge_edges": "forks", "port_sides": "facing_only"},
        },
    )


def _foot(item: Item, vertical: bool) -> list[Point]:
    """Return the line of an output, which leads from the middle of its box to nowhere."""
    room = _room(item, vertical)
    if vertical:
        x, y = item.x + item.box.width / 2, item.y + item.box.height
        return [(x, y), (x, y + room)]
    x, y = item.x + item.box.width, item.y + item.box.height / 2
    return [(x, y), (x + room, y)]


def _straightened(points: list[Point]) -> list[Point]:
    """Take out slants of less than a pixel, which ports a fraction apart make."""
    line = [points[-1]]
    for x, y in reversed(points[:-1]):
        next_x, next_y = line[-1]
        dx, dy = abs(x - next_x), abs(y - next_y)
        line.append((next_x if dx < 1 <= dy else x, next_y if dy < 1 <= dx else y))
    return line[::-1]


def _from_box(points: list[Point], source: Item, vertical: bool) -> tuple[list[Point], list[Point]]:
    """Return a line that starts at its box instead of behind the room, and the part between."""
    x, y = points[0]
    start = (x, source.y + source.box.height) if vertical else (source.x + source.box.width, y)
    foot = [start, points[0]]
    straight = points[0][0] == points[1][0] if vertical else points[0][1] == points[1][1]
    return ([start, *points[1:]] if straight else [start, *points]), foot


def _normalise(layout: Layout) -> None:
    """Shift everything into the corner, on a grid of a tenth of a pixel."""
    xs = [p[0] for wire in layout.wires for p in wire.points]
    ys = [p[1] for wire in layout.wires for p in wire.points]
    for item in layout.items:
        foot = [p for line in item.foot for p in line]
        label = max((text_width(line, LABEL) + 6 for line in item.label), default=0.0)
        xs += [item.x, item.x + item.box.width, *(p[0] for p in foot)]
        ys += [item.y, item.y + item.box.height, *(p[1] for p in foot)]
        xs += [p[0] + label for p in foot] if layout.vertical else []
    left, upper = min(xs), min(ys)
    layout.width, layout.height = round(max(xs) - left, 1), round(max(ys) - upper, 1)
    moved(layout, lambda p: (round(p[0] - left, 1), round(p[1] - upper, 1)))


def moved(layout: Layout, to: Callable[[Point], Point]) -> None:
    """Move every point of a layout; boxes by their corner."""
    for item in layout.items:
        item.x, item.y = to((item.x, item.y))
        item.foot = [[to(p) for p in line] for line in item.foot]
    for wire in layout.wires:
        wire.points = [to(p) for p in wire.points]
    layout.forks = [to(p) for p in layout.forks]


def _mirror(layout: Layout) -> None:
    """Turn a layout round, so that data flows up, or to the left."""
    vertical = layout.vertical
    for item in layout.items:  # the far corner becomes the near one
        if vertical:
            item.y += item.box.height
        else:
            item.x += item.box.width
    if vertical:
        moved(layout, lambda p: (p[0], round(layout.height - p[1], 1)))
    else:
        moved(layout, lambda p: (round(layout.width - p[0], 1), p[1]))
