"""Stochastic gradient descent with momentum.

v ← μ v + lr·(∂L/∂w + λ r(w)),  w ← w − v

μ is ``momentum``, λ ``weight_decay`` times the parameter's decay_mult, lr the rate times its
lr_mult, and r(w) = w for L2, sign(w) for L1 regularization. As BVLC Caffe 1.0 (``SGDSolver``):
the rate is inside v. The gradient is first scaled for ``clip_gradients``, then averaged over
``iter_size``.
"""

from __future__ import annotations

from protonet.solvers.rule import Rule
from protonet.solvers.solver import register_rule


@register_rule("SGD")
class SGD(Rule):
    """See the module's docstring."""

    def compute_update(self, rate: float) -> None:
        from protonet.kernels import update

        self.clip()
        update.sgd(self.segments(rate), self.net, self.history_arenas[0])
