"""What a run needs to go on to the bit, and Caffe's solver states have no field for.

Beside ``<prefix>_iter_<N>.caffemodel`` and ``.solverstate`` stands a ``.protonetstate``: where
each source is, what each generator will draw, states that layers carry over, the losses
that are averaged, the scores of the last test. It is written last and holds the checksums of the
other two, so where it stands and fits, the snapshot is whole. Its first line is a checksum of the
JSON after it: nothing in it is ever run, and a damaged one is known.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random as python_random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from protonet import random
from protonet.errors import ProtonetError, SnapshotError
from protonet.files import written_beside

if TYPE_CHECKING:
    from protonet.net import Net
    from protonet.solvers.solver import Solver

SUFFIX = ".protonetstate"
_HEAD = "protonetstate 1 sha256 "
_MOST_BYTES = 2**31  # a file that is larger is none of ours
_CHUNK = 1 << 20
_OTHER_CONTENTS = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)

State = dict[str, Any]
_Path = str | os.PathLike[str]


# --- what is in it -------------------------------------------------------------------------------
def captured(solver: Solver) -> State:
    """Return where a solver is, as of now; see the module's docstring."""
    return {
        "iter": solver.iter,
        "tested_at": solver.tested_at,
        "scores": {str(index): scores for index, scores in solver.scores.items()},
        "kept": solver.keep.state(),
        **drawn(solver),
    }


def drawn(solver: Solver) -> State:
    """Return what of that the passes of an iteration change."""
    state: State = {
        "generator": random.frozen(random.generator()),
        "nets": [_of_net(net) for net in (solver.net, *solver.test_nets)],
        "losses": list(solver.losses),
    }
    if any(layer.type == "Python" for layer in solver.net.stateful):
        # users' layers draw from these
        state["python"] = _listed(python_random.getstate())
        state["numpy"] = _listed(np.random.get_state(legacy=True))  # noqa: NPY002
    return state


def _of_net(net: Net) -> list[State]:
    return [
        {"layer": layer.name, "type": layer.type, "state": state}
        for layer in net.stateful
        if (state := layer.resume_state())
    ]


def restore(solver: Solver, state: State, path: _Path) -> list[str]:
    """Take a solver to where another was; return what it had no use for, a line each.

    Raises:
        SnapshotError: the state is none of this solver's.
        ProtonetError: a source is not there any more.
    """
    notes: list[str] = []
    try:
        nets = [solver.net, *solver.test_nets]
        if len(nets) != len(state["nets"]):
            notes.append(
                f"{os.fspath(path)}: has {len(state['nets']) - 1} test nets, the solver "
                f"{len(nets) - 1}: they begin anew"
            )
            nets = nets[:1]
        for net, layers in zip(nets, state["nets"], strict=False):
            notes += _to_net(net, layers, path)
        solver.resumed_losses = [float(loss) for loss in state["losses"]]
        solver.tested_at = int(state["tested_at"])
        solver.scores = {int(index): dict(scores) for index, scores in state["scores"].items()}
        solver.keep.restore(state["kept"])
        random.generator().bit_generator.state = state["generator"]
        if "python" in state:
            python_random.setstate(_tupled(state["python"]))
            np.random.set_state(_tupled(state["numpy"]))  # noqa: NPY002
    except _OTHER_CONTENTS as error:
        raise SnapshotError(
            f"{os.fspath(path)}: is not of this version of protonet or not of this net: {error!r}"
        ) from None
    return notes


def _to_net(net: Net, layers: list[State], path: _Path) -> list[str]:
    notes = []
    given = {(entry["layer"], entry["type"]): entry["state"] for entry in layers}
    for layer in net.layers:
        state = given.pop((layer.name, layer.type), None)
        if state is not None:
            layer.resume_from(state)
        elif layer.resume_state():
            notes.append(
                f"{os.fspath(path)}: knows nothing of layer '{layer.name}' ({layer.type}), which "
                "begins anew"
            )
    notes += [
        f"{os.fspath(path)}: the net has no layer '{name}' ({kind}), ignored"
        for name, kind in given
    ]
    return notes


# --- the file ------------------------------------------------------------------------------------
def path_of(state: _Path) -> Path:
    """Return the file that belongs to a .solverstate or .solverstate.h5."""
    name = os.path.basename(state).removesuffix(".h5").removesuffix(".solverstate")
    return Path(state).with_name(name + SUFFIX)


@contextmanager
def begun(path: Path) -> Iterator[None]:
    """Mark a snapshot as not whole while its files are written, until :func:`write`.

    A run that is killed meanwhile leaves the mark. Its first snapshot could be taken for one of
    Caffe's otherwise.

    Raises:
        OutputError: the mark cannot be written.
    """
    new = not path.exists()
    if new:
        with written_beside(path) as file:
            file.write(f"{_HEAD}\n".encode())
    try:
        yield
    except BaseException:
        if new:
            path.unlink(missing_ok=True)
        raise


