"""Learning rates: Caffe's seven policies, as functions of the iteration.

With base_lr b, gamma g, power p and the current step s:

========== ==========================================================
fixed      b
step       b · g^floor(iter / stepsize)
exp        b · g^iter
inv        b · (1 + g · iter)^(−p)
multistep  b · g^s, s counts the stepvalues reached
poly       b · (1 − iter / max_iter)^p
sigmoid    b / (1 + exp(−g · (iter − stepsize)))
========== ==========================================================

As BVLC Caffe 1.0 (``SGDSolver::GetLearningRate``), to float32 rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from protonet.errors import PrototxtError, did_you_mean

Rate = Callable[[Any, int], float]

# Which fields a policy cannot do without: a positive stepsize, a non-negative gamma.
_POLICIES: dict[str, tuple[Rate, tuple[str, ...]]] = {
    "fixed": (lambda s, i: s.base_lr, ()),
    "step": (lambda s, i: s.base_lr * s.gamma ** (i // s.stepsize), ("gamma", "stepsize")),
    "exp": (lambda s, i: s.base_lr * s.gamma**i, ("gamma",)),
    "inv": (lambda s, i: s.base_lr * (1 + s.gamma * i) ** -s.power, ("gamma",)),
    "multistep": (lambda s, i: s.base_lr * s.gamma ** current_step(s, i), ("gamma",)),
    "poly": (lambda s, i: s.base_lr * (1 - i / s.max_iter) ** s.power, ("max_iter",)),
    "sigmoid": (
        lambda s, i: s.base_lr / (1 + math.exp(-s.gamma * (i - s.stepsize))),
        ("gamma", "stepsize"),
    ),
}


def check_policy(solver: Any) -> None:
    """Raise PrototxtError (without a place) when lr_policy or its fields make no rate."""
    policy = solver.lr_policy
    if policy not in _POLICIES:
        known = ", ".join(_POLICIES)
        hint = did_you_mean(policy, set(_POLICIES)) or f"; expected one of {known}"
        raise PrototxtError(f"unknown lr_policy '{policy}'{hint}")
    for name in _POLICIES[policy][1]:
        value = getattr(solver, name)
        if value < 0 or (name != "gamma" and value == 0):
            least = "0 or more" if name == "gamma" else "more than 0"
            raise PrototxtError(f"lr_policy '{policy}': expected {name} {least}, got {value:g}")


def learning_rate(solver: Any, iteration: int) -> float:
    """Return the float32 rate of an iteration (from 0) for a SolverParameter message."""
    try:
        rate = _POLICIES[solver.lr_policy][0](solver, iteration)
    except OverflowError:
        # exp of a large number in the sigmoid: the rate itself vanishes
        rate = 0.0 if solver.lr_policy == "sigmoid" else math.inf
    return float(np.float32(rate))


def current_step(solver: Any, iteration: int) -> int:
    """Return how many steps of the policy lie behind an iteration, as a solver state keeps it."""
    if solver.lr_policy == "step":
        return int(iteration // solver.stepsize)
    if solver.lr_policy == "multistep":
        return sum(iteration >= value for value in solver.stepvalue)
    return 0
