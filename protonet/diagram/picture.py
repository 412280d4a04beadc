"""From a diagram and its layout to a scene: colours, lines, what stands out."""

from __future__ import annotations

from protonet.diagram.boxes import FAINT, INK, LABEL, plain_trouble, title_lines, weight_text
from protonet.diagram.kinds import KINDS
from protonet.diagram.layout import Item, Layout, Point, Wire
from protonet.diagram.model import Diagram, Edge, Node
from protonet.diagram.scene import Disc, Group, Part, Path, Rect, Scene, Text, arrow_head
from protonet.diagram.text_width import text_width
from protonet.summary import shape_text

_MARGIN = 14.0
_WIRE, _BACK, _PALE = "#3f4a56", "#b0125b", "#a9b1ba"
# the felt pen behind what stands out: (pen, line)
_PENS = {
    "side": ("#ffe694", "#8a6400"),
    "added": ("#bdeec8", "#1f7a38"),
    "dropped": ("#f8cfd2", "#b3261e"),
    "changed": ("#ffdca8", "#9a5b00"),
}
_LEGEND = {
    "side": "deep supervision: a loss to the side",
    "added": "added",
    "dropped": "dropped",
    "changed": "changed",
    "gradient": "a gradient flows back",
    "none": "no gradient",
}


def picture(
    diagram: Diagram,
    layout: Layout,
    *,
    kinds: bool = False,
    gradients: bool = False,
    viewer: bool = False,
) -> Scene:
    """Return the scene of a diagram.

    Args:
        kinds: explain the colours, where the boxes do not name their types.
        gradients: tell lines along which gradients flow back from those without.
        viewer: add what the viewer's script shows and hides.
    """
    return _Painter(diagram, layout, kinds, gradients, viewer).paint()


