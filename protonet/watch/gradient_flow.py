"""How gradients reach each layer: means over parameters, and units that pass none on.

A layer learns at the rate of its gradient. Where the mean of |dL/dw| shrinks from the last layer to
the first, gradients vanish; where it grows from one iteration to the next, they explode. Both are
seen here without another pass: what is measured lies in memory already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from protonet.blob import Array, Blob

if TYPE_CHECKING:
    from protonet.net import Net
    from protonet.plan import Param, Step
    from protonet.solvers.solver import Solver

# A sigmoid's gradient y (1 - y) is below a fifth of its largest, 1/4, beyond these.
SATURATED = {"Sigmoid": (0.05, 0.95), "TanH": (-0.9, 0.9)}
_GATES = ("ReLU", *SATURATED)


class GradientFlow:
    """Measures a solver's training net in single iterations.

    Args:
        solver: whose net it is. Hooks stay with it and do nothing in other iterations.

    Attributes:
        record: what the last measured iteration gave: ``params``, for each parameter blob its
            layer, index, mean |gradient|, mean |weight|, and update ratio (mean |update| over
            mean |weight| before it); ``dead``, by ReLU layer, the share of units that gave zero
            for every record of the batch, a unit being a channel; ``saturated``, by sigmoid or
            tanh layer, the share of values in the flat ends.
    """

    def __init__(self, solver: Solver) -> None:
        net = solver.net
        self._params: list[Param] = [p for p in net.learnable if _learns(net, p)]
        largest = max((p.blob.count for p in self._params), default=0)
        self._scratch = np.empty(largest, np.float32)
        self._scale = 1.0 / solver.param.iter_size
        self._gates: dict[str, Step] = {s.layer.name: s for s in net.steps if s.node.type in _GATES}
        self._due = False
        self.record: dict[str, Any] = {}
        if self._gates:
            net.after_forward(self._look_at_gate)

    def begin(self) -> None:
        """Measure the iteration that begins now."""
        self._due = True
        self.record = {"params": [], "dead": {}, "saturated": {}}

    def gradients(self) -> None:
        """Measure the parameters' gradients, which are ready, and the weights they belong to."""
        for param in self._params:
            self.record["params"].append(
                {
                    "layer": param.layer,
                    "index": param.index,
                    "gradient": self._mean(param.blob.diff) * self._scale,
                    "weight": self._mean(param.blob.values),
                }
            )

    def update(self) -> None:
        """Measure the update, which a rule leaves where the gradient was."""
        for param, entry in zip(self._params, self.record["params"], strict=True):
            update = self._mean(param.blob.diff)
            entry["ratio"] = update / entry["weight"] if entry["weight"] else None
        self._due = False

    def _look_at_gate(self, name: str) -> None:
        if not self._due or name not in self._gates:
            return
        step = self._gates[name]
        if step.node.type == "ReLU":
            self.record["dead"][name] = dead_share(step.top[0])
        else:
            low, high = SATURATED[step.node.type]
            y = step.top[0].data
            share = (np.count_nonzero(y < low) + np.count_nonzero(y > high)) / max(1, y.size)
            self.record["saturated"][name] = share

    def _mean(self, values: Array) -> float:
        """Return the mean absolute value; numpy adds pairwise, so float32 is enough."""
        scratch = self._scratch[: values.size]
        np.abs(values.reshape(-1), out=scratch)
        return float(scratch.mean()) if values.size else 0.0


def dead_share(blob: Blob) -> float:
    """Return the share of channels (axis 1) of a ReLU's top that are nowhere above zero."""
    y = blob.data
    if y.size == 0:
        return 0.0
    if y.ndim < 2:
        return float(not (y > 0).any())
    highest = y.max(axis=0).reshape(y.shape[1], -1).max(axis=1)
    return float(np.count_nonzero(highest <= 0)) / y.shape[1]


def _learns(net: Net, param: Param) -> bool:
    return param.lr_mult != 0 and id(param.blob) in net.param_start
