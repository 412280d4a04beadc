"""What the rules share: one pass over all parameters, with regularization on the way.

A rule's kernel has the signature ``RULE_1`` or ``RULE_2`` (one or two arrays of history)::

    def rule(data, diff, history, bounds, rates, decays, numbers, l1, lo, hi): ...

all arrays flat; segment s covers ``bounds[s]:bounds[s + 1]`` and has its own rate and decay;
``numbers[0]`` is 1 / iter_size, the rule's own numbers follow; lo and hi are its part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from protonet.kernels import threads
from protonet.kernels.jit import Kernel, kernel
from protonet.kernels.update import GRAIN

if TYPE_CHECKING:
    from protonet.solvers.solver import Solver

_TAIL = "int64[::1], float32[::1], float32[::1], float32[::1], boolean, int64, int64)"
RULE_1 = f"void(float32[::1], float32[::1], float32[::1], {_TAIL}"
RULE_2 = f"void(float32[::1], float32[::1], float32[::1], float32[::1], {_TAIL}"


@kernel("inline")
def gradient(diff: Any, normalize: Any, w: Any, decay: Any, l1: bool) -> Any:
    """Return the averaged gradient plus decay times w (L2) or its sign (L1)."""
    direction = np.float32(w > 0) - np.float32(w < 0) if l1 else w
    return diff * normalize + decay * direction


def run_rule(solver: Solver, rule: Kernel, rate: float, numbers: Sequence[float] = ()) -> None:
    """Run a rule's kernel over the parameters of a solver's net."""
    net, param = solver.net, solver.param
    arguments = (
        net.param_data,
        net.param_diff,
        *solver.history_arenas,
        solver.bounds,
        solver.local_rates(rate),
        solver.local_decays,
        np.array([1.0 / param.iter_size, *numbers], np.float32),
        param.regularization_type == "L1",
    )
    threads.share(rule, net.param_data.size, *arguments, grain=GRAIN)