class _Painter:
    def __init__(
        self, diagram: Diagram, layout: Layout, kinds: bool, gradients: bool, viewer: bool
    ) -> None:
        self.diagram = diagram
        self.layout = layout
        self.kinds = kinds
        self.gradients = gradients
        self.viewer = viewer

    def paint(self) -> Scene:
        heading, width, top = self._heading()
        self.dx, self.dy = _MARGIN, top
        width = max(width, self.layout.width) + 2 * _MARGIN
        height = top + self.layout.height + _MARGIN
        groups = [
            Group("paper", shapes=[Rect(0, 0, width, height, fill="#ffffff")]),
            Group("heading", shapes=heading),
            *self._panels(),
            Group("pens", shapes=self._pens()),
            *self._wires(),
            *(self._node(item) for item in self.layout.items),
        ]
        return Scene(width, height, f"{self.diagram.name} ({self.diagram.phase})", groups)

    def _at(self, point: Point) -> Point:
        return round(point[0] + self.dx, 2), round(point[1] + self.dy, 2)

    # --- heading ---------------------------------------------------------------------------
    def _heading(self) -> tuple[list[Part], float, float]:
        """Return the lines above the drawing, their width, and where the drawing begins."""
        shapes: list[Part] = []
        y, widest = _MARGIN, 0.0
        for text, size, bold in title_lines(self.diagram):
            y += size * 1.05
            shapes.append(Text(_MARGIN, round(y, 2), text, size, bold, INK if bold else FAINT))
            widest = max(widest, text_width(text, size, bold))
            y += size * 0.4
        y, widest = self._legend(shapes, y, widest)
        return shapes, widest, round(y + 10, 2)

    def _legend(self, shapes: list[Part], y: float, widest: float) -> tuple[float, float]:
        """Explain pens, lines and colours, as many to a row as the drawing is wide."""
        nodes, edges = self.diagram.nodes, self.diagram.edges
        seen = {_standing(node) for node in nodes} | {_edge_standing(edge) for edge in edges}
        entries = [name for name in _PENS if name in seen]
        entries += ["gradient", "none"] if self.gradients else []
        if self.kinds:
            used = {node.kind for node in nodes} | {f.kind for n in nodes for f in n.folded}
            entries += [name for name in KINDS if name in used]
        if not entries:
            return y, widest
        room = max(self.layout.width, widest, 420.0)
        x, y = 0.0, y + 12
        for name in entries:
            text = _LEGEND.get(name, name)
            width = 24 + text_width(text, 9.5)
            if x and x + width > room:
                x, y = 0.0, y + 15
            shapes += [
                _sample(name, x + _MARGIN, y),
                Text(x + _MARGIN + 24, y, text, 9.5, fill=FAINT),
            ]
            widest = max(widest, x + width)
            x += width + 16
        return y + 4, widest

    # --- what stands out -------------------------------------------------------------------
    def _pens(self) -> list[Part]:
        shapes: list[Part] = []
        for wire in self.layout.wires:
            standing = _wire_standing(wire)
            if standing:
                points = tuple(self._at(p) for p in wire.points)
                shapes.append(Path(points, _PENS[standing][0], 9.0, radius=6))
        for item in self.layout.items:
            standing = _standing(self.diagram.nodes[item.node])
            if standing:
                x, y = self._at((item.x - 6, item.y - 6))
                w, h = item.box.width + 12, item.box.height + 12
                shapes.append(Rect(x, y, w, h, 9, fill=_PENS[standing][0]))
        return shapes

    def _panels(self) -> list[Group]:
        groups = []
        for panel in self.diagram.panels:
            inside = [item for item in self.layout.items if item.node in panel.nodes]
            upper = min(item.y for item in inside) - 9
            feet = [y for item in inside for line in item.foot for _, y in line]
            lower = max([item.y + item.box.height + 5 for item in inside] + feet) + 4
            xs = [x for item in inside for x in (item.x, item.x + item.box.width)]
            for wire in self.layout.wires:  # shortcuts run beside the boxes
                if self.layout.items[wire.target].node in panel.nodes:
                    xs += [x for x, y in wire.points if upper < y < lower]
            left, right = min(xs) - 10, max(xs) + 10
            x, y = self._at((left, upper))
            first, last = panel.names
            text = f"× {panel.count}"
            badge = text_width(text, 12, bold=True) + 10
            shapes: list[Part] = [
                Rect(x, y, right - left, lower - upper, 8, "#f7f7f9", "#8a93a0", 1.2, (6, 4)),
                Rect(x + right - left - badge - 4, y - 9, badge, 18, 9, "#4d5763"),
                Text(x + right - left - badge + 1, y + 4.2, text, 12, True, "#ffffff"),
            ]
            groups.append(
                Group("panel", title=f"{panel.count} times: {first} … {last}", shapes=shapes)
            )
        return groups

    # --- lines -----------------------------------------------------------------------------
    def _wires(self) -> list[Group]:
        """Draw the lines blob by blob, each blob's on a white ground that parts it from others."""
        blobs: dict[tuple[int, int], list[Wire]] = {}
        for wire in self.layout.wires:
            blobs.setdefault(wire.blob, []).append(wire)
        homes = {(item.node, item.top): item for item in self.layout.items}
        groups = [self._blob(wires, homes) for wires in blobs.values()]
        outs = [item for item in self.layout.items if item.leads_out]
        groups += [Group("edge", shapes=self._label(item)) for item in outs]
        forks: list[Part] = []
        for point in self.layout.forks:
            x, y = self._at(point)
            forks.append(Disc(x, y, 2.3, _WIRE))
        return [*groups, Group("forks", shapes=forks)]

    def _blob(self, wires: list[Wire], homes: dict[tuple[int, int | None], Item]) -> Group:
        group = Group("blob", {"blob": f"{wires[0].blob[0]}.{wires[0].blob[1]}"})
        if not any(_wire_standing(wire) for wire in wires):
            for wire in wires:
                points = tuple(self._at(p) for p in wire.points)
                group.shapes.append(Path(points, "#ffffff", 5.0, radius=5))
        # plain lines first: where lines lie on each other, the one that stands out is seen
        for wire in sorted(wires, key=lambda w: (self._carries(w), bool(_wire_standing(w)))):
            group.shapes.append(self._wire(wire))
        source = self.layout.items[wires[0].source]
        if source.label and not source.leads_out:
            group.shapes += self._label(source)
        return group

    def _carries(self, wire: Wire) -> bool:
        return self.gradients and any(edge.gradient for edge in wire.edges)

    def _wire(self, wire: Wire) -> Group:
        points = [self._at(p) for p in wire.points]
        gradient = any(edge.gradient for edge in wire.edges)
        standing = _wire_standing(wire)
        colour = _PENS[standing][1] if standing else _WIRE
        dash: tuple[float, ...] = (5, 3) if standing == "dropped" else ()
        if self.gradients:
            colour, dash = (_BACK, ()) if gradient else (_PALE, (3, 3))
        shapes: list[Part] = [
            Path(tuple(points), colour, 1.4, radius=5, dash=dash),
        ]
        if self.layout.items[wire.target].top is None:
            shapes.append(arrow_head(points, colour))
        if gradient and (self.gradients or self.viewer):
            back = arrow_head([*reversed(points)], _BACK)
            shapes.append(Group("back", shapes=[back]))
        classes = " ".join(
            ["edge", *(["gradient"] if gradient else []), *([standing] if standing else [])]
        )
        edges = wire.edges
        nodes = self.diagram.nodes
        title = ""
        if edges:
            readers = ", ".join(nodes[e.target].name for e in edges)
            title = f"{edges[0].blob} {shape_text(edges[0].shape)}: "
            title += f"{nodes[edges[0].source].name} → {readers}"
        data = {"from": str(wire.blob[0]), "to": " ".join(str(e.target) for e in edges)}
        return Group(classes, data, title, shapes)

    def _label(self, item: Item) -> list[Part]:
        """Write the shape beside the foot of a box, and the arrow of an output."""
        shapes: list[Part] = []
        if not item.foot:
            return shapes
        foot = max(item.foot, key=lambda line: line[0])
        start, end = self._at(foot[0]), self._at(foot[1])
        if item.leads_out:
            shapes += [Path((start, end), _WIRE, 1.4), arrow_head([start, end], _WIRE)]
        for i, line in enumerate(item.label):
            if self.layout.vertical:
                upper = min(start[1], end[1])
                x, y = start[0] + 5, upper + 11 + 13 * i
            else:
                x, y = min(start[0], end[0]) + 4, start[1] - 4 - 13 * (len(item.label) - 1 - i)
            shapes.append(Text(round(x, 2), round(y, 2), line, LABEL, fill=FAINT))
        return shapes

    # --- boxes -----------------------------------------------------------------------------
    def _node(self, item: Item) -> Group:
        node = self.diagram.nodes[item.node]
        kind = KINDS[node.kind]
        standing = _standing(node)
        x, y = self._at((item.x, item.y))
        box = item.box
        dash: tuple[float, ...] = (4, 3) if node.unknown or node.status == "dropped" else ()
        heavy = 2.2 if node.loss_weight is not None else 1.2
        radius = box.height / 2 if item.top is not None else 5
        group = Group(
            " ".join(["node", *([standing] if standing else [])]),
            {"node": str(item.node)},
            _tip(node),
        )
        group.shapes.append(
            Rect(x, y, box.width, box.height, radius, kind.fill, kind.line, heavy, dash)
        )
        if node.unknown:
            group.shapes += _hatching(x, y, box.width, box.height)
        for run in box.runs:
            rx, ry = round(x + run.x, 2), round(y + run.y, 2)
            if node.unknown:
                width = text_width(run.text, run.size, run.bold)
                group.shapes.append(
                    Rect(rx - 2, ry - run.size, width + 4, run.size * 1.3, 2, "#ffffff")
                )
            group.shapes.append(Text(rx, ry, run.text, run.size, run.bold, run.colour))
        for chip in box.chips:
            colours = KINDS[chip.kind]
            cx, cy = round(x + chip.x, 2), round(y + chip.y, 2)
            group.shapes.append(
                Rect(cx, cy, chip.width, chip.height, 3, colours.fill, colours.line, 0.8)
            )
            if chip.text:
                group.shapes.append(Text(cx + 5, round(cy + 10.8, 2), chip.text, 9, fill=INK))
        return group


