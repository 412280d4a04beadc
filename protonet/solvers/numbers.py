"""Watches the numbers of a run: the first loss, gradient or weight that is not finite stops it.

Gradients are looked at before they are applied, so that there is still a state to go back to.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from protonet.blob import Array
from protonet.errors import NotFiniteError
from protonet.kernels.update import all_finite
from protonet.solvers import resume

if TYPE_CHECKING:
    from protonet.net import Net
    from protonet.solvers.solver import Solver

STOP, CONTINUE = "stop", "continue"

# −log of the smallest normal float32, what the softmax losses take for a probability of 0
SATURATED = 87.3365
_WEIGHTS_EVERY = 20  # iterations between two looks at all weights
_LARGE_RATE, _LARGE_LOSS = 1e3, 1e6  # above these an update may overflow: weights are copied


class Numbers:
    """One solver's watch.

    Args:
        on_nan: STOP or CONTINUE: then it is only told, once.
    """

    def __init__(self, solver: Solver, on_nan: str = STOP) -> None:
        self.on_nan = on_nan
        self._solver = solver
        self._told: set[str] = set()
        self._position: resume.State = {}
        self._before: list[Array] = []  # weights and history, where an update may overflow
        learned = {id(param.blob) for param in solver.net.learnable if param.lr_mult}
        self._statistics = [
            blob
            for layer in solver.net.layers
            for blob in layer.blobs
            if not layer.learned and id(blob) not in learned
        ]
        self._kept: list[Array] = []
        weights = solver.net.blob_loss_weights
        self._losses = [(n, solver.net.blobs[n]) for n in solver.net.outputs if weights[n]]

    def begin(self) -> None:
        """An iteration begins: remember what its forward passes change."""
        if self.on_nan == STOP:
            self._position = resume.drawn(self._solver)
            self._kept = [blob.data.copy() for blob in self._statistics]

    def gradients(self, loss: float) -> None:
        """Look at the loss and the gradients of this iteration, before they are applied.

        Raises:
            NotFiniteError: one is not finite, and that is to stop the run.
        """
        net = self._solver.net
        self._explain_saturation()
        if not math.isfinite(loss):
            net.complete()
            self._found(f"the loss is {loss:g}", _first_blob(net) or _first_weight(net))
        elif not all_finite(net.param_diff):
            self._found("a gradient is not finite", _first_gradient(net))
        self._before = []
        if self.on_nan == STOP and self._may_overflow(loss):
            self._before = [a.copy() for a in self._arenas()]

    def updated(self, look: bool = False) -> None:
        """Look at the weights now and then: after an update, before a snapshot.

        Raises:
            NotFiniteError: one is not finite, and that is to stop the run.
        """
        solver = self._solver
        if look or self._before or solver.iter % _WEIGHTS_EVERY == 0:
            if not all_finite(solver.net.param_data):
                self._found("a weight is not finite", _first_weight(solver.net), updated=True)

    # --- inner --------------------------------------------------------------------------------
    def _arenas(self) -> list[Array]:
        return [self._solver.net.param_data, *self._solver.history_arenas]

    def _may_overflow(self, loss: float) -> bool:
        solver = self._solver
        rate = abs(solver.learning_rate()) * solver.largest_lr_mult
        divides = solver.param.delta == 0 and solver.type not in ("SGD", "Nesterov")
        return rate > _LARGE_RATE or abs(loss) > _LARGE_LOSS or divides

    def _explain_saturation(self) -> None:
        if "saturated" in self._told:
            return
        for name, blob in self._losses:
            values = [blob.values.item()] if blob.shape == () else blob.values.reshape(-1).tolist()
            found = any(abs(value - SATURATED) < 1e-3 for value in values)
            if found and blob.diff.flat[0]:  # its weight is not 0 at the moment
                self._told.add("saturated")
                self._solver.reporter.note(
                    f"iteration {self._solver.iter}: {name} = 87.3365 is -log of the smallest "
                    "float: the net gives every true class the probability 0. Mostly base_lr is "
                    "too high, or the data is not scaled"
                )

    def _found(self, what: str, where: str, updated: bool = False) -> None:
        solver = self._solver
        iteration = solver.iter - 1 if updated else solver.iter
        at = f"iteration {iteration}: {what}"
        if self.on_nan == CONTINUE:
            if what not in self._told:
                self._told.add(what)
                solver.reporter.note(f"{at}; {where}; goes on, as on_nan says")
            return
        rate = solver.learning_rate_at(iteration)
        parts = [at, where, f"lr {rate:g}", *self._records()]
        raise NotFiniteError("; ".join([*parts, self._leave_snapshot(updated)]))

    def _records(self) -> list[str]:
        """Return what the iteration read, where sources can tell."""
        before = {(e["layer"], e["type"]): e["state"] for e in self._position.get("nets", [[]])[0]}
        found = []
        for layer in self._solver.net.layers:
            describe = getattr(layer, "describe_record", None)
            state = before.get((layer.name, layer.type))
            if describe is not None and state is not None:
                first, last = describe(state["consumed"]), describe(layer.consumed - 1)  # type: ignore[attr-defined]
                found.append(f"read {first}" + (f" up to {last}" if last != first else ""))
        return found

    def _leave_snapshot(self, updated: bool) -> str:
        """Go back to before the iteration and write that down; return where it is."""
        solver = self._solver
        if updated and not self._before:
            if solver.last_snapshot is None:
                return "there is no snapshot from before it"
            return f"the last snapshot from before it: {solver.last_snapshot[1]}"
        if updated:
            solver.iter -= 1
            for arena, before in zip(self._arenas(), self._before, strict=True):
                arena[...] = before
        for blob, kept in zip(self._statistics, self._kept, strict=True):
            blob.data[...] = kept
        if not all_finite(solver.net.param_data):
            return "the weights were so before it, already"
        if not (solver.param.snapshot or solver.param.snapshot_after_train):
            return "no snapshot was taken, as the solver says"
        _, state = solver.snapshot(resume.captured(solver) | self._position)
        return f"the snapshot from before it: {state}"


def _first_blob(net: Net) -> str:
    for step in net.steps:
        net.write_left_out(step.top)
        for blob, ref in zip(step.top, step.node.tops, strict=False):
            if not step.node.inserted and not all_finite(blob.data.reshape(-1)):
                return f"first in {_layer(step.layer)}, blob '{ref.name}', {_values(blob.data)}"
    return ""


def _first_gradient(net: Net) -> str:
    """Name the gradient that went wrong first: backward comes from the last layer."""
    for step in reversed(net.steps):
        for i, blob in enumerate(step.layer.blobs):
            if not all_finite(blob.diff.reshape(-1)):
                return f"first in {_layer(step.layer)}, gradient of parameter {i}, " + _values(
                    blob.diff
                )
    return "in none that is there any more"


def _first_weight(net: Net) -> str:
    for layer in net.layers:
        for i, blob in enumerate(layer.blobs):
            if not all_finite(blob.data.reshape(-1)):
                return f"first in {_layer(layer)}, parameter {i}, {_values(blob.data)}"
    return "in none that is there any more"


def _layer(layer: Any) -> str:
    return f"{layer.where}layer '{layer.name}' ({layer.type})"


def _values(a: Array) -> str:
    bad = int(a.size - np.count_nonzero(np.isfinite(a)))
    return f"{bad} of {a.size} values"
