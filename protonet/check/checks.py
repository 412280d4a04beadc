"""All checks of a net, in the order in which one would make them by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from protonet.check.data import check_data
from protonet.check.finding import ERROR, OK, WARNING, Finding
from protonet.check.gradients import NO_BOTTOMS, NO_GRADIENT, Checked, check_gradient
from protonet.check.rules import check_rules
from protonet.errors import ProtonetError
from protonet.graph import build_graph
from protonet.layer import TEST, TRAIN
from protonet.net import Net
from protonet.plan import Plan, Step, build_plan
from protonet.random import set_random_seed


def check_net(source: Any, batches: int = 10, samples: int = 5) -> Iterator[Finding]:
    """Check a net in phase TRAIN, and its shapes in phase TEST.

    Args:
        source: what ``schema.read_net`` returns.
        batches: how many to look through for labels.
        samples: how many derivatives of each bottom and parameter to compare.

    Raises:
        ProtonetError: the net cannot be built for training at all.
    """
    set_random_seed(1)
    rng = np.random.default_rng(1)
    net = Net(source, TRAIN)
    try:
        yield _shapes(net.plan)
        yield from _test_phase(source)
        yield from check_rules(net.plan)
        findings = list(check_data(net, batches))
        yield from findings
        if any(f.level == ERROR for f in findings):
            return
        yield from _one_iteration(net)
        yield from _gradients(net, rng, samples)
    finally:
        net.close()


def check_file(source: Any) -> Iterator[Finding]:
    """Check what a net's file alone tells: shapes in both phases, classic mistakes. Nothing runs.

    Args:
        source: what ``schema.read_net`` returns.

    Raises:
        ProtonetError: the net cannot be planned for training at all.
    """
    plan = build_plan(build_graph(source, TRAIN), static=True)
    yield _shapes(plan)
    for text in plan.assumed:
        yield Finding(WARNING, text)
    yield from _test_phase(source, static=True)
    yield from check_rules(plan)


def _shapes(plan: Plan) -> Finding:
    layers = sum(not step.node.inserted for step in plan.steps)
    values = sum(p.blob.count for p in plan.learnable())
    return Finding(OK, f"shapes: {layers} layers, {values:,} parameters")


def _test_phase(source: Any, static: bool = False) -> Iterator[Finding]:
    try:
        build_plan(build_graph(source, TEST), static=static)
    except ProtonetError as error:
        yield Finding(ERROR, f"in phase TEST: {error}")


def _one_iteration(net: Net) -> Iterator[Finding]:
    try:
        net.clear_param_diffs()
        loss = net.run_forward()
        net.run_backward()
    except ProtonetError as error:
        yield Finding(ERROR, str(error))
        return
    if not math.isfinite(loss):
        culprit = next(filter(partial(_is_broken, net), net.steps), net.steps[-1])
        yield Finding(ERROR, str(culprit.layer.error(f"its output is not finite, loss {loss:g}")))
        return
    yield from _losses(net)
    for param in net.learnable:
        if param.lr_mult and not param.blob.diff.any():
            step = next(s for s in net.steps if any(b is param.blob for b in s.layer.blobs))
            text = f"parameter {param.index} gets no gradient from the first batch"
            yield Finding(WARNING, str(step.layer.error(text)))


def _is_broken(net: Net, step: Step) -> bool:
    net.write_left_out(step.top)
    return not all(np.isfinite(blob.data).all() for blob in step.top)


def _losses(net: Net) -> Iterator[Finding]:
    for step in net.steps:
        if not any(step.layer.loss_weights):
            continue
        value = float(step.top[0].data.reshape(-1)[0])
        text = f"loss '{step.node.name}': {value:.4g} on the first batch"
        if step.node.type == "SoftmaxWithLoss":
            classes = step.bottom[0].shape[1]
            guess = math.log(classes)
            text += f"; guessing among {classes} classes gives {guess:.4g}"
            if value > 2 * guess + 1:
                yield Finding(WARNING, f"{text}: scores start far too large")
                continue
        yield Finding(OK, text)


def _gradients(net: Net, rng: np.random.Generator, samples: int) -> Iterator[Finding]:
    results: list[tuple[str, Checked]] = []
    for step in net.steps:
        if step.node.inserted:
            continue
        net.write_left_out(step.bottom)
        result = check_gradient(step, rng, samples)
        results.append((step.node.name, result))
        if result.wrong:
            yield Finding(ERROR, str(step.layer.error(result.wrong)))
    good = [(name, r) for name, r in results if r.compared and not r.wrong]
    if good:
        name, worst = max(good, key=lambda pair: pair[1].worst)
        compared = sum(r.compared for _, r in good)
        kinks = sum(r.kinks for _, r in good)
        text = f"gradients: {len(good)} layers agree with differences ({compared} derivatives"
        text += f", {kinks} more on kinks" if kinks else ""
        yield Finding(OK, f"{text}; worst {worst.worst:.1e}, of '{name}')")
    for name, result in results:
        if result.skipped not in ("", NO_BOTTOMS, NO_GRADIENT):
            yield Finding(OK, f"gradient of '{name}' not compared: {result.skipped}")
