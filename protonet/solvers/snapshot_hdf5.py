"""Snapshots in HDF5: .caffemodel.h5 and .solverstate.h5.

Weights are datasets ``data/<layer>/<i>``, a shared parameter is stored with its owner only;
gradients, if asked for, are ``diff/<layer>/<i>``. A
solver state has ``iter``, ``current_step``, ``learned_net`` and datasets ``history/<i>``.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np

from protonet.errors import SnapshotError
from protonet.files import written_beside
from protonet.hdf5_files import check_size, opened
from protonet.solvers.snapshot import Stored, StoredState, StoredWeights

if TYPE_CHECKING:
    from protonet.net import Net
    from protonet.solvers.solver import Solver

_Path = str | os.PathLike[str]


def save_weights(net: Net, path: _Path, diffs: bool) -> None:
    """Write a net's weights by layer name."""
    import h5py

    owners = {id(param.blob) for param in net.learnable}
    with written_beside(path) as file, h5py.File(file, "w") as out:
        data = out.create_group("data")
        for layer in net.layers:
            group = data.require_group(layer.name)
            for i, blob in enumerate(layer.blobs):
                if id(blob) in owners and str(i) not in group:
                    group[str(i)] = blob.data
                if diffs:
                    gradients = out.require_group(f"diff/{layer.name}")
                    if str(i) not in gradients:
                        gradients[str(i)] = blob.diff


def save_state(solver: Solver, path: _Path, weights: _Path) -> None:
    """Write a solver's iteration, step and history."""
    import h5py

    with written_beside(path) as file, h5py.File(file, "w") as out:
        out["iter"] = np.array([solver.iter], np.int32)
        out["current_step"] = np.array([solver.current_step], np.int32)
        out["learned_net"] = np.bytes_(os.fspath(weights).encode())
        history = out.create_group("history")
        for i, values in enumerate(solver.history):
            history[str(i)] = values


def _opened(path: _Path, what: str) -> AbstractContextManager[Any]:
    broken = f"{os.fspath(path)}: not {what} in HDF5, or broken"
    return opened(path, broken, SnapshotError)


def _stored(dataset: Any) -> Stored:
    check_size(dataset)
    # read now: the file is closed when the values are wanted
    values = np.asarray(dataset[()], np.float32)
    return Stored(tuple(dataset.shape), lambda: values.reshape(-1), four=values.ndim == 4)


def read_weights(path: _Path) -> StoredWeights:
    """Read a .caffemodel.h5.

    Raises:
        SnapshotError: the file cannot be read or is none.
    """
    import h5py

    layers: dict[str, dict[int, Stored]] = {}

    def take(name: str, entry: Any) -> None:
        # a layer called inception/1x1 is a group within a group
        if isinstance(entry, h5py.Dataset):
            layer, _, index = name.rpartition("/")
            layers.setdefault(layer, {})[int(index)] = _stored(entry)

    with _opened(path, "weights") as file:
        file["data"].visititems(take)
    return StoredWeights(list(layers.items()), owners_only=True)


def read_state(path: _Path) -> StoredState:
    """Read a .solverstate.h5.

    Raises:
        SnapshotError: the file cannot be read or is none.
    """
    with _opened(path, "a solver state") as file:
        history = file["history"]
        return StoredState(
            iter=int(np.ravel(file["iter"][()])[0]),
            learned_net=_text(file["learned_net"][()]) if "learned_net" in file else "",
            current_step=int(np.ravel(file["current_step"][()])[0]),
            history=[_stored(history[str(i)]) for i in range(len(history))],
        )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
