"""From a graph to a plan: every shape, every blob, who needs a gradient. No data, no weights.

The steps hold layer objects and blobs whose memory nobody has touched yet; ``net.Net`` runs them.
What counts in the loss, and how far gradients flow, follows BVLC Caffe 1.0 (``Net::Init``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from protonet.blob import Blob, Shape
from protonet.errors import DataError, GraphError, ProtonetError, ShapeError, did_you_mean
from protonet.forks.known import known_by
from protonet.graph import BlobRef, Graph, GraphLayer
from protonet.layer import Count, Layer
from protonet.layers import layer_types
from protonet.schema import extra


@dataclass
class Step:
    """One layer with its blobs, ready to run.

    Attributes:
        layer: the layer object.
        node: its place in the graph.
        bottom, top: its blobs. In-place layers have the same object in both.
        propagate_down: for each bottom, whether its gradient is computed.
        backward: whether the layer takes part in the backward pass.
        seen: shapes of the bottoms at the last reshape.
        trouble: in a tolerant plan, why the shapes of its tops are not known; else "".
    """

    layer: Layer
    node: GraphLayer
    bottom: list[Blob]
    top: list[Blob]
    propagate_down: list[bool]
    backward: bool = False
    seen: list[Shape] = field(default_factory=list)
    trouble: str = ""


@dataclass
class Param:
    """One parameter blob of one layer.

    Attributes:
        blob: the layer's blob.
        layer: name of the layer.
        index: which of the layer's blobs it is.
        owner: index in ``Plan.params`` of the parameter whose storage it uses; its own if it is
            not shared.
        lr_mult, decay_mult: the multipliers of learning rate and weight decay.
        explicit: which of the two the file gives; layers that share must agree on those.
        filler: FillerParameter message, or None.
    """

    blob: Blob
    layer: str
    index: int
    owner: int
    lr_mult: float
    decay_mult: float
    filler: Any
    explicit: set[str] = field(default_factory=set)


@dataclass
class Plan:
    """A net with all its shapes.

    Attributes:
        steps: in order of execution.
        blobs: by name, the latest version of each.
        params: all parameter blobs in order of the layers.
        assumed: for each source that could not be opened, what was assumed instead; in a plan
            to look at also which fields only a fork knows.
    """

    graph: Graph
    steps: list[Step]
    blobs: dict[str, Blob]
    params: list[Param]
    assumed: list[str]

    def learnable(self) -> list[Param]:
        """Return the parameters that own their storage, in Caffe's order."""
        return [p for i, p in enumerate(self.params) if p.owner == i]


def build_plan(
    graph: Graph,
    shapes: Mapping[str, Shape] | None = None,
    *,
    static: bool = False,
    tolerant: bool = False,
) -> Plan:
    """Work out shapes, storage and gradients of a graph.

    Args:
        graph: from ``build_graph``.
        shapes: shapes of blobs of data layers or Input layers, instead of what their source or
            file says.
        static: when a source cannot be opened, take its shape from the layer's parameters where
            they tell enough, and note that in ``Plan.assumed``.
        tolerant: for diagrams, which show nets that cannot run: a layer of unknown type, or one
            that does not fit, becomes a step that says why (``Step.trouble``); shapes behind it
            are unknown, everything else is worked out.

    What only a fork of Caffe knows, unknown types and fields, stops a plan to be run; one that is
    static goes on as a tolerant one would, with a note on each kind of field in ``Plan.assumed``.

    Raises, unless tolerant:
        GraphError: an unknown layer type, or numbers of bottoms, tops, loss weights or ``param``
            entries that do not fit the type.
        ShapeError: shapes that do not fit.
        DataError: a source that cannot be opened.
        PrototxtError: a field, or an enum's value, that the schema does not have.
    """
    return _Planner(graph, dict(shapes or {}), static, tolerant).run()


