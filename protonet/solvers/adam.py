"""Adam: running means of the gradient and of its square, corrected for their start at zero.

m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,
w ← w − lr·(√(1 − β₂ᵗ) / (1 − β₁ᵗ))·m / (√v + δ)

D. Kingma, J. Ba, "Adam: a method for stochastic optimization" (ICLR 2015); as BVLC Caffe 1.0,
where ``momentum`` is β₁, ``momentum2`` β₂, and t counts iterations from 1. All of m come before
all of v in the history.
"""

from __future__ import annotations

import math
from typing import Any

from protonet.blob import Array
from protonet.kernels.jit import kernel
from protonet.solvers.arena import RULE_2, gradient, run_rule
from protonet.solvers.solver import Solver, register_rule


@kernel(RULE_2, shared=True)
def _adam(
    data: Array, diff: Array, means: Array, squares: Array, bounds: Any, rates: Array,
    decays: Array, numbers: Array, l1: bool, lo: int, hi: int,
) -> None:  # fmt: skip
    normalize, beta1, rest1, beta2, rest2, delta = numbers
    for s in range(rates.size):
        rate, decay = rates[s], decays[s]
        for i in range(max(lo, bounds[s]), min(hi, bounds[s + 1])):
            g = gradient(diff[i], normalize, data[i], decay, l1)
            means[i] = beta1 * means[i] + rest1 * g
            squares[i] = beta2 * squares[i] + rest2 * (g * g)
            step = rate * means[i] / (math.sqrt(squares[i]) + delta)
            diff[i] = step
            data[i] -= step


@register_rule("Adam")
class Adam(Solver):
    """See the module's docstring."""

    history_per_param = 2

    def compute_update(self, rate: float) -> None:
        beta1, beta2 = self.param.momentum, self.param.momentum2
        t = self.iter + 1
        correction = math.sqrt(1 - beta2**t) / (1 - beta1**t)
        numbers = [beta1, 1 - beta1, beta2, 1 - beta2, self.param.delta]
        run_rule(self, _adam, rate * correction, numbers)
