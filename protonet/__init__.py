"""protonet: an interpreter for Caffe's files.

The names below are all there is at the top; they load what they need when first used::

    net = protonet.Net("models/lenet.prototxt", protonet.TRAIN)
    solver = protonet.get_solver("solver.prototxt")
    solver.step(100)
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Blob": "protonet.blob",
    "Layer": "protonet.layer",
    "Net": "protonet.net",
    "Solver": "protonet.solvers",
    "TEST": "protonet.layer",
    "TRAIN": "protonet.layer",
    "DataError": "protonet.errors",
    "GraphError": "protonet.errors",
    "OutputError": "protonet.errors",
    "ProtonetError": "protonet.errors",
    "PrototxtError": "protonet.errors",
    "ShapeError": "protonet.errors",
    "SnapshotError": "protonet.errors",
    "draw": "protonet.diagram.drawing",
    "get_solver": "protonet.solvers",
    "register": "protonet.layer",
    "set_random_seed": "protonet.random",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'protonet' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