def _sample(name: str, x: float, y: float) -> Part:
    """Return what a legend shows beside an entry."""
    if name in _PENS:
        return Rect(x, y - 7.5, 18, 8, 3, fill=_PENS[name][0])
    if name in KINDS:
        kind = KINDS[name]
        dash: tuple[float, ...] = (3, 2) if name == "unknown" else ()
        return Rect(x + 2, y - 8, 14, 9, 2, kind.fill, kind.line, 1, dash)
    colour, dash = (_BACK, ()) if name == "gradient" else (_PALE, (3, 3))
    return Path(((x, y - 3.5), (x + 18, y - 3.5)), stroke=colour, line=1.6, dash=dash)


def _standing(node: Node) -> str:
    return node.status or ("side" if node.side else "")


def _edge_standing(edge: Edge) -> str:
    return edge.status or ("side" if edge.side else "")


def _wire_standing(wire: Wire) -> str:
    """Return how a line stands out: as all of its edges do."""
    standing = {_edge_standing(edge) for edge in wire.edges}
    return standing.pop() if len(standing) == 1 else ""


def _tip(node: Node) -> str:
    lines = [f"{node.name} ({node.facts.type})", *node.settings]
    lines += [f"{name} {shape_text(shape)}" for name, shape in node.facts.tops]
    lines += [f"{node.parameters:,} parameters"] if node.parameters else []
    if node.loss_weight is not None:
        lines.append(f"loss weight {weight_text(node.loss_weight)}")
    lines += [f"in place: {fold.facts.name} ({fold.facts.type})" for fold in node.folded]
    lines += [plain_trouble(node)] if plain_trouble(node) else []
    return "\n".join([*lines, *node.changes])


def _hatching(x: float, y: float, width: float, height: float) -> list[Part]:
    """Return slanting lines across a rectangle."""
    lines: list[Part] = []
    offset = 8.0
    while offset < width + height:
        x0, y0 = (x + offset, y) if offset <= width else (x + width, y + offset - width)
        x1, y1 = (x, y + offset) if offset <= height else (x + offset - height, y + height)
        ends = ((round(x0, 2), round(y0, 2)), (round(x1, 2), round(y1, 2)))
        lines.append(Path(ends, "#c9ced4", 1.0))
        offset += 8.0
    return lines
