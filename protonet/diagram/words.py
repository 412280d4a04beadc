"""Diagrams in words that other programs draw: DOT, Mermaid, plain text."""

from __future__ import annotations

import re

from protonet.diagram.boxes import plain_trouble, quantity, title_lines, weight_text
from protonet.diagram.kinds import KINDS
from protonet.diagram.model import Diagram, Edge, Node
from protonet.summary import shape_text

_STATUS_COLOURS = {"added": "#1f7a38", "dropped": "#b3261e", "changed": "#9a5b00"}
_SIDE = "#c28f00"


def dot_text(diagram: Diagram, rankdir: str = "TB", detail: str = "normal") -> str:
    """Return a diagram in Graphviz's language."""
    lines = [
        f"digraph {_dot(diagram.name)} {{",
        f"  rankdir={rankdir};",
        '  node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=10];',
        '  edge [fontname="Helvetica", fontsize=9];',
    ]
    for i, node in enumerate(diagram.nodes):
        kind = KINDS[node.kind]
        style = "rounded,dashed" if node.unknown else "rounded,filled"
        colour, width = _outline(node)
        label = "\n".join(node_lines(node, detail))
        lines.append(
            f'  n{i} [label={_dot(label)}, style="{style}", fillcolor="{kind.fill}", '
            f'color="{colour or kind.line}", penwidth={width}];'
        )
    for panel in diagram.panels:
        inside = " ".join(f"n{i};" for i in panel.nodes)
        label = _dot(panel_label(*panel.names, panel.count))
        lines.append(
            f"  subgraph cluster_{panel.nodes[0]} {{ label={label}; style=dashed; {inside} }}"
        )
    for edge in diagram.edges:
        label = "" if detail == "brief" else f" label={_dot(_edge_label(diagram, edge))}"
        colour = _edge_colour(edge)
        look = f' color="{colour}" penwidth=2' if colour else ""
        dashed = " style=dashed" if edge.status == "dropped" else ""
        lines.append(f"  n{edge.source} -> n{edge.target} [{(label + look + dashed).strip()}];")
    return "\n".join([*lines, "}"]) + "\n"


def mermaid_text(diagram: Diagram, rankdir: str = "TB", detail: str = "normal") -> str:
    """Return a diagram as a Mermaid flowchart, as GitHub draws it in Markdown."""
    lines = [f"---\ntitle: {_yaml(diagram.name)}\n---", f"flowchart {rankdir}"]
    inside = {i: panel for panel in diagram.panels for i in panel.nodes}
    for i, node in enumerate(diagram.nodes):
        panel = inside.get(i)
        if panel is not None and panel.nodes[0] == i:
            title = panel_label(*panel.names, panel.count)
            lines.append(f"  subgraph p{i} [{_mermaid(title)}]")
        text = "<br/>".join(_escaped(line) for line in node_lines(node, detail))
        lines.append(f'  n{i}["{text}"]:::{node.kind.replace(" ", "_")}')
        if panel is not None and panel.nodes[-1] == i:
            lines.append("  end")
    marked: dict[str, list[str]] = {}
    for number, edge in enumerate(diagram.edges):
        label = "" if detail == "brief" else f"|{_mermaid(_edge_label(diagram, edge))}|"
        arrow = "-.->" if edge.status == "dropped" else "-->"
        lines.append(f"  n{edge.source} {arrow}{label} n{edge.target}")
        colour = _edge_colour(edge)
        if colour:
            marked.setdefault(colour, []).append(str(number))
    for name in sorted({node.kind for node in diagram.nodes}):
        kind = KINDS[name]
        dashed = ",stroke-dasharray:4 3" if name == "unknown" else ""
        lines.append(
            f"  classDef {name.replace(' ', '_')} fill:{kind.fill},stroke:{kind.line},"
            f"color:#1b1f24{dashed}"
        )
    for i, node in enumerate(diagram.nodes):
        colour, width = _outline(node)
        if colour or width > 1:
            stroke = colour or KINDS[node.kind].line
            lines.append(f"  style n{i} stroke:{stroke},stroke-width:{width}px")
    for colour, numbers in marked.items():
        lines.append(f"  linkStyle {','.join(numbers)} stroke:{colour},stroke-width:3px")
    return "\n".join(lines) + "\n"


def plain_text(diagram: Diagram, detail: str = "normal") -> str:
    """Return a diagram for a terminal: a layer a line, blobs as rails to its left.

    A layer's dot stands on the rail of the blob that it makes; ``┤`` and ``├`` are where it reads
    and where further blobs begin.
    """
    lines = [text for text, _, _ in title_lines(diagram)] + [""]
    panels = {panel.nodes[0]: panel for panel in diagram.panels}
    rails = _Rails(diagram)
    for i, node in enumerate(diagram.nodes):
        if i in panels:
            panel = panels[i]
            lines.append(f"{rails.idle()}  {panel_label(*panel.names, panel.count)}:")
        mark = {"added": "+ ", "dropped": "- ", "changed": "~ "}.get(node.status, "")
        first, *rest = node_lines(node, detail)
        text = [mark + first, *rest]
        if detail != "brief":
            text += [f"{name} {shape_text(shape)}" for name, shape in node.facts.tops]
        lines.append(f"{rails.through(i)}  " + "  ·  ".join(text))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def panel_label(first: str, last: str, count: int) -> str:
    """Return what stands at a folded block."""
    return f"× {count}: {first} … {last}"


