"""Stochastic gradient descent with momentum.

v ← μ v + lr·(∂L/∂w + λ r(w)),  w ← w − v

μ is ``momentum``, λ ``weight_decay`` times the parameter's decay_mult, lr the rate times its
lr_mult, and r(w) = w for L2, sign(w) for L1 regularization. As BVLC Caffe 1.0 (``SGDSolver``):
the rate is inside v.
"""

from __future__ import annotations

from protonet.kernels import update
from protonet.solvers.solver import Solver, register_rule


@register_rule("SGD")
class SGD(Solver):
    """See the module's docstring. ``diff`` of each parameter holds v after the update."""

    def compute_update(self, rate: float) -> None:
        param = self.param
        update.sgd(
            self.net.param_data,
            self.net.param_diff,
            self.history_arenas[0],
            self.bounds,
            self.local_rates(rate),
            self.local_decays,
            param.momentum,
            1.0 / param.iter_size,
            param.regularization_type,
        )
