"""Fold blocks that repeat: ResNet-152 becomes as long as what is different in it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

from protonet.diagram.model import Diagram, Edge, Node, Panel

_LONGEST_PERIOD = 12  # segments


def fold_repeats(diagram: Diagram) -> Diagram:
    """Return a diagram in which a run of alike blocks is drawn once, with how often it comes.

    A block begins and ends where a single blob connects what is above with what is below (data
    and labels aside). Blocks are alike if their layers, settings, shapes and connections are.
    """
    segments = _segments(diagram)
    readers: dict[int, list[Edge]] = {}
    for edge in diagram.edges:
        readers.setdefault(edge.target, []).append(edge)
    looks = [_look(diagram, segment, readers) for segment in segments]
    stands_for: dict[int, int] = {}
    panels: list[Panel] = []
    at = 0
    while at < len(segments):
        period, count = _longest_run(looks, at)
        run = [i for segment in segments[at : at + period * count] for i in segment]
        size = len(run) // count
        if count > 1 and len(run) - size > 1:
            names = [diagram.nodes[run[size - 1]].name, diagram.nodes[run[-1]].name]
            panels.append(Panel(tuple(run[:size]), count, (names[0], names[1])))
            stands_for.update((node, run[k % size]) for k, node in enumerate(run[size:]))
        at += period * count
    return _without(diagram, stands_for, panels) if panels else diagram


def _segments(diagram: Diagram) -> list[range]:
    """Cut the nodes where a single blob is in use."""
    last_use: dict[tuple[int, int], int] = {}
    for edge in diagram.edges:
        if diagram.nodes[edge.source].kind != "data":
            blob = (edge.source, edge.top)
            last_use[blob] = max(last_use.get(blob, 0), edge.target)
    segments, start = [], 0
    for i in range(len(diagram.nodes)):
        alive = [blob for blob, last in last_use.items() if blob[0] <= i < last]
        if len(alive) <= 1 and (not alive or alive[0][0] == i):
            segments.append(range(start, i + 1))
            start = i + 1
    if start < len(diagram.nodes):
        segments.append(range(start, len(diagram.nodes)))
    return segments


def _look(diagram: Diagram, segment: range, readers: dict[int, list[Edge]]) -> tuple[Hashable, ...]:
    """Return all by which two segments are told apart. Losses and side branches never fold."""
    look: list[Hashable] = []
    for i in segment:
        node = diagram.nodes[i]
        if node.loss_weight is not None or node.side or node.kind in ("data", "loss", "unknown"):
            return (i,)
        look.append((_layer_look(node), *(_origin(edge, segment) for edge in readers.get(i, []))))
    return tuple(look)


def _layer_look(node: Node) -> Hashable:
    shapes = tuple(shape for _, shape in node.facts.tops)
    folded = tuple((fold.facts.type, fold.settings) for fold in node.folded)
    return node.facts.type, node.settings, shapes, folded, node.status


def _origin(edge: Edge, segment: range) -> Hashable:
    inside = edge.source in segment
    return (edge.source - segment.start if inside else -1, edge.top, edge.gradient)


def _longest_run(looks: list[tuple[Hashable, ...]], at: int) -> tuple[int, int]:
    """Return (period, count) of the repetition from ``at`` on that hides the most segments."""
    best = (1, 1)
    for period in range(1, min(_LONGEST_PERIOD, (len(looks) - at) // 2) + 1):
        count = 1
        while looks[at : at + period] == looks[at + count * period : at + (count + 1) * period]:
            count += 1
        if period * (count - 1) > best[0] * (best[1] - 1):
            best = (period, count)
    return best


def _without(diagram: Diagram, stands_for: dict[int, int], panels: list[Panel]) -> Diagram:
    kept = [i for i in range(len(diagram.nodes)) if i not in stands_for]
    place = {i: k for k, i in enumerate(kept)}
    edges = []
    for edge in diagram.edges:
        if edge.target in place:
            source = stands_for.get(edge.source, edge.source)
            edges.append(replace(edge, source=place[source], target=place[edge.target]))
    folded = [replace(p, nodes=tuple(place[i] for i in p.nodes)) for p in panels]
    return replace(diagram, nodes=[diagram.nodes[i] for i in kept], edges=edges, panels=folded)