def node_lines(node: Node, detail: str) -> list[str]:
    """Return what a diagram in words says of a layer."""
    lines = [f"{node.name} ({node.facts.type})"]
    if detail != "brief" and node.settings:
        lines.append(", ".join(node.settings))
    if detail != "brief" and node.parameters:
        lines.append(f"{node.parameters:,} params")
    if detail == "full" and node.multiply_adds:
        lines.append(f"{quantity(node.multiply_adds)} multiply-adds")
    if node.loss_weight is not None:
        lines.append(f"loss weight {weight_text(node.loss_weight)}")
    if plain_trouble(node):
        lines.append(plain_trouble(node))
    lines += node.changes
    if node.folded:
        lines.append("+ " + ", ".join(fold.facts.type for fold in node.folded))
    return lines


def _edge_label(diagram: Diagram, edge: Edge) -> str:
    shape = shape_text(edge.shape)
    return shape if edge.blob == diagram.nodes[edge.source].name else f"{edge.blob} {shape}"


def _outline(node: Node) -> tuple[str, int]:
    """Return the colour that a node is outlined with if it stands out, and how wide."""
    if node.status:
        return _STATUS_COLOURS[node.status], 3
    if node.side:
        return _SIDE, 3
    return "", 2 if node.loss_weight is not None else 1


def _edge_colour(edge: Edge) -> str:
    if edge.status:
        return _STATUS_COLOURS[edge.status]
    return _SIDE if edge.side else ""


def _dot(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _mermaid(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    """Write what has a meaning to Mermaid, or to the HTML that it makes, as its number."""
    return re.sub(r'["<>&#;`]', lambda m: f"#{ord(m.group())};", text)


def _yaml(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Rails:
    """The rails left of a text diagram: one for each blob in use."""

    def __init__(self, diagram: Diagram) -> None:
        self.diagram = diagram
        self.last: dict[tuple[int, int], int] = {}
        for edge in diagram.edges:
            blob = (edge.source, edge.top)
            self.last[blob] = max(self.last.get(blob, 0), edge.target)
        self.rails: list[tuple[int, int] | None] = []

    def idle(self) -> str:
        return " ".join("│" if rail else " " for rail in self.rails)

    def through(self, i: int) -> str:
        """Return the rails at a layer's line, and go on to the state below it."""
        read = {(e.source, e.top) for e in self.diagram.edges if e.target == i}
        ends = {k for k, rail in enumerate(self.rails) if rail in read and self.last[rail] == i}
        made = [
            (i, top)
            for top in range(len(self.diagram.nodes[i].facts.tops))
            if self.last.get((i, top), -1) > i
        ]
        reads = [k for k, rail in enumerate(self.rails) if rail in read]
        free = [k for k, rail in enumerate(self.rails) if rail is None or k in ends]
        # the layer stands on the leftmost rail that ends here, so that a chain goes straight down
        dot = min(ends, default=free[0] if free else len(self.rails))
        places = [dot, *[k for k in free if k != dot]]
        while len(places) < max(1, len(made)):
            places.append(max([len(self.rails) - 1, *places]) + 1)
        starts = places[: max(1, len(made))]
        row = self._row(dot, reads, ends, starts[1:] if made else [])
        for k in ends:
            self.rails[k] = None
        for blob, k in zip(made, starts, strict=False):
            while len(self.rails) <= k:
                self.rails.append(None)
            self.rails[k] = blob
        while self.rails and self.rails[-1] is None:
            self.rails.pop()
        return row

    def _row(self, dot: int, reads: list[int], ends: set[int], starts: list[int]) -> str:
        """Draw one line: the dot, with a beam to every rail that is read or begins."""
        touched = {k for k in [*reads, *starts] if k != dot}
        low, high = min([dot, *touched]), max([dot, *touched])
        cells = []
        for k in range(max(len(self.rails), high + 1)):
            running = k < len(self.rails) and self.rails[k] is not None
            beam = low <= k <= high and low != high
            if k == dot:
                cell = "●"
            elif k in touched:
                goes_on = k in starts or k not in ends
                comes = k in reads
                right_end = k == high
                left_end = k == low
                cell = _JOINTS[comes, goes_on, 0 if left_end else 2 if right_end else 1]
            elif running:
                cell = "┼" if beam else "│"
            else:
                cell = "─" if beam else " "
            cells.append(cell)
            cells.append("─" if low <= k < high else " ")
        return "".join(cells[:-1])


# (comes from above, goes on below, 0 left end / 1 middle / 2 right end of the beam)
_JOINTS = {
    (True, True, 0): "├", (True, True, 1): "┼", (True, True, 2): "┤",
    (True, False, 0): "└", (True, False, 1): "┴", (True, False, 2): "┘",
    (False, True, 0): "┌", (False, True, 1): "┬", (False, True, 2): "┐",
}  # fmt: skip