def write(path: _Path, state: State, files: list[Path]) -> None:
    """Write a state, with the checksums of the files that it goes with.

    Raises:
        OutputError: the file cannot be written.
    """
    body = json.dumps(
        {**state, "files": {file.name: _digest(file) for file in files}}, default=_encoded
    ).encode()
    with written_beside(path) as file:
        file.write(f"{_HEAD}{hashlib.sha256(body).hexdigest()}\n".encode())
        file.write(body)


def read(path: _Path) -> State:
    """Read what :func:`write` wrote.

    Raises:
        SnapshotError: the file cannot be read, is none, or is damaged.
    """
    name = os.fspath(path)
    try:
        if os.path.getsize(path) > _MOST_BYTES:
            raise SnapshotError(f"{name}: larger than any state of ours")
        head, _, body = Path(path).read_bytes().partition(b"\n")
    except OSError as error:
        raise SnapshotError(f"{name}: cannot be read: {error.strerror}") from None
    if not head.startswith(_HEAD.encode()):
        raise SnapshotError(f"{name}: not a protonetstate of this version")
    if head[len(_HEAD) :].decode("ascii", "replace") != hashlib.sha256(body).hexdigest():
        raise SnapshotError(f"{name}: damaged, or cut off at {len(head) + 1 + len(body)} bytes")
    try:
        state = json.loads(body, object_hook=_decoded)
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise SnapshotError(f"{name}: not a protonetstate: {error}") from None
    if not isinstance(state, dict):
        raise SnapshotError(f"{name}: not a protonetstate: expected an object")
    return state


def check(state: _Path) -> State | None:
    """Find out whether a snapshot is whole; return what stands beside its solver state, if so.

    Raises:
        SnapshotError: a file of the snapshot is missing, cut off or damaged.
    """
    path = path_of(state)
    if not path.exists():
        return None
    found = read(path)
    for name, digest in dict(found.get("files", {})).items():
        file = path.with_name(os.path.basename(name))
        if not file.exists():
            raise SnapshotError(f"{file}: is missing, {path.name} needs it")
        if _digest(file) != digest:
            raise SnapshotError(f"{file}: damaged: it is not what {path.name} was written with")
    return found


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise SnapshotError(f"{path}: cannot be read: {error.strerror}") from None
    return digest.hexdigest()


def _encoded(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        raw = base64.b64encode(np.ascontiguousarray(value, "<f4").tobytes()).decode()
        return {"float32": raw, "shape": list(value.shape)}
    if isinstance(value, np.integer | np.floating):
        return value.item()
    raise TypeError(f"a resume_state cannot hold a {type(value).__name__}")


def _decoded(value: State) -> Any:
    if value.keys() == {"float32", "shape"}:
        raw = np.frombuffer(base64.b64decode(value["float32"]), "<f4")
        return raw.astype(np.float32).reshape(value["shape"])
    return value


def _listed(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_listed(v) for v in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


def _tupled(value: Any) -> Any:
    return tuple(_tupled(v) for v in value) if isinstance(value, list) else value


# --- finding one ---------------------------------------------------------------------------------
def snapshots(prefix: Path) -> Iterator[tuple[int, Path]]:
    """Yield iteration and solver state of the snapshots of a prefix, the latest first."""
    name = re.compile(rf"{re.escape(prefix.name)}_iter_(\d+)\.solverstate(\.h5)?")
    try:
        files = list(prefix.parent.iterdir())
    except OSError:
        return
    found = [(int(match[1]), file) for file in files if (match := name.fullmatch(file.name))]
    yield from sorted(found, reverse=True)


def latest(prefix: Path) -> tuple[Path | None, list[str]]:
    """Find the latest whole snapshot of a prefix.

    Where some snapshots have a ``.protonetstate`` those without one broke off while they were
    written. Caffe's own have none: there all that can be read are whole.

    Returns:
        Its solver state or None, and a line for each later one that is damaged.
    """
    damaged: list[str] = []
    found = list(snapshots(prefix))
    ours = any(path_of(state).exists() for _, state in found)
    for _, state in found:
        try:
            if check(state) is None:
                if ours:
                    raise SnapshotError(f"{state}: broke off before {path_of(state).name} was made")
                _read_through(state)
            return state, damaged
        except ProtonetError as error:
            damaged.append(str(error))
    return None, damaged


def _read_through(state: Path) -> None:
    """Raise SnapshotError when a solver state of Caffe's, or its weights, cannot be read."""
    from protonet.solvers.snapshot import read_state, read_weights, weights_beside

    read_weights(weights_beside(state, read_state(state).learned_net))