class _Planner:
    def __init__(
        self, graph: Graph, shapes: dict[str, Shape], static: bool, tolerant: bool
    ) -> None:
        self.plan = Plan(graph, [], {}, [], [])
        self.shapes = shapes
        self.static = static
        self.tolerant = tolerant
        self.runs = not (static or tolerant)
        self.shapeless: set[BlobRef] = set()
        self.storage: dict[BlobRef, Blob] = {}
        self.need: dict[BlobRef, bool] = {}
        self.named: dict[str, int] = {}

    def run(self) -> Plan:
        graph = self.plan.graph
        if not self.runs:
            self.plan.assumed += graph.notes
        for node in graph.layers:
            if self.tolerant or self._is_shown_only(node):
                self._add_or_say_why(node)
            else:
                self._add(node)
        unknown = set(self.shapes) - set(self.plan.blobs)
        if unknown:
            name = min(unknown)
            hint = did_you_mean(name, set(self.plan.blobs))
            raise ShapeError(f"a shape was given for blob '{name}', which is not in the net{hint}")
        self._prune_backward()
        if graph.force_backward:
            self._force_backward()
        return self.plan

    def _is_shown_only(self, node: GraphLayer) -> bool:
        """Whether, in a plan to look at, a layer has an unknown type or comes after one."""
        if not self.static:
            return False
        return node.type not in layer_types() or not self.shapeless.isdisjoint(node.bottoms)

    # --- one layer -------------------------------------------------------------------------
    def _add_or_say_why(self, node: GraphLayer) -> None:
        """Add a layer; where it cannot be planned, a step in its place that tells the trouble."""
        hidden = [ref.name for ref in node.bottoms if ref in self.shapeless]
        cls = layer_types().get(node.type)
        if hidden and cls is not None:
            trouble = f"the shape of its bottom '{hidden[0]}' is not known"
        else:
            before = len(self.plan.params)
            try:
                return self._add(node)
            except Exception as error:
                if node.type != "Python" and not isinstance(error, ProtonetError):
                    raise  # only a user's own layer may raise what it likes
                del self.plan.params[before:]
                trouble = str(error)
        where = self.plan.graph.where(node)
        layer = (cls or Layer)(node.param, self.plan.graph.phase, where)
        weights = list(node.param.loss_weight) or [float(layer.is_loss), *[0.0] * len(node.tops)]
        layer.loss_weights = weights[: max(1, len(node.tops))]
        # what it does to gradients is unknown too: taken to pass them on and to learn
        propagate = [self.need[ref] for ref in node.bottoms]
        top = [Blob() for _ in node.tops]
        for ref, blob in zip(node.tops, top, strict=True):
            self.storage[ref] = self.plan.blobs[ref.name] = blob
            self.need[ref] = bool(node.bottoms)
        self.shapeless.update(node.tops)
        if cls is None and not self.tolerant:
            self.plan.assumed.append(trouble)
        bottom = [self.storage[ref] for ref in node.bottoms]
        needed = bool(node.bottoms)
        self.plan.steps.append(Step(layer, node, bottom, top, propagate, needed, trouble=trouble))

    def _add(self, node: GraphLayer) -> None:
        graph = self.plan.graph
        where = graph.where(node)
        cls = layer_types().get(node.type)
        if self.runs:
            # types that users or forks brought along have options of their own
            known = cls is None or cls.__module__.startswith("protonet.layers.")
            extra.refuse(node.param, graph.path, "" if known and cls else "_param")
        if cls is None:
            raise GraphError(f"{where}layer '{node.name}': {_unknown_type(node.type, self.runs)}")
        phase = node.param.phase if node.param.HasField("phase") else graph.phase
        layer = cls(node.param, phase, where)
        _check_count(layer, "bottom", cls.bottoms, len(node.bottoms))
        bottom = [self.storage[ref] for ref in node.bottoms]
        top = [self._top(layer, node, i, bottom) for i in range(len(node.tops))]
        if layer.auto_tops:
            # a loss without a named top still counts: give it one that no name leads to
            top += [Blob() for _ in range(_least(cls.tops) - len(top))]
        _check_count(layer, "top", cls.tops, len(top))
        if cls.equal_counts and len(bottom) != len(top):
            raise layer.error(
                f"expected as many tops as bottoms, got {len(bottom)} bottoms and {len(top)} tops",
                GraphError,
            )
        self._shape(layer, node, bottom, top)
        layer.loss_weights = _loss_weights(layer, len(top))
        trainable = self._add_params(layer)
        propagate = list(node.param.propagate_down) or [self.need[ref] for ref in node.bottoms]
        needed = any(propagate) or trainable
        for ref, blob in zip(node.tops, top, strict=False):
            self.storage[ref] = blob
            self.need[ref] = needed
            self.plan.blobs[ref.name] = blob
        step = Step(layer, node, bottom, top, propagate, needed, [b.shape for b in bottom])
        self.plan.steps.append(step)

    def _top(self, layer: Layer, node: GraphLayer, i: int, bottom: list[Blob]) -> Blob:
        ref = node.tops[i]
        if i < len(bottom) and node.bottoms[i].name == ref.name and layer.in_place:
            return bottom[i]
        return Blob()

    def _shape(self, layer: Layer, node: GraphLayer, bottom: list[Blob], top: list[Blob]) -> None:
        given = [self.shapes.get(ref.name) for ref in node.tops]
        if not node.bottoms and any(given):
            if not all(given):
                missing = [r.name for r, s in zip(node.tops, given, strict=True) if not s]
                raise layer.error(f"expected a shape for each of its tops, none for {missing}")
            for blob, shape in zip(top, given, strict=True):
                blob.reshape(*shape)  # type: ignore[misc]
            return
        try:
            layer.setup(bottom, top)
            layer.reshape(bottom, top)
        except DataError as error:
            shape = _shape_from_params(layer) if self.static else None
            if shape is None:
                raise
            top[0].reshape(*shape)
            for label in top[1:]:
                label.reshape(shape[0])
            self.plan.assumed.append(f"{error}; assumed {node.tops[0].name} of shape {shape}")
        except ValueError as error:  # from Blob.reshape: too large, or negative
            if layer.type == "Python":
                raise  # the user's own, which names the layer already
            raise layer.error(str(error)) from None

    def _add_params(self, layer: Layer) -> bool:
        """Register the layer's parameters, shared ones with their owner. Whether any learns."""
        specs = list(layer.param.param)
        if len(specs) > len(layer.blobs):
            raise layer.error(
                f"expected at most {len(layer.blobs)} param entries, as many as it has parameter "
                f"blobs, got {len(specs)}",
                GraphError,
            )
        params = self.plan.params
        for i, blob in enumerate(layer.blobs):
            spec = specs[i] if i < len(specs) else None
            owner = len(params)
            lr_mult = spec.lr_mult if spec is not None else 1.0
            if not layer.learned:
                lr_mult = 0.0
            decay_mult = spec.decay_mult if spec is not None else 1.0
            if spec is not None and spec.name:
                owner = self.named.setdefault(spec.name, owner)
                if owner != len(params):
                    self._share(layer, i, spec, params[owner])
                    lr_mult, decay_mult = params[owner].lr_mult, params[owner].decay_mult
            filler = layer.fillers[i] if i < len(layer.fillers) else None
            explicit = {
                n for n in ("lr_mult", "decay_mult") if spec is not None and spec.HasField(n)
            }
            params.append(Param(blob, layer.name, i, owner, lr_mult, decay_mult, filler, explicit))
            layer.param_propagate_down.append(lr_mult != 0)
        return any(layer.param_propagate_down)

    def _share(self, layer: Layer, i: int, spec: Any, owner: Param) -> None:
        mine, theirs = layer.blobs[i], owner.blob
        permissive = spec.share_mode == type(spec).PERMISSIVE
        fits = mine.count == theirs.count if permissive else mine.shape == theirs.shape
        if not fits:
            raise layer.error(
                f"parameter '{spec.name}' is shared with layer '{owner.layer}': expected "
                f"{'as many values as' if permissive else 'the shape'} {theirs.shape}, "
                f"got {mine.shape}"
            )
        for name in ("lr_mult", "decay_mult"):
            if not spec.HasField(name):
                continue
            asked, have = getattr(spec, name), getattr(owner, name)
            if name in owner.explicit and asked != have:
                raise layer.error(
                    f"shared parameter '{spec.name}' has {name} {asked:g} here and {have:g} in "
                    f"layer '{owner.layer}'",
                    GraphError,
                )
            setattr(owner, name, asked)
            owner.explicit.add(name)

    # --- how far gradients flow ------------------------------------------------------------
    def _prune_backward(self) -> None:
        """Skip layers that no loss depends on, and gradients that no parameter needs."""
        under_loss: set[BlobRef] = set()
        skipped: set[BlobRef] = set()
        for step in reversed(self.plan.steps):
            tops = step.node.tops
            in_loss = any(step.layer.loss_weights) or not under_loss.isdisjoint(tops)
            unneeded = len(step.top) == len(tops) and skipped.issuperset(tops)
            if step.backward and unneeded:
                step.propagate_down = [False] * len(step.bottom)
            step.backward = step.backward and in_loss and not unneeded
            for i, ref in enumerate(step.node.bottoms):
                if in_loss:
                    under_loss.add(ref)
                else:
                    step.propagate_down[i] = False
                if not step.propagate_down[i]:
                    skipped.add(ref)

    def _force_backward(self) -> None:
        for step in self.plan.steps:
            step.backward = True
            barred = step.layer.not_differentiable
            step.propagate_down = [p or i not in barred for i, p in enumerate(step.propagate_down)]
            step.layer.param_propagate_down = [True] * len(step.layer.blobs)


