"""Which layers run forward as one: those that only finish what the layer before them computes.

A convolution writes each of its sums once. What follows it and treats every value by itself or by
its channel (BatchNorm with running statistics, Scale, ReLU) is done to the sum before that, and
costs no pass over memory. Blobs in between that nobody can ask for get no values, and no memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from protonet.blob import Blob
from protonet.kernels.finish import PLAIN, Finish
from protonet.plan import Step


@dataclass(frozen=True)
class Chain:
    """Steps that run forward as one; mostly just one.

    Attributes:
        steps: in order. The first computes, the others only finish what it writes.
    """

    steps: list[Step]

    def forward(self) -> None:
        """Write the tops of the last step."""
        first, *others = self.steps
        if not others:
            first.layer.forward(first.bottom, first.top)
            return
        finish = PLAIN
        for step in others:
            finish = _then(finish, step.layer.channel_map())
        first.layer.forward_finished(
            first.bottom,
            others[-1].top,
            Finish(finish.factor.astype(np.float32), finish.shift.astype(np.float32), finish.slope),
        )


def chains(steps: list[Step], visible: Iterable[Blob]) -> list[Chain]:
    """Cut the steps of a plan into chains.

    Args:
        visible: the blobs that somebody may read after a pass.
    """
    readers: dict[int, int] = {}
    for step in steps:
        for blob in step.bottom:
            readers[id(blob)] = readers.get(id(blob), 0) + 1
    read = {id(blob) for blob in visible}
    found: list[Chain] = []
    for step in steps:
        if found and _finishes(found[-1].steps, step):
            source, target = step.bottom[0], step.top[0]
            hidden = id(source) not in read and readers[id(source)] == 1 and not step.backward
            if source is target or hidden:
                found[-1].steps.append(step)
                continue
        found.append(Chain([step]))
    return found


def skipped(found: list[Chain]) -> set[int]:
    """Return the ids of the blobs that a pass by chains leaves without values."""
    return {
        id(earlier.top[0])
        for chain in found
        for earlier, later in zip(chain.steps, chain.steps[1:], strict=False)
        if earlier.top[0] is not later.top[0]
    }


def _finishes(chain: list[Step], step: Step) -> bool:
    """Whether all that a step does is to finish what a chain writes."""
    head, last = chain[0], chain[-1]
    if not len(last.top) == len(step.bottom) == len(step.top) == 1:
        return False
    if step.bottom[0] is not last.top[0]:
        return False
    if any(step.layer.loss_weights) or any(last.layer.loss_weights):
        return False
    kind = step.layer.maps_channels(step.bottom)
    if not kind or not head.layer.can_finish(head.bottom, kind):
        return False
    # nothing but the sum itself is multiplied: a rectified one is not
    return len(chain) == 1 or last.layer.maps_channels(last.bottom) != "slope"


def _then(first: Finish, second: Finish) -> Finish:
    """Return the finish that does one and then the other; the first has no slope."""
    if not second.factor.size:
        return Finish(first.factor, first.shift, second.slope)
    if not first.factor.size:
        return second
    return Finish(
        first.factor * second.factor,
        first.shift * second.factor + second.shift,
        second.slope,
    )
