"""Which layers run forward as one: those that only finish what the layer before them computes.

A convolution writes each of its sums once. What follows it and treats every value by itself or by
its channel (BatchNorm with running statistics, Scale, ReLU) is done to the sum before that, and
costs no pass over memory. So are Scale and ReLU to what BatchNorm writes, with any statistics, and
these three go backward as one, too. Blobs in between that nobody can ask for get no values, and no
memory: see :class:`LeftOut` for when they are needed after all.

Where nobody looks at a pass, pooling is done to the sums of a convolution, too, and its gradient to
what the convolution reads: see :func:`pooled`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from protonet.blob import Blob
from protonet.kernels import scratch
from protonet.kernels.finish import PLAIN, Finish
from protonet.plan import Step


@dataclass(frozen=True)
class Chain:
    """Steps that run forward as one, and maybe backward; mostly just one.

    Attributes:
        steps: in order. The first computes, the others only finish what it writes.
        pools: whether the last one pools what the others would have written.
    """

    steps: list[Step]
    pools: bool = False

    def forward(self) -> None:
        """Write the tops of the last step."""
        first, *others = self.steps
        if self.pools:
            pool = others.pop()
            if not first.layer.can_pool():
                Chain(self.steps[:-1]).forward()
                pool.layer.forward(pool.bottom, pool.top)
                return
            mask = pool.layer.mask(pool.top[0].shape)
            first.layer.forward_pooled(first.bottom, pool.top, _finish(others), mask)
        elif others:
            first.layer.forward_finished(first.bottom, others[-1].top, _finish(others))
        else:
            first.layer.forward(first.bottom, first.top)

    def backward(self) -> None:
        """Run the backward pass of all steps; a blob that is pooled may get no gradient."""
        first, last = self.steps[0], self.steps[-1]
        if first is last:
            if first.backward:
                first.layer.backward(first.top, first.propagate_down, first.bottom)
            return
        gate = self._gate
        top = last.top if gate is None else [_gated(gate, last.top[0])]
        spread = self.pools and first.backward and last.backward and not any(first.propagate_down)
        if spread and first.layer.can_spread():
            mask = last.layer.mask(last.top[0].shape)
            first.layer.backward_pooled(top, first.bottom, mask)
            return
        if _go_back_as_one(self.steps):
            others = self.steps[1:]
            gradients = first.layer.backward_finished(last.top, first.bottom, _finish(others))
            for step in others:
                step.layer.add_map_gradients(*gradients)
            return
        for step in reversed(self.steps):
            if step.backward and step is not gate:
                step_top = top if step is last else step.top
                step.layer.backward(step_top, step.propagate_down, step.bottom)

    @functools.cached_property
    def _gate(self) -> Step | None:
        """The ReLU before the pooling that goes backward, if there is one."""
        between = self.steps[1:-1] if self.pools else []
        return next((step for step in between if step.backward), None)

    def left_out(self) -> list[Step]:
        """Return the steps whose tops get no values."""
        return [
            earlier
            for earlier, later in zip(self.steps, self.steps[1:], strict=False)
            if earlier.top[0] is not later.top[0]
        ]

    def complete(self, backward: bool) -> None:
        """Write what passes left out because it is pooled; ``backward``: its gradient, too.

        Its bottom must be as it was then. Parameters need not be.
        """
        if not self.pools or not self.steps[0].layer.can_pool():
            return
        first, *others, pool = self.steps
        first.layer.complete(first.bottom, pool.bottom, _finish(others))
        gate = self._gate
        for step in (pool, gate) if backward else ():
            if step is not None and step.backward:
                step.layer.backward(step.top, step.propagate_down, step.bottom)


def _gated(gate: Step, pooled: Blob) -> Blob:
    """Return a blob like the pooled one whose gradient the ReLU before the pooling let through.

    The largest value of a window decides alone, and each has one gradient at most: the same as
    going back through the pooling first, on a quarter of the values.
    """
    through = Blob(pooled.shape)
    diff = scratch.get("gated", pooled.count)[: pooled.count].reshape(pooled.shape)
    through.use(pooled.data, diff)
    gate.layer.backward([pooled], [True], [through])
    return through


def _finish(steps: list[Step]) -> Finish:
    """Return what these steps do to each value."""
    finish = PLAIN
    for step in steps:
        finish = _then(finish, step.layer.channel_map())
    if not finish.factor.size:
        return finish
    factor, shift = finish.factor.astype(np.float32), finish.shift.astype(np.float32)
    return Finish(factor, shift, finish.slope)


def chains(steps: list[Step], visible: Iterable[Blob]) -> list[Chain]:
    """Cut the steps of a plan into chains.

    Args:
        visible: the blobs that somebody may read after a pass.
    """
    readers = _readers(steps)
    read = {id(blob) for blob in visible}
    found: list[Chain] = []
    for step in steps:
        if found and _finishes(found[-1].steps, step):
            source, target = step.bottom[0], step.top[0]
            hidden = id(source) not in read and readers[id(source)] == 1
            joined = [*found[-1].steps, step]
            if (source is target or hidden) and _can_go_back(joined):
                found[-1].steps.append(step)
                continue
        found.append(Chain([step]))
    return found


def pooled(found: list[Chain]) -> list[Chain]:
    """Join each chain with the pooling after it that alone reads what it writes.

    A pass by these chains leaves the blob between them as it was, and maybe its gradient, until
    :meth:`Chain.complete`: for passes whose blobs nobody reads.
    """
    readers = _readers(step for chain in found for step in chain.steps)
    joined: list[Chain] = []
    for chain in found:
        if joined and _pools(joined[-1], chain, readers):
            chain = Chain([*joined.pop().steps, *chain.steps], pools=True)
        joined.append(chain)
    return joined


def for_inference(steps: list[Step], kept: Iterable[Blob]) -> list[Chain]:
    """Cut the steps of a net that only runs forward into chains, for the shapes of now.

    Args:
        kept: the blobs that somebody may read after a pass. Those within a chain are none of them.
    """
    read = {id(blob) for blob in kept}
    found: list[Chain] = []
    for chain in pooled(chains(steps, kept)):
        first, between = chain.steps[0].layer, chain.steps[-1].bottom
        if chain.pools and (id(between[0]) in read or not first.can_pool()):
            found += [Chain(chain.steps[:-1]), Chain(chain.steps[-1:])]
        else:
            found.append(chain)
    return found


def _pools(first: Chain, second: Chain, readers: dict[int, int]) -> bool:
    head, last, pool = first.steps[0], first.steps[-1], second.steps[0]
    if first.pools or not len(second.steps) == len(last.top) == 1:
        return False
    if not len(pool.bottom) == len(pool.top) == 1:
        return False
    if pool.bottom[0] is not last.top[0] or readers[id(last.top[0])] != len(first.steps):
        return False
    if any(step.backward and not _gates(step) for step in first.steps[1:]):
        return False
    if any(last.layer.loss_weights):
        return False
    return head.layer.can_finish(head.bottom, "pool") and pool.layer.pools_squares(pool.bottom)


def _gates(step: Step) -> bool:
    """Return whether the sign of what a step in place writes decides on its gradient."""
    return step.layer.maps_channels(step.bottom) == "slope" and step.top[0] is step.bottom[0]


def _readers(steps: Iterable[Step]) -> dict[int, int]:
    """Return how many steps read each blob, by its id."""
    readers: dict[int, int] = {}
    for step in steps:
        for blob in step.bottom:
            readers[id(blob)] = readers.get(id(blob), 0) + 1
    return readers


class LeftOut:
    """Which blobs have no values because a pass by chains went without them.

    Args:
        found: the chains.
    """

    def __init__(self, found: list[Chain]) -> None:
        self._writers = {
            id(step.top[0]): chain.left_out() for chain in found for step in chain.left_out()
        }
        self._now: set[int] = set()

    def passed(self) -> None:
        """The chains run forward, all of them."""
        self._now.update(self._writers)

    def written(self, blobs: Iterable[Blob]) -> None:
        """These blobs have got their values."""
        self._now.difference_update(map(id, blobs))

    def writers(self, blobs: Iterable[Blob]) -> list[Step]:
        """Return the steps to :meth:`~Layer.rewrite`, in order, for these blobs to have values."""
        wanted = [blob for blob in blobs if id(blob) in self._now]
        steps = [step for blob in wanted for step in self._writers[id(blob)]]
        return [step for step in steps if id(step.top[0]) in self._now]


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


def _can_go_back(steps: list[Step]) -> bool:
    """Whether no step needs, going backward, what a chain of these leaves out."""
    left_out = {id(step.top[0]) for step in Chain(steps).left_out()}
    needed = any(step.backward and id(step.bottom[0]) in left_out for step in steps[1:])
    return not needed or _go_back_as_one(steps)


def _go_back_as_one(steps: list[Step]) -> bool:
    """Whether a chain has one backward pass for all of its steps."""
    head, *others = steps
    if not others or not head.layer.can_finish(head.bottom, "backward"):
        return False
    if not all(step.backward and step.propagate_down[0] for step in steps):
        return False
    kinds = [step.layer.maps_channels(step.bottom) for step in others]
    # In place the sign of the top decides on the slope, and the gradient of the top is free.
    rectified = others[-1]
    in_place = kinds[-1] != "slope" or rectified.top[0] is rectified.bottom[0]
    return in_place and kinds in (["affine"], ["affine", "slope"], ["slope"])


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
