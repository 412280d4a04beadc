"""The nets that a solver file asks for: from which file or message, in which state.

The state that chooses layers is the solver's phase, over that what the net's own ``state`` says,
over that the solver's ``train_state`` or ``test_state``. As BVLC Caffe 1.0
(``Solver::InitTrainNet``, ``InitTestNets``).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from protonet.layer import TEST, TRAIN
from protonet.net import Net

if TYPE_CHECKING:
    from protonet.solvers.solver import Solver


def train_net(solver: Solver) -> Net:
    """Return the training net, with the weights that the solver's ``weights`` name.

    Raises:
        ProtonetError: none or several nets are given, one cannot be built, or weights do not fit.
    """
    param = solver.param
    fields = ("net", "net_param", "train_net", "train_net_param")
    given = [name for name in fields if param.HasField(name)]
    if len(given) != 1:
        got = " and ".join(given) or "none"
        raise solver.error(f"expected one of {', '.join(fields)}, got {got}", (given or [""])[-1])
    net = _build(solver, _source(solver, given[0]), param.train_state, TRAIN)
    for path in _weight_files(solver):
        for name in net.copy_from(path):
            solver.reporter.note(f"{path}: the net has no layer '{name}', ignored")
    return net


def test_nets(solver: Solver) -> list[Net]:
    """Return the nets to test, which use the training net's parameters.

    Raises:
        ProtonetError: numbers of test nets, ``test_iter`` and ``test_state`` do not fit, or a net
            cannot be built.
    """
    param = solver.param
    sources = [
        solver.source.inline_net("test_net_param", i) for i in range(len(param.test_net_param))
    ]
    sources += [_read(solver, name, "test_net") for name in param.test_net]
    generic = len(param.test_iter) - len(sources)
    shared = "net" if param.HasField("net") else "net_param"
    if generic < 0 or (generic > 0 and not param.HasField(shared)):
        raise solver.error(
            f"expected a test_iter for each test net, got {len(param.test_iter)} for "
            f"{len(sources)} test nets",
            "test_iter",
        )
    if generic:
        sources += [_source(solver, shared)] * generic
    if sources and param.test_interval <= 0:
        raise solver.error("there are test nets: expected a test_interval of at least 1, got 0")
    if min(param.test_iter, default=1) < 1:
        raise solver.error(
            f"expected test_iter of at least 1, got {min(param.test_iter)}", "test_iter"
        )
    if param.test_state and len(param.test_state) != len(sources):
        raise solver.error(
            f"expected a test_state for each of {len(sources)} test nets, "
            f"got {len(param.test_state)}",
            "test_state",
        )
    states = list(param.test_state) or [type(param.train_state)()] * len(sources)
    nets = [
        _build(solver, source, state, TEST, share_with=solver.net)
        for source, state in zip(sources, states, strict=True)
    ]
    files = _weight_files(solver)
    for net in nets:
        for path in files:
            # what only the test net has; the training net's parameters hold these already
            net.copy_from(path)
    return nets


def _build(solver: Solver, source: Any, state: Any, phase: int, **options: Any) -> Net:
    own = source.message.state
    for given in (own, state):
        if given.HasField("phase"):
            phase = given.phase
    level = state.level if state.HasField("level") else own.level
    return solver.net_class(source, phase, level=level, stages=list(state.stage), **options)


def _source(solver: Solver, field: str) -> Any:
    if field.endswith("_param"):
        return solver.source.inline_net(field, 0)
    return _read(solver, getattr(solver.param, field), field)


def _read(solver: Solver, name: str, field: str) -> Any:
    from protonet.schema.read import read_net

    return read_net(_existing(solver, name, field))


def _weight_files(solver: Solver) -> list[Path]:
    """Return the files of the ``weights`` entries, each of which may name several by commas."""
    names = [name.strip() for entry in solver.param.weights for name in entry.split(",")]
    return [_existing(solver, name, "weights") for name in names if name]


def _existing(solver: Solver, name: str, field: str) -> Path:
    """Return the path of a file that must exist: from here, or beside the solver's file."""
    path = Path(name)
    if not path.is_absolute() and not path.exists() and solver.source.path:
        beside = Path(solver.source.path).parent / path
        if beside.exists():
            path = beside
    if not path.exists():
        raise solver.error(f"{field}: no such file: '{name}'", field)
    return path
