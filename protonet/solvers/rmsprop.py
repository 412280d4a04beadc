"""RMSProp: the gradient divided by a running root mean square of itself.

h ← ρ h + (1 − ρ) g²,  w ← w − lr·g / (√h + δ),  ρ = rms_decay

T. Tieleman, G. Hinton, "RMSProp", Neural Networks for Machine Learning, lecture 6 (2012); as
BVLC Caffe 1.0.
"""

from __future__ import annotations

import math
from typing import Any

from protonet.blob import Array
from protonet.kernels.jit import kernel
from protonet.solvers.arena import RULE_1, gradient, run_rule
from protonet.solvers.solver import Solver, register_rule


@kernel(RULE_1, shared=True)
def _rmsprop(
    data: Array, diff: Array, history: Array, bounds: Any, rates: Array, decays: Array,
    numbers: Array, l1: bool, lo: int, hi: int,
) -> None:  # fmt: skip
    normalize, rho, rest, delta = numbers[0], numbers[1], numbers[2], numbers[3]
    for s in range(rates.size):
        rate, decay = rates[s], decays[s]
        for i in range(max(lo, bounds[s]), min(hi, bounds[s + 1])):
            g = gradient(diff[i], normalize, data[i], decay, l1)
            history[i] = rho * history[i] + rest * (g * g)
            step = rate * g / (math.sqrt(history[i]) + delta)
            diff[i] = step
            data[i] -= step


@register_rule("RMSProp")
class RMSProp(Solver):
    """See the module's docstring."""

    def check_rule(self) -> None:
        self.refuse_momentum()
        if not 0 <= self.param.rms_decay < 1:
            raise self.error(
                f"expected rms_decay from 0 to below 1, got {self.param.rms_decay:g}", "rms_decay"
            )

    def compute_update(self, rate: float) -> None:
        rho = self.param.rms_decay
        run_rule(self, _rmsprop, rate, [rho, 1 - rho, self.param.delta])
