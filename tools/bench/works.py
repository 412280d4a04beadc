"""What nets.py measures: passes and training steps, the same by protonet and by PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from inputs import (
    DECAY,
    LENET_BATCH,
    LENET_BATCHES,
    LENET_RATE,
    LENETS,
    MOMENTUM,
    TRAIN_BATCH,
    fill,
    from_memory,
    lenet_from_memory,
    solver_of,
)
from torch.nn import functional
from torch_net import TorchNet

import protonet
from protonet.facts import layer_facts
from protonet.plan import Plan
from protonet.schema.read import NetSource

Call = Callable[[], Any]


@dataclass(frozen=True)
class Work:
    """Something that both do.

    Attributes:
        ours: does it with protonet, ``times`` times.
        theirs: returns what does it with PyTorch, as often. Its argument is called with each
            function that may be compiled, and returns the one to use.
        multiply_adds: of one time; a training step counts as three forward passes.
    """

    ours: Call
    theirs: Callable[[Callable[[Any], Any]], Call]
    multiply_adds: int
    times: int = 1


def works(name: str) -> dict[str, Callable[[], Work]]:
    """Return what there is to measure of a net: how to make each work, by what to call it."""
    if name in LENETS:
        return {f"training, {LENET_BATCH}": partial(lenet_training, name)}
    batch = TRAIN_BATCH.get(name, 16)
    return {
        "forward, 1": partial(forward, name, 1),
        "forward, 16": partial(forward, name, 16),
        f"training, {batch}": partial(training, name, batch),
    }


def forward(name: str, batch: int) -> Work:
    """Make a forward pass of a deploy net."""
    net = protonet.Net(NetSource.of(from_memory(name, batch, False)))
    peer = _peer(net)

    def theirs(wrap: Callable[[Any], Any]) -> Call:
        run = wrap(peer.forward)

        def call() -> None:
            with torch.inference_mode():
                run()

        return call

    return Work(net.run_forward, theirs, _multiply_adds(net.plan))


def training(name: str, batch: int) -> Work:
    """Make a training step on the same images again and again."""
    rate = 1e-5
    solver = solver_of(from_memory(name, batch, True), rate)
    peer = _peer(solver.net)
    rule = _rule(peer.parameters, rate)

    def theirs(wrap: Callable[[Any], Any]) -> Call:
        loss, update = wrap(peer.loss), wrap(rule.step)

        def call() -> None:
            rule.zero_grad()
            loss().backward()
            update()

        return call

    return Work(lambda: solver.step(1), theirs, 3 * _multiply_adds(solver.net.plan))


def lenet_training(name: str) -> Work:
    """Make training iterations of LeNet or LeNet-DSN, each with the next images from memory.

    As many of them in a row as there are batches: as training runs.
    """
    solver, images, labels = lenet_from_memory(name)
    side = name == "lenet_dsn"
    conv1, conv2 = torch.nn.Conv2d(1, 20, 5), torch.nn.Conv2d(20, 50, 5)
    ip1, ip2 = torch.nn.Linear(800, 500), torch.nn.Linear(500, 10)
    ip1_side = torch.nn.Linear(2880, 10)
    layers = [conv1, conv2, ip1, ip2] + ([ip1_side] if side else [])
    rule = _rule([p for layer in layers for p in layer.parameters()], LENET_RATE)
    xs, ys = torch.from_numpy(images), torch.from_numpy(labels)

    def loss_of(x: Any, y: Any) -> Any:
        pool1 = functional.max_pool2d(conv1(x), 2)
        pool2 = functional.max_pool2d(conv2(pool1), 2)
        hidden = functional.relu(ip1(pool2.flatten(1)))
        loss = functional.cross_entropy(ip2(hidden), y)
        if side:
            loss = loss + functional.cross_entropy(ip1_side(pool1.flatten(1)), y)
        return loss

    def theirs(wrap: Callable[[Any], Any]) -> Call:
        run, update = wrap(loss_of), wrap(rule.step)

        def call() -> None:
            for x, y in zip(xs, ys, strict=True):
                rule.zero_grad()
                loss = run(x, y)
                loss.backward()
                update()
                loss.item()

        return call

    multiply_adds = 3 * _multiply_adds(solver.net.plan)
    return Work(lambda: solver.step(LENET_BATCHES), theirs, multiply_adds, LENET_BATCHES)


def _rule(parameters: list[Any], rate: float) -> torch.optim.SGD:
    """Return PyTorch's rule that does what the solver does."""
    return torch.optim.SGD(parameters, lr=rate, momentum=MOMENTUM, weight_decay=DECAY)


def _peer(net: Any) -> TorchNet:
    """Fill the inputs of a net; return PyTorch's with the same."""
    peer = TorchNet(net)
    for name, values in fill(net, np.random.default_rng(0)).items():
        peer.set(name, values)
    return peer


def _multiply_adds(plan: Plan) -> int:
    return sum(fact.multiply_adds for fact in layer_facts(plan))
