"""Compile what training needs in a second process, while the first one is at the forward pass.

The first iteration of a net that was never trained on a machine mostly compiles. Numba compiles
one kernel at a time in a process, so a second process makes use of a second processor: it goes
backward through a copy of the net, compiles what each layer asks for, and runs none of it. The
first process then finds the kernels in the cache. Those that do two layers as one come last;
until they are there, the first process trains without them.
"""

from __future__ import annotations

import gc
import importlib
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from protonet import fillers
from protonet.kernels import jit, second, threads, update
from protonet.layer import Layer
from protonet.layers.input import make_input
from protonet.net import Net
from protonet.schema import caffe_pb2 as pb
from protonet.schema.read import SolverSource

if TYPE_CHECKING:
    from protonet.solvers.solver import Solver


def start(solver: Solver) -> subprocess.Popen[bytes] | None:
    """Have the second process compile for a solver, if there is a processor for it.

    Users' own layers are never run twice: where there are any, all is compiled in this process.
    """
    if any(map(_is_foreign, solver.net.layers)):
        second.dismiss()
        return None
    return second.send(_message(solver).SerializeToString())


def _is_foreign(layer: Layer) -> bool:
    return layer.type == "Python" or not type(layer).__module__.startswith("protonet.")


def _message(solver: Solver) -> Any:
    """Return a SolverParameter of the same rule for the training net alone."""
    message: Any = pb.SolverParameter()
    message.CopyFrom(solver.param)
    nets = ("net", "net_param", "train_net", "test_net", "test_net_param", "weights")
    for name in (*nets, "test_iter", "test_state", "train_state", "test_interval"):
        message.ClearField(name)
    message.train_net_param.CopyFrom(without_sources(solver.net))
    return message


def without_sources(net: Net) -> Any:
    """Return a net's message that reads no data and writes no file.

    Input layers are in place of those without bottoms, and what has no tops, which may write, is
    left out.
    """
    message: Any = pb.NetParameter(name=net.name)
    for step in net.steps:
        if step.node.inserted or not step.top:
            continue
        layer = message.layer.add(name=step.node.name, top=[ref.name for ref in step.node.tops])
        if not step.bottom:
            make_input(layer, step.top)
            continue
        layer.CopyFrom(step.node.param)
        for rule in ("include", "exclude"):
            layer.ClearField(rule)
    return message


def compile_backward(message: Any) -> None:
    """Compile what a solver's training net needs going backward, and for its update."""
    from protonet.solvers import get_solver

    def compile_only(kernel: jit.Kernel, *args: Any, **options: Any) -> Any:
        kernel.compile()

    fillers.fill = lambda *args: None  # weights make no difference
    threads.share = compile_only
    jit.Kernel.__call__ = compile_only  # type: ignore[assignment, method-assign]
    solver = get_solver(SolverSource.of(message))
    # The kernels that take longest, in the order in which the first process will ask for them: for
    # products already on its way forward. A convolution's gradient of the data waits, since the
    # first process may be compiling its kernel for the forward pass.
    for kind, down in (("InnerProduct", True), ("Convolution", False), ("Pooling", True)):
        for step in reversed(solver.net.steps):
            if step.node.type == kind and step.backward:
                wanted = [flag and down for flag in step.propagate_down]
                _attempt(partial(step.layer.backward, step.top, wanted, step.bottom))
    update.all_finite(solver.net.param_diff)
    solver.compute_update(0.0)
    for chain in solver.net.chains:
        _attempt(chain.backward)
    for chain in solver.net.hidden_chains:
        if chain.pools:
            _attempt(chain.forward)
            _attempt(chain.backward)


def _attempt(run: Callable[[], None]) -> None:
    try:
        run()
    except Exception:
        return  # it misses what its kernels would have written: the first process compiles


def main() -> None:
    """Be the second process: read a SolverParameter, in binary, from the standard input."""
    gc.disable()  # what compiling makes lives on, and this process does not live long
    importlib.import_module("numba")  # while the first one may still be reading files
    message = pb.SolverParameter()
    message.ParseFromString(sys.stdin.buffer.read())
    if message.HasField("train_net_param"):  # else the first process has ended before
        compile_backward(message)
