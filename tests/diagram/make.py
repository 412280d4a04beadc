"""Nets to diagrams, for the tests."""

from __future__ import annotations

from protonet.diagram.drawing import plan_for_drawing
from protonet.diagram.model import build_diagram
from protonet.layer import TRAIN
from protonet.schema.read import parse_net


def diagram(text, phase=TRAIN, shapes=None):
    """Return the diagram of a net given as prototxt."""
    source = parse_net(text, "net.prototxt")
    return build_diagram(plan_for_drawing(source, phase, None, (), shapes or {}))


def node(diagram, name):
    """Return the node of a layer."""
    return next(node for node in diagram.nodes if node.name == name)


def lines(diagram):
    """Return (from, to, blob) of every edge, by layer names."""
    nodes = diagram.nodes
    return [(nodes[e.source].name, nodes[e.target].name, e.blob) for e in diagram.edges]
