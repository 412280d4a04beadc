"""Two nets in one diagram: what the second adds, drops and changes against the first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from protonet.diagram.boxes import weight_text
from protonet.diagram.model import Diagram, Edge, Node

_Source = tuple[int, int, str]  # the node that makes a blob, which of its tops, the blob's name


def compare(before: Diagram, after: Diagram) -> Diagram:
    """Return the union of two diagrams, its nodes and edges marked with their status.

    Layers are matched by name; what is left, by type, parameters and inputs: those were renamed.
    Shapes, costs and lines are those of ``after``; of ``before`` for what was dropped.
    """
    matched = _matched(before, after)
    partner = {a: b for b, a in matched.items()}
    sources_before, sources_after = _sources(before), _sources(after)
    nodes: list[Node] = []
    place_after: dict[int, int] = {}
    place_before: dict[int, int] = {}
    waiting = iter(range(len(before.nodes)))
    for i, node in enumerate(after.nodes):
        j = matched.get(i)
        if j is not None and j not in place_before:
            # what the first net has before this layer, and the second has not, comes here
            for k in waiting:
                if k == j:
                    break
                _drop(before, k, partner, nodes, place_before)
        place_after[i] = len(nodes)
        if j is None:
            nodes.append(replace(node, status="added", side=False))
            continue
        place_before[j] = len(nodes)
        old = before.nodes[j]
        inputs = [(partner.get(k, -1 - k), top, blob) for k, top, blob in sources_before[j]]
        changes = [*_changes(old, node), *_rewired(inputs, sources_after[i])]
        status = "changed" if changes else ""
        nodes.append(replace(node, status=status, changes=changes, side=False))
    for k in waiting:
        _drop(before, k, partner, nodes, place_before)
    edges = _edges(before, after, place_before, place_after, nodes)
    return replace(
        after,
        nodes=nodes,
        edges=edges,
        notes=list(dict.fromkeys([*before.notes, *after.notes])),
        compared=before.name,
        before=(before.parameters, before.multiply_adds),
    )


def _drop(
    before: Diagram, k: int, partner: dict[int, int], nodes: list[Node], place: dict[int, int]
) -> None:
    if k not in partner:
        taken = {node.key for node in nodes}
        node = before.nodes[k]
        key = node.key if node.key not in taken else f"{node.key} (before)"
        place[k] = len(nodes)
        nodes.append(replace(node, key=key, status="dropped", side=False))


def _sources(diagram: Diagram) -> list[list[_Source]]:
    sources: list[list[_Source]] = [[] for _ in diagram.nodes]
    for edge in diagram.edges:
        sources[edge.target].append((edge.source, edge.top, edge.blob))
    return sources


def _matched(before: Diagram, after: Diagram) -> dict[int, int]:
    """Return index in ``after`` -> index in ``before`` of the same layer."""
    by_key = {node.key: i for i, node in enumerate(before.nodes)}
    matched = {i: by_key[n.key] for i, n in enumerate(after.nodes) if n.key in by_key}
    free = [i for i in range(len(before.nodes)) if i not in set(matched.values())]
    for i, node in enumerate(after.nodes):
        if i in matched:
            continue
        inputs = {matched.get(e.source) for e in after.edges if e.target == i}
        for j in free:
            old = before.nodes[j]
            old_inputs = {e.source for e in before.edges if e.target == j}
            if (
                old.facts.type == node.facts.type
                and inputs == old_inputs
                and _flat(old.param) == _flat(node.param)
            ):
                matched[i] = j
                free.remove(j)
                break
    return matched


def _changes(old: Node, new: Node) -> list[str]:
    """Return what differs between two layers, in words."""
    changes = []
    if old.name != new.name:
        changes.append(f"name {old.name} → {new.name}")
    if old.facts.type != new.facts.type:
        changes.append(f"type {old.facts.type} → {new.facts.type}")
    changes += _differences(_flat(old.param), _flat(new.param))
    if old.loss_weight != new.loss_weight:
        weights = [_weight(node.loss_weight) for node in (old, new)]
        changes.append(f"loss weight {weights[0]} → {weights[1]}")
    before = [f"{fold.facts.type}" for fold in old.folded]
    after = [f"{fold.facts.type}" for fold in new.folded]
    if before != after:
        changes.append(f"in place {', '.join(before) or 'none'} → {', '.join(after) or 'none'}")
    else:
        for a, b in zip(old.folded, new.folded, strict=True):
            changes += [
                f"{b.facts.name}: {change}"
                for change in _differences(_flat(a.param), _flat(b.param))
            ]
    return changes


def _weight(weight: float | None) -> str:
    return "none" if weight is None else weight_text(weight)


def _rewired(before: list[_Source], after: list[_Source]) -> list[str]:
    if [source[:2] for source in before] == [source[:2] for source in after]:
        return []
    old = ", ".join(blob for *_, blob in before) or "nothing"
    new = ", ".join(blob for *_, blob in after) or "nothing"
    return [f"reads {old} → {new}" if old != new else f"reads {new} of another layer"]


def _differences(old: dict[str, str], new: dict[str, str]) -> list[str]:
    changes = []
    for path in dict.fromkeys([*old, *new]):
        a, b = old.get(path), new.get(path)
        if a != b:
            changes.append(f"{path} {a or 'unset'} → {b or 'unset'}")
    return changes


_ASIDE = {"name", "type", "bottom", "top", "include", "exclude", "loss_weight", "phase"}


def _flat(param: Any) -> dict[str, str]:
    """Return path -> value of all fields of a layer that are told by no other part of its box."""
    flat: dict[str, str] = {}
    for field, value in param.ListFields():
        if field.name not in _ASIDE:
            _flatten(field, value, field.name.removesuffix("_param"), flat)
    return flat


def _flatten(field: Any, value: Any, path: str, flat: dict[str, str]) -> None:
    values = [value] if isinstance(value, str | bytes) or not hasattr(value, "__len__") else value
    for i, one in enumerate(values):
        here = path if len(values) == 1 else f"{path}[{i}]"
        if field.message_type is None:
            name = field.enum_type.values_by_number[one].name if field.enum_type else None
            flat[here] = name or (f"{one:g}" if isinstance(one, float) else str(one))
            continue
        for inner, inner_value in one.ListFields():
            _flatten(inner, inner_value, f"{here}.{inner.name}", flat)


def _edges(
    before: Diagram,
    after: Diagram,
    place_before: dict[int, int],
    place_after: dict[int, int],
    nodes: list[Node],
) -> list[Edge]:
    old = [_placed(edge, place_before) for edge in before.edges]
    new = [_placed(edge, place_after) for edge in after.edges]
    in_old = {(e.source, e.target, e.top) for e in old}
    in_new = {(e.source, e.target, e.top) for e in new}
    edges = [
        edge if (edge.source, edge.target, edge.top) in in_old else replace(edge, status="added")
        for edge in new
    ]
    for edge in old:
        if (edge.source, edge.target, edge.top) not in in_new:
            tops = len(nodes[edge.source].facts.tops)
            edges.append(replace(edge, top=min(edge.top, tops - 1), status="dropped"))
    return edges


def _placed(edge: Edge, place: dict[int, int]) -> Edge:
    return replace(edge, source=place[edge.source], target=place[edge.target], side=False)
