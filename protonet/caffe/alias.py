"""Make ``import caffe`` find this package."""

from __future__ import annotations

import importlib
import importlib.util
import sys

_MODULES = (
    "_caffe",
    "classifier",
    "coord_map",
    "detector",
    "draw",
    "io",
    "net_spec",
    "proto",
    "proto.caffe_pb2",
    "pycaffe",
)


def install() -> None:
    """Let ``import caffe`` and ``import caffe.io`` and the like mean protonet.caffe from now on.

    Raises:
        ImportError: another ``caffe`` was imported before.
    """
    ours = importlib.import_module("protonet.caffe")
    there = sys.modules.get("caffe", ours)
    if there is not ours:
        raise ImportError(f"another caffe is imported already: {there}")
    sys.modules["caffe"] = ours
    for name in _MODULES:
        sys.modules[f"caffe.{name}"] = importlib.import_module(f"protonet.caffe.{name}")


def offer() -> None:
    """Install, unless the user has a ``caffe`` of another kind."""
    if "caffe" in sys.modules:
        return
    spec = importlib.util.find_spec("caffe")
    if spec is None or spec.origin is None:  # a folder that happens to have the name has none
        install()
