"""From a net that is trained to the net that is used: Input for data, scores for losses.

As those who published Caffe models did by hand: the weights of the one fit the other, since layers
keep their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from protonet.blob import Shape
from protonet.errors import DataError, GraphError, ShapeError, did_you_mean
from protonet.graph import Graph, build_graph, included, place
from protonet.layer import TEST, TRAIN
from protonet.layers import layer_types
from protonet.plan import build_plan
from protonet.schema import caffe_pb2 as pb
from protonet.supervise import ancestors, is_loss, main_loss, strip

# What turns the scores that a loss judges into what it reads them as.
_READINGS = {
    "SoftmaxWithLoss": "Softmax",
    "SigmoidCrossEntropyLoss": "Sigmoid",
}
_PAIRS = frozenset(["ContrastiveLoss"])  # both bottoms are the net's own


def deploy(source: Any, batch: int = 1, shapes: Mapping[str, Shape] | None = None) -> Any:
    """Return the deploy net of a training net: a NetParameter.

    Companion losses go with their side heads, data layers become Input layers, the main loss
    becomes the Softmax or Sigmoid in it, ``prob``, or goes. So do fillers, multipliers and rules
    of phases, and what only serves a loss or a score.

    Args:
        source: what ``schema.read_net`` returns; it is left as it is.
        batch: the first axis of the inputs.
        shapes: shapes of data blobs by name, where their sources cannot tell.

    Raises:
        GraphError: the net has no loss, or does not form a net.
        DataError: the shape of an input is not known.
    """
    stripped, _ = strip(source)
    state = stripped.state
    wanted = frozenset(state.stage)
    of_phase = {
        phase: [la for la in stripped.layer if included(la, phase, state.level, wanted)]
        for phase in (TRAIN, TEST)
    }
    main = main_loss(of_phase[TEST]) or main_loss(of_phase[TRAIN])
    if main is None:
        raise GraphError(
            f"{place(source.path, 0)}the net has no loss that says what its scores are"
        )
    scored = list(main.bottom[:2] if main.type in _PAIRS else main.bottom[:1])
    layers = [la for la in of_phase[TEST] if not is_loss(la) and la.type != "Accuracy"]
    needed = ancestors(layers, scored)
    fed = [top for la in layers if _is_data(la) for top in la.top if top in needed]
    if not fed:
        raise GraphError(f"{place(source.path, 0)}the net has no data layer to feed it by")
    known = _shapes(source, fed, dict(shapes or {}))
    net = pb.NetParameter(name=stripped.name)
    for blob in fed:
        layer = net.layer.add(name=blob, type="Input", top=[blob])
        layer.input_param.shape.add().dim.extend([batch, *known[blob][1:]])
    for layer in layers:
        if not _is_data(layer) and not needed.isdisjoint(layer.top):
            net.layer.add().CopyFrom(_bare(layer))
    _read_scores(net, main, layers)
    return net


def _is_data(layer: Any) -> bool:
    cls = layer_types().get(layer.type)
    return not layer.bottom and (layer.type == "Input" or (cls is not None and cls.is_data))


def _read_scores(net: Any, main: Any, layers: list[Any]) -> None:
    reading = _READINGS.get(main.type)
    if reading is None:
        return
    own = [la for la in layers if la.type == reading and list(la.bottom) == list(main.bottom[:1])]
    if own:
        # the file has such a layer of its own, for tests
        if all(la.name != own[0].name for la in net.layer):
            net.layer.add().CopyFrom(_bare(own[0]))
        return
    name = "prob"
    taken = {la.name for la in net.layer} | {top for la in net.layer for top in la.top}
    while name in taken:
        name += "_"
    layer = net.layer.add(name=name, type=reading, bottom=main.bottom[:1], top=[name])
    if reading == "Softmax" and main.HasField("softmax_param"):
        layer.softmax_param.CopyFrom(main.softmax_param)


def _bare(layer: Any) -> Any:
    """Return a copy of a layer without what only training and phases need."""
    bare = pb.LayerParameter()
    bare.CopyFrom(layer)
    for field in ("phase", "include", "exclude", "loss_weight", "propagate_down", "blobs"):
        bare.ClearField(field)
    for spec in bare.param:
        for field in ("lr_mult", "decay_mult"):
            spec.ClearField(field)
    if not any(spec.ByteSize() for spec in bare.param):
        bare.ClearField("param")
    for field, settings in bare.ListFields():
        if field.message_type is not None and not field.is_repeated:
            for inner, _ in settings.ListFields():
                if inner.name.endswith("filler") and field.name != "dummy_data_param":
                    settings.ClearField(inner.name)
    return bare


def _shapes(source: Any, blobs: list[str], given: dict[str, Shape]) -> dict[str, Shape]:
    """Return the shape of each blob: as given, or as a data layer of one phase knows it."""
    for name in given:
        if name not in blobs:
            hint = did_you_mean(name, set(blobs)) or f"; its inputs: {', '.join(blobs)}"
            raise ShapeError(f"a shape was given for '{name}', which is no input{hint}")
    found = dict(given)
    trouble = ""
    for phase in (TEST, TRAIN):
        missing = [blob for blob in blobs if blob not in found]
        if not missing:
            break
        try:
            graph = build_graph(source, phase)
            plan = build_plan(graph, _with_labels(graph, given), static=True)
        except DataError as error:
            trouble = trouble or str(error)
            continue
        found.update((b, plan.blobs[b].shape) for b in missing if b in plan.blobs)
    unknown = [blob for blob in blobs if blob not in found]
    if unknown:
        raise DataError(f"{trouble}; or say the shape: --shape {unknown[0]}=1,3,224,224")
    return found


def _with_labels(graph: Graph, given: dict[str, Shape]) -> dict[str, Shape]:
    """Return the shapes given, and for the other tops of those data layers one value a record."""
    shapes: dict[str, Shape] = {}
    for layer in graph.layers:
        names = [ref.name for ref in layer.tops]
        batch = next((given[name][0] for name in names if name in given), 0)
        if batch and not layer.bottoms:
            shapes.update((name, given.get(name, (batch,))) for name in names)
    return shapes


def usable(source: Any) -> Any:
    """Return a net whose inputs a program can fill: itself if it has any, or its deploy net.

    Args:
        source: what ``schema.read_net`` returns.

    Raises:
        GraphError, DataError: as :func:`deploy`.
    """
    if build_graph(source, TEST).inputs:
        return source
    message = deploy(source)
    return type(source)(message, source.path, [0] * len(message.layer))
