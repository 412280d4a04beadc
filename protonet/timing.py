"""How long each layer of a net takes, forward and backward."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from protonet import random
from protonet.blob import Blob, Shape
from protonet.errors import DataError
from protonet.graph import BlobRef, Graph, build_graph
from protonet.layers.input import make_input
from protonet.net import Net
from protonet.plan import Step, build_plan

WARM_UP = 1  # iterations ahead that are not counted: kernels are compiled, sources opened


@dataclass(frozen=True)
class Pass:
    """A layer's way in one direction.

    Attributes:
        mean, least: seconds over the iterations.
        multiply_adds: of one iteration.
    """

    mean: float
    least: float
    multiply_adds: int = 0

    @property
    def gflops(self) -> float:
        """10^9 operations a second on average, a multiply-add being two."""
        return 2e-9 * self.multiply_adds / self.mean if self.mean else 0.0


@dataclass(frozen=True)
class LayerTime:
    """What one layer takes.

    Attributes:
        backward: None where the backward pass does not need the layer.
        share: of the time of all layers in both directions, 0 to 1.
    """

    name: str
    type: str
    forward: Pass
    backward: Pass | None
    share: float


@dataclass(frozen=True)
class Timing:
    """What all layers take.

    Attributes:
        forward, backward: sums over the layers, iteration by iteration.
        seconds: from the first counted iteration to the end of the last.
    """

    layers: list[LayerTime]
    forward: Pass
    backward: Pass
    iterations: int
    seconds: float


def time_net(net: Net, iterations: int, after_iteration: Callable[[], None]) -> Timing:
    """Run a net forward and backward, and time every layer.

    Args:
        iterations: how many are counted, after ``WARM_UP`` that are not.
        after_iteration: is called after each, for progress; its time does not count.

    Raises:
        ProtonetError: a layer cannot run.
    """
    count = len(net.steps)
    spent = np.zeros((2, iterations, count))
    seconds = 0.0
    for i in range(-WARM_UP, iterations):
        net.clear_param_diffs()
        started = time.perf_counter()
        forward = [_clocked(net.run_forward, j) for j in range(count)]
        backward = [_clocked(net.run_backward, j) for j in reversed(range(count))]
        if i >= 0:
            seconds += time.perf_counter() - started
            spent[:, i] = forward, backward[::-1]
        after_iteration()
    for j, step in enumerate(net.steps):
        if not step.backward:
            spent[1, :, j] = 0
    return _summed_up(net, spent, seconds)


def _clocked(run: Callable[[tuple[int]], object], index: int) -> float:
    start = time.perf_counter()
    run((index,))
    return time.perf_counter() - start


def _summed_up(net: Net, spent: Any, seconds: float) -> Timing:
    total = float(spent.sum()) or 1.0
    layers = []
    sums = [0, 0]
    for j, step in enumerate(net.steps):
        work = _multiply_adds(step)
        passes = [_pass(spent[k, :, j], work[k]) for k in (0, 1)]
        share = float(spent[:, :, j].sum()) / total
        back = passes[1] if step.backward else None
        layers.append(LayerTime(step.node.name, step.node.type, passes[0], back, share))
        sums = [a + b for a, b in zip(sums, work, strict=True)]
    forward, backward = (_pass(spent[k].sum(axis=1), sums[k]) for k in (0, 1))
    return Timing(layers, forward, backward, spent.shape[1], seconds)


def _pass(seconds: Any, multiply_adds: int) -> Pass:
    return Pass(float(seconds.mean()), float(seconds.min()), multiply_adds)


def _multiply_adds(step: Step) -> tuple[int, int]:
    """Return those of a forward and of a backward pass."""
    layer, blobs = step.layer, (step.bottom, step.top)
    back = layer.backward_multiply_adds(*blobs, step.propagate_down) if step.backward else 0
    return layer.multiply_adds(*blobs), back


# --- nets without their data ----------------------------------------------------------------------
@dataclass
class Timed:
    """A net to be timed.

    Attributes:
        notes: what stands in for sources that are not there.
    """

    net: Net
    notes: list[str] = field(default_factory=list)


def net_to_time(
    source: Any,
    phase: int,
    level: int | None = None,
    stages: tuple[str, ...] = (),
    shapes: Mapping[str, Shape] | None = None,
) -> Timed:
    """Build a net; where a source cannot be opened, random values of its shape stand in for it.

    Input blobs get random values too, and labels 0.

    Args:
        source: what ``schema.read_net`` returns.
        shapes: shapes of blobs of data layers or Input layers, instead of what their source or
            file says; these sources are not opened.

    Raises:
        DataError: a source cannot be opened and the file does not tell its shape.
        ProtonetError: the net cannot be built.
    """
    shapes = dict(shapes or {})
    plan = build_plan(build_graph(source, phase, level, stages), shapes, static=True)
    stands_in = [step for step in plan.steps if _is_replaced(plan.graph, step, shapes)]
    if stands_in:
        source = _without_sources(source, stands_in)
    net = Net(source, phase, level=level, stages=stages)
    _fill_inputs(net)
    return Timed(net, plan.assumed)


def _is_replaced(graph: Graph, step: Step, shapes: Mapping[str, Shape]) -> bool:
    """Whether random values must stand in for a layer: shapes were given, or it cannot be read."""
    if any(ref.name in shapes for ref in step.node.tops):
        return not step.node.bottoms
    if not step.layer.is_data:
        return False
    layer = type(step.layer)(step.node.param, step.layer.phase, graph.where(step.node))
    try:
        layer.setup([], [Blob() for _ in step.top])
    except DataError:
        return True
    return False


def _without_sources(source: Any, steps: list[Step]) -> Any:
    """Return a copy of a net file in which Input layers stand in for these steps."""
    message = type(source.message)()
    message.CopyFrom(source.message)
    for layer in message.layer:
        step = next((s for s in steps if s.node.param == layer), None)
        if step is None:
            continue
        make_input(layer, step.top)
    return type(source)(message, source.path, source.lines)


def _fill_inputs(net: Net) -> None:
    """Give input blobs random values, except labels, indices and the like: these stay 0."""
    whole: set[BlobRef] = set()
    for step in reversed(net.steps):
        bottoms = step.node.bottoms
        if step.node.type == "Split" and not whole.isdisjoint(step.node.tops):
            whole.update(bottoms)
        barred = {1} if step.node.type == "Accuracy" else step.layer.not_differentiable
        whole.update(bottoms[i] for i in barred if i < len(bottoms))
    rng = random.spawn()
    for step in net.steps:
        if step.node.type == "Input":
            for ref, blob in zip(step.node.tops, step.top, strict=True):
                if ref not in whole:
                    blob.data[...] = rng.standard_normal(blob.shape, np.float32)
