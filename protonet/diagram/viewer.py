"""A diagram as one HTML file: a viewer that needs no network and no other file."""

from __future__ import annotations

import json
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any

from protonet.diagram.kinds import KINDS
from protonet.diagram.model import Diagram, Folded, Node
from protonet.diagram.svg import svg_text
from protonet.summary import layer_data

if TYPE_CHECKING:
    from protonet.diagram.drawing import Drawing

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<div class="group" role="group" aria-label="phase">{phases}</div>
<div class="group"><input id="search" type="search" placeholder="search layers" \
aria-label="search layers"><span id="found" role="status"></span></div>
<div class="group"><button id="gradients" aria-pressed="false" \
title="show along which lines gradients flow back (g)">gradients</button></div>
<div class="group"><button id="smaller" title="smaller (-)">−</button>\
<button id="larger" title="larger (+)">+</button>\
<button id="whole" title="the whole net (0)">fit</button></div>
</header>
<div id="stage">{sheets}</div>
<aside aria-live="polite"></aside>
<script type="application/json" id="nets">{data}</script>
<script>
{script}</script>
</body>
</html>
"""


def viewer_html(drawing: Drawing) -> str:
    """Return the viewer of a drawing, with a sheet for each phase."""
    diagrams = [drawing.diagram, *drawing.others]
    sheets, phases = [], []
    for diagram in diagrams:
        svg = svg_text(drawing.scene(diagram, viewer=True))
        sheets.append(f'<div class="sheet" data-phase="{diagram.phase}" hidden>\n{svg}</div>')
        phases.append(f'<button data-show="{diagram.phase}">{diagram.phase}</button>')
    first = drawing.diagram
    title = f"{first.name} against {first.compared}" if first.compared else first.name
    # "<" only ever stands within strings of JSON
    data = json.dumps([_net(diagram) for diagram in diagrams]).replace("<", "\\u003c")
    files = resources.files("protonet.diagram")
    return _PAGE.format(
        title=escape(title),
        style=files.joinpath("viewer.css").read_text(encoding="utf-8"),
        script=files.joinpath("viewer.js").read_text(encoding="utf-8"),
        phases="".join(phases),
        sheets="\n".join(sheets),
        data=data,
    )


def diagram_data(diagram: Diagram) -> dict[str, Any]:
    """Return nodes and edges as plain data: what ``draw --json`` tells beyond ``summary``."""
    return {
        "nodes": [
            {
                "key": node.key,
                "layer": node.name,
                "kind": node.kind,
                "settings": list(node.settings),
                "in_place": [fold.facts.name for fold in node.folded],
                "side": node.side,
                "status": node.status,
                "changes": list(node.changes),
            }
            for node in diagram.nodes
        ],
        "edges": [
            {
                "from": diagram.nodes[edge.source].key,
                "to": diagram.nodes[edge.target].key,
                "blob": edge.blob,
                "shape": None if edge.shape is None else list(edge.shape),
                "gradient": edge.gradient,
                "side": edge.side,
                "status": edge.status,
            }
            for edge in diagram.edges
        ],
    }


def _net(diagram: Diagram) -> dict[str, Any]:
    sources: dict[int, list[int]] = {}
    targets: dict[int, list[int]] = {}
    for edge in diagram.edges:
        sources.setdefault(edge.target, []).append(edge.source)
        targets.setdefault(edge.source, []).append(edge.target)
    kinds = {node.kind for node in diagram.nodes}
    kinds |= {fold.kind for node in diagram.nodes for fold in node.folded}
    return {
        "name": diagram.name,
        "path": diagram.path,
        "phase": diagram.phase,
        "compared": diagram.compared,
        "parameters": diagram.parameters,
        "multiply_adds": diagram.multiply_adds,
        "notes": diagram.notes,
        "kinds": [
            {"name": kind.name, "fill": kind.fill, "line": kind.line}
            for kind in KINDS.values()
            if kind.name in kinds
        ],
        "nodes": [
            {
                **_layer(node),
                "key": node.key,
                "status": node.status,
                "changes": node.changes,
                "folded": [_layer(fold) for fold in node.folded],
                "from": list(dict.fromkeys(sources.get(i, []))),
                "to": list(dict.fromkeys(targets.get(i, []))),
            }
            for i, node in enumerate(diagram.nodes)
        ],
    }


def _layer(layer: Node | Folded) -> dict[str, Any]:
    from protonet.schema.write import write_text

    return {
        **layer_data(layer.facts),
        "bottoms": list(layer.param.bottom),  # not the branches of Splits
        "settings": list(layer.settings),
        "prototxt": write_text(layer.param),
    }
