"""AdaGrad: every value has its own rate, which falls as its squared gradients add up.

h ← h + g²,  w ← w − lr·g / (√h + δ)

J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods for online learning and stochastic
optimization" (JMLR 2011); as BVLC Caffe 1.0.
"""

from __future__ import annotations

import math
from typing import Any

from protonet.blob import Array
from protonet.kernels.jit import kernel
from protonet.solvers.arena import RULE_1, gradient, run_rule
from protonet.solvers.solver import Solver, register_rule


@kernel(RULE_1, shared=True)
def _adagrad(
    data: Array, diff: Array, history: Array, bounds: Any, rates: Array, decays: Array,
    numbers: Array, l1: bool, lo: int, hi: int,
) -> None:  # fmt: skip
    normalize, delta = numbers[0], numbers[1]
    for s in range(rates.size):
        rate, decay = rates[s], decays[s]
        for i in range(max(lo, bounds[s]), min(hi, bounds[s + 1])):
            g = gradient(diff[i], normalize, data[i], decay, l1)
            history[i] += g * g
            step = rate * g / (math.sqrt(history[i]) + delta)
            diff[i] = step
            data[i] -= step


@register_rule("AdaGrad")
class AdaGrad(Solver):
    """See the module's docstring."""

    def check_rule(self) -> None:
        self.refuse_momentum()

    def compute_update(self, rate: float) -> None:
        run_rule(self, _adagrad, rate, [self.param.delta])
