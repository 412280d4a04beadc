"""``caffe.SGDSolver`` and its five kin: pycaffe's solvers over protonet's."""

from __future__ import annotations

import os
from typing import Any

from protonet import solvers as core
from protonet.caffe.machine import reporter
from protonet.caffe.net import Net
from protonet.net import Net as AnyNet
from protonet.solvers.adadelta import AdaDelta
from protonet.solvers.adagrad import AdaGrad
from protonet.solvers.adam import Adam
from protonet.solvers.nesterov import Nesterov
from protonet.solvers.rmsprop import RMSProp
from protonet.solvers.sgd import SGD

_Path = str | os.PathLike[str]


class Solver(core.Solver):
    """What pycaffe's solvers have in common: ``net``, ``test_nets``, ``iter``, ``param``,
    ``step``, ``solve``, ``restore``, ``snapshot``, ``add_callback``, ``apply_update`` and more.

    Args:
        file: a solver prototxt, or what ``schema.read_solver`` returns. Whatever type it names,
            the class called decides on the rule.

    Raises:
        ProtonetError: whatever is wrong with the solver, its nets or their sources.
    """

    net_class = Net

    def __init__(self, file: Any) -> None:
        if isinstance(file, str | os.PathLike):
            from protonet.schema.read import read_solver

            file = read_solver(file)
        super().__init__(file, reporter=reporter())

    @property
    def max_iter(self) -> int:
        """The iteration at which ``solve`` ends."""
        return int(self.param.max_iter)

    @property
    def lr(self) -> float:
        """The learning rate of the coming iteration."""
        return self.learning_rate()

    def share_weights(self, net: AnyNet) -> None:
        """Let ``net`` use the parameters of the training net, by layer name."""
        net.share_with(self.net)


class SGDSolver(Solver, SGD):
    """Stochastic gradient descent with momentum."""


class NesterovSolver(Solver, Nesterov):
    """Nesterov's accelerated gradient."""


class AdaGradSolver(Solver, AdaGrad):
    """AdaGrad."""


class RMSPropSolver(Solver, RMSProp):
    """RMSProp."""


class AdaDeltaSolver(Solver, AdaDelta):
    """AdaDelta."""


class AdamSolver(Solver, Adam):
    """Adam."""


_SOLVERS: dict[str, type[Solver]] = {
    cls.type: cls
    for cls in (
        SGDSolver,
        NesterovSolver,
        AdaGradSolver,
        RMSPropSolver,
        AdaDeltaSolver,
        AdamSolver,
    )
}


def get_solver(file: _Path) -> Solver:
    """Return the solver of the type that a solver prototxt names.

    Raises:
        ProtonetError: whatever is wrong with the solver, its nets or their sources.
    """
    from protonet.schema.read import read_solver

    source = read_solver(file)
    rule = core.rule_of(source)
    known = _SOLVERS.get(rule.type)
    return (known or type(rule.__name__, (Solver, rule), {}))(source)
