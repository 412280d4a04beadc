"""pycaffe's names: ``import protonet.caffe as caffe``."""

from __future__ import annotations

import os
from typing import Any

from protonet import net as _net
from protonet import solvers as _solvers
from protonet.layer import TEST, TRAIN
from protonet.layers import layer_types
from protonet.random import set_random_seed

__all__ = [
    "TEST",
    "TRAIN",
    "Net",
    "SGDSolver",
    "get_solver",
    "layer_type_list",
    "set_mode_cpu",
    "set_random_seed",
]

_Path = str | os.PathLike[str]


class Net(_net.Net):
    """A net, with pycaffe's arguments: ``Net(file, phase)`` or ``Net(file, weights, phase)``."""

    def __init__(self, file: _Path, *args: Any, **options: Any) -> None:
        if len(args) == 2:
            options["weights"], options["phase"] = args
        elif args:
            options["phase"] = args[0]
        super().__init__(file, **options)


def get_solver(file: _Path) -> _solvers.Solver:
    """Return the solver that a solver prototxt asks for."""
    return _solvers.get_solver(file)


def SGDSolver(file: _Path) -> _solvers.Solver:  # noqa: N802 - pycaffe's name
    """Return an SGD solver for a solver prototxt, whatever type it names."""
    from protonet.schema.read import read_solver

    source = read_solver(file)
    source.message.type = "SGD"
    return _solvers.get_solver(source)


def layer_type_list() -> list[str]:
    """Return the names of all layer types."""
    return sorted(layer_types())


def set_mode_cpu() -> None:
    """Do nothing: protonet always computes on the CPU."""
