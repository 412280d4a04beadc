"""``debug_info``: the mean absolute value of every blob and parameter, pass by pass.

The lines are those of BVLC Caffe 1.0 (``Net::ForwardDebugInfo`` and its like), so that what reads
them there reads them here::

    [Forward] Layer conv1, top blob conv1 data: 0.0413
    [Backward] Layer conv1, param blob 0 diff: 0.0021
    [Update] Layer conv1, param 0 data: 0.0502; diff: 2.1e-05
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from protonet.blob import Array

if TYPE_CHECKING:
    from protonet.net import Net
    from protonet.plan import Param, Step

_UNNAMED = "(automatic)"


class DebugInfo:
    """Describes the passes of a net.

    Args:
        net: whose passes these are.
        write: is called with each line.
    """

    def __init__(self, net: Net, write: Callable[[str], None]) -> None:
        self._net = net
        self._write = write

    def forward(self, step: Step) -> None:
        """Tell the values of a layer's tops and parameters, after it has run forward."""
        head = f"    [Forward] Layer {step.layer.name}, "
        names = [ref.name for ref in step.node.tops]
        names += [_UNNAMED] * (len(step.top) - len(names))
        for name, blob in zip(names, step.top, strict=True):
            self._write(f"{head}top blob {name} data: {_mean(blob.data):g}")
        for i, blob in enumerate(step.layer.blobs):
            self._write(f"{head}param blob {_shown(step, i)} data: {_mean(blob.data):g}")

    def backward(self, step: Step) -> None:
        """Tell the gradients of a layer's bottoms and parameters, after it has run backward."""
        head = f"    [Backward] Layer {step.layer.name}, "
        for ref, blob, wanted in zip(
            step.node.bottoms, step.bottom, step.propagate_down, strict=True
        ):
            if wanted:
                self._write(f"{head}bottom blob {ref.name} diff: {_mean(blob.diff):g}")
        layer = step.layer
        for i, (blob, wanted) in enumerate(
            zip(layer.blobs, layer.param_propagate_down, strict=True)
        ):
            if wanted:
                self._write(f"{head}param blob {i} diff: {_mean(blob.diff):g}")

    def all_parameters(self) -> None:
        """Tell the norms of all values and gradients, after a whole backward pass."""
        arenas = (self._net.param_data, self._net.param_diff)
        l1 = ", ".join(f"{np.abs(a).sum(dtype=np.float64):g}" for a in arenas)
        l2 = ", ".join(f"{np.linalg.norm(a.astype(np.float64)):g}" for a in arenas)
        self._write(
            f"    [Backward] All net params (data, diff): L1 norm = ({l1}); L2 norm = ({l2})"
        )

    def update(self, apply: Callable[[], None]) -> None:
        """Apply an update, and tell values before it and the update (in ``diff``) itself."""
        owned = list(self._owned())
        before = [_mean(param.blob.data) for param, _ in owned]
        apply()
        for (param, name), data in zip(owned, before, strict=True):
            self._write(
                f"    [Update] Layer {param.layer}, param {name} data: {data:g}; "
                f"diff: {_mean(param.blob.diff):g}"
            )

    def _owned(self) -> Iterator[tuple[Param, str]]:
        steps = {
            id(blob): (step, i)
            for step in self._net.steps
            for i, blob in enumerate(step.layer.blobs)
        }
        for param in self._net.learnable:
            step, i = steps[id(param.blob)]
            yield param, _shown(step, i)


def _shown(step: Step, index: int) -> str:
    """Return the name of a parameter that is shared by name, else its number."""
    specs = step.layer.param.param
    return (specs[index].name if index < len(specs) else "") or str(index)


def _mean(values: Array) -> float:
    return float(np.abs(values).mean(dtype=np.float64)) if values.size else 0.0