def _unknown_type(name: str, in_full: bool) -> str:
    """Return what an error says of a layer type that is not known, and what is, if ``in_full``."""
    known = set(layer_types())
    hint = known_by(name) or did_you_mean(name, known)
    if in_full and not hint:
        hint = "; known types: " + ", ".join(sorted(known))
    return f"unknown layer type '{name}'{hint}"


def _least(count: Count) -> int:
    return count if isinstance(count, int) else count[0]


def _check_count(layer: Layer, what: str, allowed: Count, got: int) -> None:
    least, most = (allowed, allowed) if isinstance(allowed, int) else allowed
    if got < least or (most is not None and got > most):
        if most is None:
            text = f"at least {least}"
        else:
            text = str(least) if least == most else f"{least} to {most}"
        plural = "" if text == "1" else "s"
        raise layer.error(f"expected {text} {what}{plural}, got {got}", GraphError)


def _loss_weights(layer: Layer, tops: int) -> list[float]:
    """Return the weight in the loss of each top: 1 for the first of a loss layer by default."""
    given = list(layer.param.loss_weight)
    if given and len(given) != tops:
        raise layer.error(
            f"expected loss_weight for each of {tops} tops, got {len(given)}", GraphError
        )
    if given:
        return given
    return [1.0 if layer.is_loss and i == 0 else 0.0 for i in range(tops)]


def _shape_from_params(layer: Layer) -> Shape | None:
    """Return (N, C, crop, crop) from a data layer's parameters, or None if they do not tell."""
    crop = layer.param.transform_param.crop_size
    means = len(layer.param.transform_param.mean_value)
    for name in ("data_param", "image_data_param", "window_data_param"):
        if layer.param.HasField(name):
            batch = getattr(layer.param, name).batch_size
            return (batch, means if means > 1 else 3, crop, crop) if crop and batch else None
    return None
