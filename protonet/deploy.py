"""A training net made fit for use: images go in by hand, scores come out, no label is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from protonet.blob import Shape
from protonet.errors import GraphError
from protonet.graph import GraphLayer, build_graph
from protonet.layer import TEST
from protonet.layers import layer_types
from protonet.plan import build_plan
from protonet.schema.read import NetSource

# What is left of a loss when there are no labels: the scores that it judges.
_SCORES = {
    "SoftmaxWithLoss": ("Softmax", "softmax_param"),
    "SigmoidCrossEntropyLoss": ("Sigmoid", "sigmoid_param"),
}


@dataclass
class Deployed:
    """A net to be used.

    Attributes:
        source: the net; it has an Input layer.
        data_layer: the layer whose images the net was made for, None if it had an Input layer.
        line: the line of that layer.
    """

    source: NetSource
    data_layer: Any
    line: int


def deployed(source: NetSource) -> Deployed:
    """Return the TEST phase of a net with an Input layer in place of its data layer.

    Layers that need labels are left out; of a softmax or sigmoid loss the scores stay. A net
    that has an Input layer is returned as it is.

    Raises:
        GraphError: no layer makes images.
        DataError: neither a source nor the file tells the shape of the images.
    """
    graph = build_graph(source, TEST)
    if graph.inputs:
        return Deployed(source, None, 0)
    types = layer_types()
    data = next((la for la in graph.layers if la.type in types and types[la.type].is_data), None)
    if data is None or not data.tops:
        raise GraphError(f"{source.path}: expected a net with an Input or a data layer, found none")
    plan = build_plan(graph, static=True)
    message = type(source.message)(name=source.message.name)
    message.layer.append(_input(data, plan.blobs[data.tops[0].name].shape))
    lines = [data.line]
    labels = set(data.param.top[1:])
    for layer in graph.layers:
        if layer is data or layer.inserted:
            continue
        if layer.type in _SCORES and layer.param.bottom[0] not in labels:
            message.layer.append(_scores(layer))
        elif not labels.isdisjoint(layer.param.bottom) or not layer.bottoms:
            labels.update(layer.param.top)
            continue
        else:
            message.layer.add().CopyFrom(layer.param)
        lines.append(layer.line)
    return Deployed(NetSource(message, source.path, lines), data.param, data.line)


def _input(data: GraphLayer, shape: Shape) -> Any:
    layer = type(data.param)(name=data.name, type="Input", top=data.param.top[:1])
    layer.input_param.shape.add(dim=(1, *shape[1:]))
    return layer


def _scores(loss: GraphLayer) -> Any:
    kind, options = _SCORES[loss.type]
    param = loss.param
    layer = type(param)(name=param.name, type=kind, bottom=param.bottom[:1])
    layer.top.append(param.top[0] if param.top else param.name)
    if param.HasField(options):
        getattr(layer, options).CopyFrom(getattr(param, options))
    return layer
