"""Solvers: the step loop, one file per rule, learning-rate policies, snapshots.

Rules are discovered like layers: a module here that registers a class makes its type known.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from typing import Any

from protonet.errors import PrototxtError, did_you_mean
from protonet.solvers.solver import RULES, Solver

__all__ = ["Solver", "get_solver", "rule_of", "solver_types"]


def solver_types() -> dict[str, type[Solver]]:
    """Return all known solver classes by Caffe's type name."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return RULES


def rule_of(source: Any) -> type[Solver]:
    """Return the solver class that a solver asks for.

    Raises:
        PrototxtError: an unknown type.
    """
    known = solver_types()
    name = source.message.type or "SGD"
    if name not in known:
        place = source.path and f"{source.path}:{source.field_lines.get('type', 1)}: "
        hint = did_you_mean(name, set(known)) or "; known types: " + ", ".join(sorted(known))
        raise PrototxtError(f"{place}unknown solver type '{name}'{hint}")
    return known[name]


def get_solver(source: Any, **options: Any) -> Solver:
    """Return the solver that a solver prototxt asks for.

    Args:
        source: path of a solver prototxt, or what ``schema.read_solver`` returns.
        options: further arguments of ``Solver``.

    Raises:
        ProtonetError: whatever is wrong with the solver, its nets or their sources.
    """
    if isinstance(source, str | os.PathLike):
        from protonet.schema.read import read_solver

        source = read_solver(source)
    return rule_of(source)(source, **options)
