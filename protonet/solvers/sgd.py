"""Stochastic gradient descent with momentum.

v ← μ v + lr·(∂L/∂w + λ r(w)),  w ← w − v

μ is ``momentum``, λ ``weight_decay`` times the parameter's decay_mult, lr the rate times its
lr_mult, and r(w) = w for L2, sign(w) for L1 regularization. As BVLC Caffe 1.0 (``SGDSolver``):
the rate is inside v.
"""

from __future__ import annotations

from typing import Any

from protonet.blob import Array
from protonet.kernels.jit import kernel
from protonet.solvers.arena import RULE_1, gradient, run_rule
from protonet.solvers.solver import Solver, register_rule


@kernel(RULE_1, shared=True)
def _sgd(
    data: Array, diff: Array, history: Array, bounds: Any, rates: Array, decays: Array,
    numbers: Array, l1: bool, lo: int, hi: int,
) -> None:  # fmt: skip
    normalize, momentum = numbers[0], numbers[1]
    for s in range(rates.size):
        rate, decay = rates[s], decays[s]
        for i in range(max(lo, bounds[s]), min(hi, bounds[s + 1])):
            g = gradient(diff[i], normalize, data[i], decay, l1)
            step = momentum * history[i] + rate * g
            history[i] = step
            diff[i] = step
            data[i] -= step


@register_rule("SGD")
class SGD(Solver):
    """See the module's docstring. ``diff`` of each parameter holds v after the update."""

    def compute_update(self, rate: float) -> None:
        run_rule(self, _sgd, rate, [self.param.momentum])
