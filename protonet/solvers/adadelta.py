"""AdaDelta: steps in the units of the parameters, from two running means of squares.

h ← μ h + (1 − μ) g²,  u = g·√((δ + k) / (δ + h)),  k ← μ k + (1 − μ) u²,  w ← w − lr·u

M. Zeiler, "ADADELTA: an adaptive learning rate method" (arXiv 1212.5701); as BVLC Caffe 1.0,
where ``momentum`` is μ. All of h come before all of k in the history.
"""

from __future__ import annotations

import math
from typing import Any

from protonet.blob import Array
from protonet.kernels.jit import kernel
from protonet.solvers.arena import RULE_2, gradient, run_rule
from protonet.solvers.solver import Solver, register_rule


@kernel(RULE_2, shared=True)
def _adadelta(
    data: Array, diff: Array, squares: Array, steps: Array, bounds: Any, rates: Array,
    decays: Array, numbers: Array, l1: bool, lo: int, hi: int,
) -> None:  # fmt: skip
    normalize, mu, rest, delta = numbers[0], numbers[1], numbers[2], numbers[3]
    for s in range(rates.size):
        rate, decay = rates[s], decays[s]
        for i in range(max(lo, bounds[s]), min(hi, bounds[s + 1])):
            g = gradient(diff[i], normalize, data[i], decay, l1)
            squares[i] = mu * squares[i] + rest * (g * g)
            u = g * math.sqrt((delta + steps[i]) / (delta + squares[i]))
            steps[i] = mu * steps[i] + rest * (u * u)
            step = rate * u
            diff[i] = step
            data[i] -= step


@register_rule("AdaDelta")
class AdaDelta(Solver):
    """See the module's docstring."""

    history_per_param = 2

    def compute_update(self, rate: float) -> None:
        mu = self.param.momentum
        run_rule(self, _adadelta, rate, [mu, 1 - mu, self.param.delta])
