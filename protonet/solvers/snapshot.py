"""Weights and solver states on disk, as Caffe writes and reads them.

Two formats, told apart by the name as Caffe does: HDF5 for ``.h5``, else protobuf's binary one.
Here is what they share: which values go where, and whether they fit. A file that does not fit
changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from protonet.blob import Array, Shape
from protonet.errors import SnapshotError

if TYPE_CHECKING:
    from protonet.layer import Layer
    from protonet.net import Net
    from protonet.solvers.solver import Solver

_Path = str | os.PathLike[str]


@dataclass(frozen=True)
class Stored:
    """A blob in a file.

    Attributes:
        shape: as stored.
        four: stored by an old Caffe as num, channels, height, width: ones may stand before it.
        read: returns the values, (count,) float32.
    """

    shape: Shape
    read: Callable[[], Array]
    four: bool = False

    def fits(self, shape: Shape) -> bool:
        """Whether a blob of this shape can take the values."""
        if self.four:
            return len(shape) <= 4 and self.shape == (1,) * (4 - len(shape)) + shape
        return self.shape == shape


@dataclass
class StoredWeights:
    """Layer names and their blobs, by index.

    Attributes:
        owners_only: shared parameters are stored with their owner only.
    """

    layers: list[tuple[str, dict[int, Stored]]] = field(default_factory=list)
    owners_only: bool = False


@dataclass
class StoredState:
    """What a solver state holds."""

    iter: int
    learned_net: str
    current_step: int
    history: list[Stored] = field(default_factory=list)


def is_hdf5(path: _Path) -> bool:
    """Whether a file of this name is in the HDF5 format."""
    return os.fspath(path).endswith(".h5")


def save_weights(net: Net, path: _Path, diffs: bool = False) -> None:
    """Write a net's layers with their weights, and the gradients beside them if asked for.

    Raises:
        OutputError: the file cannot be written, or would be larger than its format allows.
    """
    if is_hdf5(path):
        from protonet.solvers import snapshot_hdf5

        snapshot_hdf5.save_weights(net, path, diffs)
    else:
        from protonet.solvers import snapshot_binary

        snapshot_binary.save_weights(net, path, diffs)


def save_state(solver: Solver, path: _Path, weights: _Path) -> None:
    """Write iteration, step and history of a solver, and the path of its weights.

    Raises:
        OutputError: the file cannot be written.
    """
    if is_hdf5(path):
        from protonet.solvers import snapshot_hdf5

        snapshot_hdf5.save_state(solver, path, weights)
    else:
        from protonet.solvers import snapshot_binary

        snapshot_binary.save_state(solver, path, weights)


def read_weights(path: _Path) -> StoredWeights:
    """Read a weights file of either format, or one of arrays (see :mod:`protonet.weights`).

    Raises:
        SnapshotError: it cannot be read or is none.
    """
    if os.fspath(path).endswith((".npz", ".safetensors")):
        from protonet import weights

        return weights.read_arrays(path)
    if is_hdf5(path):
        from protonet.solvers import snapshot_hdf5

        return snapshot_hdf5.read_weights(path)
    from protonet.solvers import snapshot_binary

    return snapshot_binary.read_weights(path)


def load_weights(
    net: Net,
    path: _Path,
    stored: StoredWeights | None = None,
    left_out: list[str] | None = None,
) -> list[str]:
    """Copy the weights of a file into the layers of the same names.

    Where a name is repeated, the first layer of that name gets the weights of the first, and so
    on.

    Args:
        net: changed.
        path: the file.
        stored: what it holds, if it was read already.
        left_out: gets a line for each layer whose blobs do not fit, which is then left as it is;
            without it that is an error.

    Returns:
        Names of layers with weights in the file that the net does not have.

    Raises:
        SnapshotError: the file is not a weights file, is cut off, or holds blobs of other numbers
            or shapes than the net's layers. The net is unchanged then.
    """
    if stored is None:
        stored = read_weights(path)
    layers: dict[str, list[Layer]] = {}
    for layer in net.layers:
        layers.setdefault(layer.name, []).append(layer)
    shared = {(p.layer, p.index) for i, p in enumerate(net.plan.params) if p.owner != i}
    unused: list[str] = []
    pairs: list[tuple[Stored, Array, str]] = []
    for name, blobs in stored.layers:
        of_that_name = layers.get(name)
        if of_that_name is None:
            if blobs:
                unused.append(name)
            continue
        layer = of_that_name.pop(0) if len(of_that_name) > 1 else of_that_name[0]
        what = f"{os.fspath(path)}: layer '{name}' ({layer.type})"
        needed = {
            i for i in range(len(layer.blobs)) if not (stored.owners_only and (name, i) in shared)
        }
        mine: list[tuple[Stored, Array, str]] = []
        try:
            if not needed <= set(blobs) <= set(range(len(layer.blobs))):
                raise SnapshotError(
                    f"{what}: expected {len(needed)} parameter blobs, got {len(blobs)}"
                )
            for i, blob in blobs.items():
                mine.append((blob, layer.blobs[i].data, f"{what}: parameter {i}"))
                _check(*mine[-1])
        except SnapshotError as error:
            if left_out is None:
                raise
            left_out.append(str(error).removeprefix(f"{os.fspath(path)}: "))
        else:
            pairs += mine
    _fitting(pairs)()
    return unused


def read_state(path: _Path) -> StoredState:
    """Read a solver state of either format.

    Raises:
        SnapshotError: it cannot be read or is none.
    """
    if is_hdf5(path):
        from protonet.solvers import snapshot_hdf5

        return snapshot_hdf5.read_state(path)
    from protonet.solvers import snapshot_binary

    return snapshot_binary.read_state(path)


def weights_beside(state: _Path, learned_net: str) -> Path:
    """Return where the weights are that a solver state names: beside it, else where it says.

    So a folder of snapshots can be moved or copied.
    """
    beside = Path(state).with_name(Path(learned_net).name)
    return beside if beside.exists() or not Path(learned_net).exists() else Path(learned_net)


def load_state(solver: Solver, path: _Path) -> None:
    """Restore iteration, step, history and the weights that go with them.

    Raises:
        SnapshotError: a file cannot be read or does not fit the solver, which is unchanged then.
    """
    state = read_state(path)
    if len(state.history) != len(solver.history):
        raise SnapshotError(
            f"{os.fspath(path)}: expected {len(solver.history)} history blobs for the "
            f"{solver.type} solver of this net, got {len(state.history)}"
        )
    names = [f"{os.fspath(path)}: history blob {i}" for i in range(len(state.history))]
    copy = _fitting(list(zip(state.history, solver.history, names, strict=True)))
    if state.learned_net:
        load_weights(solver.net, weights_beside(path, state.learned_net))
    copy()
    solver.iter = state.iter
    solver.current_step = state.current_step


def _check(stored: Stored, target: Array, what: str) -> None:
    if not stored.fits(target.shape):
        raise SnapshotError(f"{what}: expected the shape {target.shape}, got {stored.shape}")


def _fitting(pairs: Sequence[tuple[Stored, Array, str]]) -> Callable[[], None]:
    """Return what copies stored values into arrays, after all of them were found to fit."""
    values = []
    for stored, target, what in pairs:
        _check(stored, target, what)
        read = stored.read()
        if read.size != target.size:
            raise SnapshotError(f"{what}: expected {target.size} values, got {read.size}")
        values.append(read)

    def copy() -> None:
        for (_, target, _), read in zip(pairs, values, strict=True):
            np.copyto(target, read.reshape(target.shape))

    return copy
