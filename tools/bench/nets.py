"""Compare larger nets, protonet against PyTorch, in one process, taking turns.

Forward at batch 1 and 16 and a training step at batch 16 (VGG-16: 4), each as a ratio of medians
PyTorch / protonet and as a share of what a plain large matrix product reaches here. The nets are
those of models/; PyTorch runs the same graph layer by layer (``torch_net.py``). Needs torch, which
is no dependency of protonet.

    python tools/bench/nets.py [--nets caffenet resnet50] [--threads 2] [--turns 5] [--compile]
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import protonet
from protonet.facts import layer_facts
from protonet.kernels import threads
from protonet.schema.read import NetSource, SolverSource, parse_net, read_net

MODELS = Path(__file__).parents[2] / "models"
NETS = [
    "caffenet",
    "googlenet",
    "vgg16",
    "resnet50",
    "squeezenet_v1.1",
    "mobilenet_v1",
    "lstm",
]
TRAIN_BATCH = {"vgg16": 4}
WARM_UP, TURN = 0.03, 0.1  # seconds of calls before and in each measurement, one at least

# 32 steps of 128 numbers each, 256 hidden units, one of 10 classes at every step.
LSTM = """
name: "lstm"
layer {{ name: "x" type: "Input" top: "data" top: "label" top: "cont" input_param {{
  shape {{ dim: 32 dim: {0} dim: 128 }}
  shape {{ dim: 32 dim: {0} }}
  shape {{ dim: 32 dim: {0} }} }} }}
layer {{ name: "lstm" type: "LSTM" bottom: "data" bottom: "cont" top: "h" recurrent_param {{
  num_output: 256 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "ip" type: "InnerProduct" bottom: "h" top: "y" inner_product_param {{
  num_output: 10 axis: 2 weight_filler {{ type: "xavier" }} }} }}
"""
LSTM_LOSS = """
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "label" top: "loss"
  softmax_param {{ axis: 2 }} }}
"""


def from_memory(name: str, batch: int, training: bool) -> Any:
    """Return a net's message with its data layers made Input layers of this batch."""
    if name == "lstm":
        return parse_net((LSTM + (LSTM_LOSS if training else "")).format(batch)).message
    path = MODELS / name / ("train_val.prototxt" if training else "deploy.prototxt")
    message = read_net(path).message
    plan_shapes: dict[str, tuple[int, ...]] = {}
    for layer in message.layer:
        if layer.type == "Data":
            size = layer.transform_param.crop_size
            plan_shapes[layer.top[0]] = (batch, 3, size, size)
            plan_shapes[layer.top[1]] = (batch,)
            layer.type = "Input"
            layer.ClearField("transform_param")
            layer.ClearField("data_param")
            for name in layer.top:
                layer.input_param.shape.add(dim=plan_shapes[name])
        elif layer.type == "Input":
            for shape in layer.input_param.shape:
                shape.dim[0] = batch
    return message


def fill(net: Any, rng: np.random.Generator) -> dict[str, Any]:
    """Give the inputs random images and labels; return them."""
    values = {}
    for name in net.inputs:
        blob = net.blobs[name]
        if name == "label":
            blob.data[...] = rng.integers(0, 10, blob.shape)
        elif name == "cont":
            blob.data[1:] = 1
        else:
            blob.data[...] = rng.standard_normal(blob.shape)
        values[name] = blob.data.copy()
    return values


def forward_pair(name: str, batch: int, compiled: bool) -> tuple[Callable[[], Any], ...]:
    """Return functions that run a deploy net forward, ours and PyTorch's, and the multiply-adds."""
    import torch
    from torch_net import TorchNet

    net = protonet.Net(NetSource.of(from_memory(name, batch, False)))
    values = fill(net, np.random.default_rng(0))
    peer = TorchNet(net)
    for key, value in values.items():
        peer.set(key, value)
    run = torch.compile(peer.forward) if compiled else peer.forward

    def theirs() -> None:
        with torch.inference_mode():
            run()

    work = sum(fact.multiply_adds for fact in layer_facts(net.plan))
    return net.run_forward, theirs, lambda: work


