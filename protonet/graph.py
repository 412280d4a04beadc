"""A net as a directed acyclic graph of layers and versioned blobs. Pure data: no arrays, no shapes.

From the layers of a file, those that the state (phase, level, stages) asks for are kept; names of
blobs are resolved; where several layers read a blob, a Split layer is inserted, named as Caffe
names it. An in-place layer (``bottom: "ip1" top: "ip1"``) makes a new version of its blob: the
graph tells ``ip1`` before and after ``relu1`` apart, users see one name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from protonet.errors import GraphError, did_you_mean
from protonet.layer import TRAIN
from protonet.schema import extra


@dataclass(frozen=True)
class BlobRef:
    """One version of a blob: ``version`` counts the in-place layers that wrote it before."""

    name: str
    version: int = 0


@dataclass(frozen=True)
class GraphLayer:
    """A layer of the graph.

    Attributes:
        param: the LayerParameter message it comes from.
        bottoms, tops: the blobs it reads and writes.
        line: its line in the file, 0 where there is none.
        inserted: a Split that no file contains.
    """

    param: Any
    bottoms: tuple[BlobRef, ...]
    tops: tuple[BlobRef, ...]
    line: int = 0
    inserted: bool = False

    @property
    def name(self) -> str:
        return str(self.param.name)

    @property
    def type(self) -> str:
        return str(self.param.type)


@dataclass
class Graph:
    """The layers of a net in the order of their execution.

    Attributes:
        name: the net's name.
        path: the file it was read from, or "".
        phase: TRAIN or TEST.
        layers: in the order of the file, Splits inserted.
        inputs: names of the tops of Input layers, in order.
        outputs: names of blobs that no layer reads, sorted as Caffe sorts them.
        notes: what the file has that only a fork of Caffe knows, a line for each kind of field;
            in a tolerant graph also what is wrong with it.
    """

    name: str
    path: str
    phase: int
    layers: list[GraphLayer]
    force_backward: bool = False
    debug_info: bool = False
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def where(self, layer: GraphLayer) -> str:
        """Return ``file:line: `` of a layer, as errors begin, or "" when it has no line."""
        return place(self.path, layer.line)


def place(path: str, line: int) -> str:
    """Return ``file:line: ``, ``file: `` or ``""``: what is known of where something stands."""
    if path and line:
        return f"{path}:{line}: "
    return f"{path}: " if path else ""


MISSING = "produced by no layer"
"""The type of what stands in a tolerant graph for a blob that no layer makes."""


def build_graph(
    source: Any,
    phase: int | None = None,
    level: int | None = None,
    stages: Iterable[str] = (),
    *,
    tolerant: bool = False,
) -> Graph:
    """Return the graph of a net for one state.

    Args:
        source: what ``schema.read_net`` returns: an upgraded NetParameter with path and lines.
        phase, level, stages: the state; where not given, that of the net file's own ``state {}``.
        tolerant: for diagrams: a blob that no layer makes comes from a layer of type ``MISSING``,
            and a note says so.

    Raises:
        GraphError: a layer that includes and excludes, an unknown bottom, a top made twice,
            numbers of ``propagate_down`` or ``loss_weight`` that do not fit.
    """
    net = source.message
    state = net.state
    phase = state.phase if phase is None else phase
    level = state.level if level is None else level
    wanted = frozenset([*state.stage, *stages])
    graph = Graph(
        name=net.name,
        path=source.path,
        phase=phase,
        layers=[],
        force_backward=net.force_backward,
        debug_info=net.debug_info,
        notes=extra.notes(net, source.path),
    )
    kept: list[tuple[Any, int]] = []
    for param, line in zip(net.layer, source.lines, strict=True):
        if param.include and param.exclude:
            raise GraphError(
                f"{place(source.path, line)}layer '{param.name}' ({param.type}): expected include "
                "or exclude rules, got both"
            )
        if included(param, phase, level, wanted):
            kept.append((param, line))
    _Builder(graph, tolerant).build(kept)
    return graph


def included(param: Any, phase: int, level: int, stages: frozenset[str]) -> bool:
    """Whether a LayerParameter takes part in a state: any include, or no exclude, must match."""
    rules = param.include or param.exclude
    matched = any(_matches(rule, phase, level, stages) for rule in rules)
    return matched if param.include else not matched


def _matches(rule: Any, phase: int, level: int, stages: frozenset[str]) -> bool:
    return not (
        (rule.HasField("phase") and rule.phase != phase)
        or (rule.HasField("min_level") and level < rule.min_level)
        or (rule.HasField("max_level") and level > rule.max_level)
        or not stages.issuperset(rule.stage)
        or not stages.isdisjoint(rule.not_stage)
    )


class _Builder:
    """Resolves names into a Graph: first who reads what, then Splits where several do."""

    def __init__(self, graph: Graph, tolerant: bool) -> None:
        self.graph = graph
        self.tolerant = tolerant
        self.missing: list[GraphLayer] = []
        self.current: dict[str, BlobRef] = {}
        self.made_by: dict[BlobRef, str] = {}
        self.readers: dict[BlobRef, int] = {}
        self.kept: list[Any] = []

    def build(self, kept: Sequence[tuple[Any, int]]) -> None:
        self.kept = [param for param, _ in kept]
        plain = [self._resolve(param, line) for param, line in kept]
        self._insert_splits([*self.missing, *plain])
        graph = self.graph
        read = {ref for layer in graph.layers for ref in layer.bottoms}
        made = [ref for layer in graph.layers for ref in layer.tops]
        graph.outputs = sorted({ref.name for ref in made if ref not in read})
        graph.inputs = [ref.name for la in graph.layers if la.type == "Input" for ref in la.tops]

    def _error(self, param: Any, line: int, message: str) -> GraphError:
        where = place(self.graph.path, line)
        return GraphError(f"{where}layer '{param.name}' ({param.type}): {message}")

    def _resolve(self, param: Any, line: int) -> GraphLayer:
        if len(param.propagate_down) not in (0, len(param.bottom)):
            raise self._error(
                param,
                line,
                f"expected propagate_down for none or all of its {len(param.bottom)} bottoms, "
                f"got {len(param.propagate_down)}",
            )
        bottoms = []
        for name in param.bottom:
            ref = self.current.get(name)
            if ref is None:
                below = self._made_below(param, name)
                hint = below or did_you_mean(name, set(self.current))
                error = self._error(
                    param, line, f"bottom '{name}' is not produced by any layer above{hint}"
                )
                if below or not self.tolerant:
                    raise error
                self.graph.notes.append(str(error))
                ref = self._missing(type(param)(), name)
            bottoms.append(ref)
            self.readers[ref] = self.readers.get(ref, 0) + 1
        tops = []
        for i, name in enumerate(param.top):
            before = self.current.get(name)
            if before is None:
                ref = BlobRef(name)
            elif i < len(bottoms) and bottoms[i].name == name:
                ref = BlobRef(name, before.version + 1)
            else:
                raise self._error(
                    param,
                    line,
                    f"top '{name}' is already produced by layer '{self.made_by[before]}'; only an "
                    "in-place layer, which has it as the bottom at the same place, may write it "
                    "again",
                )
            self.current[name] = ref
            self.made_by[ref] = param.name
            tops.append(ref)
        # A loss weight on a top counts as one more reader: the blob that carries the loss must
        # not share its gradient with one that layers read.
        for ref, weight in zip(tops, param.loss_weight, strict=False):
            if weight:
                self.readers[ref] = self.readers.get(ref, 0) + 1
        return GraphLayer(param, tuple(bottoms), tuple(tops), line)

    def _missing(self, param: Any, name: str) -> BlobRef:
        """Add what stands for the maker of a blob that has none."""
        param.name, param.type = name, MISSING
        param.top.append(name)
        ref = self.current[name] = BlobRef(name)
        self.made_by[ref] = name
        self.missing.append(GraphLayer(param, (), (ref,)))
        return ref

    def _made_below(self, reader: Any, name: str) -> str:
        """Say which later layer makes a blob, and whether it does so from what ``reader`` makes."""
        after = next(i for i, param in enumerate(self.kept) if param is reader) + 1
        reached = set(reader.top)
        for param in self.kept[after:]:
            circular = not reached.isdisjoint(param.bottom)
            if name in param.top:
                cycle = ", from what this layer makes: the net has a cycle" if circular else ""
                return f"; layer '{param.name}' below produces it{cycle}"
            if circular:
                reached.update(param.top)
        return ""

    def _insert_splits(self, plain: list[GraphLayer]) -> None:
        """Fill ``graph.layers``, with a Split after each layer whose top is read more than once."""
        branches: dict[BlobRef, list[BlobRef]] = {}
        for layer in plain:
            bottoms = tuple(branches[r].pop(0) if r in branches else r for r in layer.bottoms)
            param, splits = layer.param, []
            for i, ref in enumerate(layer.tops):
                count = self.readers.get(ref, 0)
                if count > 1:
                    weight = param.loss_weight[i] if i < len(param.loss_weight) else 0.0
                    split = _split(layer, ref, i, count, weight)
                    splits.append(split)
                    branches[ref] = list(split.tops)
                    if weight:
                        branches[ref].pop(0)
                        param = _without_loss_weight(param)
            self.graph.layers.append(GraphLayer(param, bottoms, layer.tops, layer.line))
            self.graph.layers += splits


def _split(layer: GraphLayer, ref: BlobRef, index: int, count: int, weight: float) -> GraphLayer:
    param = type(layer.param)()
    param.name = f"{ref.name}_{layer.name}_{index}_split"
    param.type = "Split"
    param.bottom.append(ref.name)
    param.top.extend(f"{param.name}_{k}" for k in range(count))
    if weight:
        # the first branch carries the loss; the explicit zeros are for the others
        param.loss_weight.extend([weight] + [0.0] * (count - 1))
    return GraphLayer(param, (ref,), tuple(BlobRef(name) for name in param.top), layer.line, True)


def _without_loss_weight(param: Any) -> Any:
    copy = type(param)()
    copy.CopyFrom(param)
    del copy.loss_weight[:]
    return copy


__all__ = ["TRAIN", "BlobRef", "Graph", "GraphLayer", "build_graph", "place"]
