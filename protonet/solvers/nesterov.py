"""Nesterov's accelerated gradient.

v' = μ v + lr·g,  w ← w − ((1 + μ) v' − μ v)

where g is the regularized gradient. Y. Nesterov (1983), in the form of I. Sutskever et al., "On
the importance of initialization and momentum in deep learning" (ICML 2013); as BVLC Caffe 1.0.
"""

from __future__ import annotations

from typing import Any

from protonet.blob import Array
from protonet.kernels.jit import kernel
from protonet.solvers.arena import RULE_1, gradient, run_rule
from protonet.solvers.solver import Solver, register_rule


@kernel(RULE_1, shared=True)
def _nesterov(
    data: Array, diff: Array, history: Array, bounds: Any, rates: Array, decays: Array,
    numbers: Array, l1: bool, lo: int, hi: int,
) -> None:  # fmt: skip
    normalize, momentum = numbers[0], numbers[1]
    for s in range(rates.size):
        rate, decay = rates[s], decays[s]
        for i in range(max(lo, bounds[s]), min(hi, bounds[s + 1])):
            g = gradient(diff[i], normalize, data[i], decay, l1)
            before = momentum * history[i]
            v = before + rate * g
            step = v + momentum * v - before
            history[i] = v
            diff[i] = step
            data[i] -= step


@register_rule("Nesterov")
class Nesterov(Solver):
    """See the module's docstring."""

    def compute_update(self, rate: float) -> None:
        run_rule(self, _nesterov, rate, [self.param.momentum])