def training_pair(name: str, batch: int) -> tuple[Callable[[], Any], ...]:
    """Return functions that do one training step, ours and PyTorch's, and the multiply-adds."""
    import torch
    from torch_net import TorchNet

    param = protonet.schema.caffe_pb2.SolverParameter(
        base_lr=1e-5, momentum=0.9, weight_decay=5e-4, lr_policy="fixed", max_iter=10**6
    )
    param.train_net_param.CopyFrom(from_memory(name, batch, True))
    solver = protonet.get_solver(SolverSource.of(param))
    values = fill(solver.net, np.random.default_rng(0))
    peer = TorchNet(solver.net)
    for key, value in values.items():
        peer.set(key, value)
    rule = torch.optim.SGD(peer.parameters, lr=1e-5, momentum=0.9, weight_decay=5e-4)

    def theirs() -> None:
        rule.zero_grad()
        peer.loss().backward()
        rule.step()

    work = 3 * sum(fact.multiply_adds for fact in layer_facts(solver.net.plan))
    return lambda: solver.step(1), theirs, lambda: work


def take_turns(ours: Callable[[], Any], theirs: Callable[[], Any], turns: int) -> list[list[float]]:
    """Return the seconds of a call, ours and theirs, the mean of each turn.

    A turn begins with calls that are not measured: threads of the other side go on spinning for a
    while after their last call, and take a processor.
    """
    times: list[list[float]] = [[], []]
    ours()
    theirs()
    for _ in range(turns):
        for side, function in zip(times, (ours, theirs), strict=True):
            calls_for(WARM_UP, function)
            side.append(calls_for(TURN, function))
    return times


def calls_for(seconds: float, function: Callable[[], Any]) -> float:
    """Call it until so many seconds are over; return the mean time of a call."""
    start, calls = time.perf_counter(), 0
    while True:
        function()
        calls += 1
        passed = time.perf_counter() - start
        if passed >= seconds:
            return passed / calls


def peak(count: int) -> float:
    """Return the multiply-adds a second of PyTorch's product of large matrices."""
    import torch

    a, b = torch.rand(1536, 1536), torch.rand(1536, 1536)
    out = torch.empty(1536, 1536)
    best = math.inf
    for _ in range(8):
        start = time.perf_counter()
        torch.mm(a, b, out=out)
        best = min(best, time.perf_counter() - start)
    return 1536**3 / best


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", nargs="+", default=NETS, choices=NETS)
    parser.add_argument("--threads", type=int, default=threads.available())
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="torch.compile PyTorch's forward")
    options = parser.parse_args()
    try:
        import torch
    except ImportError:
        print("this benchmark compares with PyTorch: pip install torch", file=sys.stderr)
        return 2
    sys.path.insert(0, str(Path(__file__).parent))
    threads.set_count(options.threads)
    torch.set_num_threads(options.threads)
    top = peak(options.threads)
    print(f"{options.threads} threads, torch {torch.__version__}, sgemm {2e-9 * top:.0f} GFLOP/s")
    print(f"{'net':18}{'work':>14}{'protonet ms':>18}{'torch ms':>18}{'ratio':>8}{'of peak':>9}")
    ratios: dict[str, list[float]] = {}
    for name in options.nets:
        batch = TRAIN_BATCH.get(name, 16)
        jobs = {
            "forward, 1": lambda n=name: forward_pair(n, 1, options.compile),
            "forward, 16": lambda n=name: forward_pair(n, 16, options.compile),
            f"training, {batch}": lambda n=name, b=batch: training_pair(n, b),
        }
        for work, make in jobs.items():
            ours, theirs, count = make()
            mine, peers = take_turns(ours, theirs, options.turns)
            a, b = statistics.median(mine), statistics.median(peers)
            share = count() / a / top
            ratios.setdefault(
                work.split(",")[0] + (", 1" if work.endswith(" 1") else ""), []
            ).append(b / a)
            spread = [
                f"{1e3 * statistics.median(t):.1f} ±{500 * (max(t) - min(t)):.1f}"
                for t in (mine, peers)
            ]
            print(
                f"{name:18}{work:>14}{spread[0]:>18}{spread[1]:>18}{b / a:8.2f}{share:9.0%}",
                flush=True,
            )
            del ours, theirs
    for work, values in ratios.items():
        mean = math.exp(statistics.fmean(map(math.log, values)))
        print(f"{work:14} geometric mean {mean:.2f}, least {min(values):.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
