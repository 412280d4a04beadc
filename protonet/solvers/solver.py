"""The step loop: forward, backward, update; tests and snapshots at their intervals.

As BVLC Caffe 1.0 (``Solver::Step``). A rule is a subclass that says how a gradient becomes an
update; see ``sgd.py``.
"""

from __future__ import annotations

import math
import os
import subprocess
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from protonet import random
from protonet.blob import Array, aligned_zeros
from protonet.errors import OutputError, PrototxtError
from protonet.kernels import jit, second, update
from protonet.net import Net
from protonet.scoring import score
from protonet.solvers import ahead, nets, resume
from protonet.solvers.keep import Keep
from protonet.solvers.lr_policy import check_policy, current_step, learning_rate
from protonet.solvers.numbers import Numbers
from protonet.solvers.snapshot import load_state, save_state
from protonet.watch.debug_info import DebugInfo
from protonet.watch.reporter import Reporter

NetClass = type[Net]
RuleClass = TypeVar("RuleClass", bound="type[Solver]")
RULES: dict[str, type[Solver]] = {}


def register_rule(type_name: str) -> Callable[[RuleClass], RuleClass]:
    """Class decorator: make a solver known under Caffe's name of its type."""

    def add(cls: RuleClass) -> RuleClass:
        cls.type = type_name
        RULES[type_name] = cls
        return cls

    return add


class Solver:
    """Trains a net as a solver prototxt says.

    Args:
        source: what ``schema.read_solver`` returns.
        reporter: is told what happens; silent by default.
        snapshot_prefix: used when the file gives none; else the solver file's name without suffix.

    Attributes:
        net: the training net.
        test_nets: the nets that are tested; they share its parameters by layer name.
        iter: iterations done.
        param: the SolverParameter message.
        largest_lr_mult: of all parameters, without their signs.
        history: the rule's memory, arrays of the parameters' shapes, as a .solverstate lists them.
        losses: the last ``average_loss`` losses.
        scores: of each test net, by index, the means of its last test; ``tested_at`` is when.
        last_snapshot: paths of the weights and the state that were written last.
        keep: which snapshots stay on the disk.
        numbers: watches that they are finite; its ``on_nan`` says what happens if not.
        resumed_losses: losses of a run that is gone on with, which count in the average.

    Raises:
        ProtonetError: fields that make no sense, or nets that cannot be built.
    """

    type: ClassVar[str] = ""
    history_per_param: ClassVar[int] = 1
    net_class: ClassVar[NetClass] = Net

    def __init__(
        self,
        source: Any,
        reporter: Reporter | None = None,
        snapshot_prefix: str | os.PathLike[str] | None = None,
    ) -> None:
        self.source = source
        self.param = source.message
        self.reporter = reporter or Reporter()
        self.iter = 0
        self.current_step = 0
        self.scores: dict[int, dict[str, list[float]]] = {}
        self.tested_at = -1
        self._callbacks: list[tuple[Callable[[], None], Callable[[], None]]] = []
        self._hides = False  # whether nobody can read blobs that this iteration's passes leave out
        self._blobs_are_read = False  # in each iteration, by a callback
        self._stop_requested = False
        self._snapshot_requested = False
        self._compiled = False  # whether all kernels of an iteration are
        self._second: subprocess.Popen[bytes] | None = None  # process that compiles, while it does
        source.refuse_unknown()
        self._check()
        self.last_snapshot: tuple[Path, Path] | None = None
        self.snapshot_prefix = self._prefix(snapshot_prefix)
        if self.param.random_seed >= 0:
            random.set_random_seed(self.param.random_seed)
        self.net = nets.train_net(self)
        self.test_nets = nets.test_nets(self)
        self.losses: deque[float] = deque(maxlen=max(1, self.param.average_loss))
        self._allocate_history()
        self.keep = Keep()
        self.numbers = Numbers(self)
        self.resumed_losses: list[float] = []
        self._tested_before = -1  # the iteration of a resumed run whose test was done already
        self._set_debug_info()
        self._note_devices()

    # --- what the file asks for ------------------------------------------------------------
    def error(self, message: str, field: str = "") -> PrototxtError:
        """Return an error that names the file, the line of ``field``, then ``message``."""
        line = self.source.field_lines.get(field, 0) if field else 0
        place = f"{self.source.path}:{line}: " if line else f"{self.source.path}: "
        return PrototxtError(f"{place if self.source.path else ''}{message}")

    def _check(self) -> None:
        param = self.param
        try:
            check_policy(param)
        except PrototxtError as error:
            raise self.error(str(error), "lr_policy") from None
        if param.regularization_type not in ("L1", "L2"):
            raise self.error(
                f"expected regularization_type L1 or L2, got '{param.regularization_type}'",
                "regularization_type",
            )
        for name in ("iter_size", "average_loss"):
            if getattr(param, name) < 1:
                raise self.error(f"expected {name} of at least 1, got {getattr(param, name)}", name)
        for name in ("snapshot", "display", "test_interval", "max_iter"):
            if getattr(param, name) < 0:
                raise self.error(f"expected {name} of 0 or more, got {getattr(param, name)}", name)
        self.check_rule()

    def check_rule(self) -> None:
        """Raise PrototxtError when a field does not fit the rule. For rules to override."""

    def refuse_momentum(self) -> None:
        """Raise PrototxtError when momentum is set, for rules that have no use for it."""
        if self.param.momentum:
            raise self.error(
                f"the {self.type} solver has no momentum, got momentum {self.param.momentum:g}",
                "momentum",
            )

    def _prefix(self, fallback: str | os.PathLike[str] | None) -> Path:
        """Return what names of snapshots begin with; of a folder, the solver file's name in it."""
        stem = Path(self.source.path or "solver").with_suffix("")
        prefix = Path(self.param.snapshot_prefix or fallback or stem)
        return prefix / stem.name if prefix.is_dir() else prefix

    def _set_debug_info(self) -> None:
        """Describe passes to the reporter: a net's own wish always, the solver's when it is due."""
        for net in (self.net, *self.test_nets):
            tests = net is not self.net
            if net.debug_info is not None or (tests and self.param.debug_info):
                net.debug_info = DebugInfo(net, self.reporter.debug_info)
        if self.param.debug_info and not self.param.display:
            self.reporter.note("debug_info describes iterations that are displayed: display is 0")

    def _describe_passes(self, shown: bool) -> None:
        """Have the training net describe this iteration, as debug_info says."""
        net = self.net
        if self.param.debug_info and not net.plan.graph.debug_info:
            net.debug_info = DebugInfo(net, self.reporter.debug_info) if shown else None

    def _note_devices(self) -> None:
        """Say what fields about GPUs come to here."""
        param = self.param
        asked = []
        if param.HasField("solver_mode") and param.solver_mode == param.GPU:
            asked.append("solver_mode: GPU")
        if param.HasField("device_id"):
            asked.append(f"device_id: {param.device_id}")
        if asked:
            what = ", ".join(asked)
            self.reporter.note(f"{what}: there is no code for GPUs here, all runs on the CPU")
        if param.HasField("layer_wise_reduce"):
            self.reporter.note(
                "layer_wise_reduce concerns training on several GPUs: it changes nothing here"
            )

    # --- parameters and their history --------------------------------------------------------
    def _allocate_history(self) -> None:
        net = self.net
        starts = [net.param_start[id(p.blob)] for p in net.learnable]
        self.bounds = np.array([*starts, net.param_data.size], np.int64)
        self._lr_mults = np.array([p.lr_mult for p in net.learnable], np.float32)
        self.largest_lr_mult = max((abs(p.lr_mult) for p in net.learnable), default=0.0)
        decay_mults = np.array([p.decay_mult for p in net.learnable], np.float32)
        self.local_decays: Array = decay_mults * np.float32(self.param.weight_decay)
        self.history_arenas: list[Array] = [
            aligned_zeros(net.param_data.size) for _ in range(self.history_per_param)
        ]
        self.history: list[Array] = [
            arena[start : start + p.blob.count].reshape(p.blob.shape)
            for arena in self.history_arenas
            for start, p in zip(starts, net.learnable, strict=True)
        ]

    def local_rates(self, rate: float) -> Array:
        """Return the rate of each parameter: ``rate`` times its lr_mult."""
        return self._lr_mults * np.float32(rate)

    def compute_update(self, rate: float) -> None:
        """Turn the parameters' gradients into an update and apply it. Each rule has its own."""
        raise TypeError(f"{type(self).__name__} is not a solver type")

    def apply_update(self) -> None:
        """Update the parameters from their gradients, once."""
        rate = self.learning_rate()
        if self.param.display and self.iter % self.param.display == 0:
            self.reporter.learning_rate(self.iter, rate)
        if self.param.clip_gradients >= 0:
            self._clip()
        if self.net.debug_info is not None:
            self.net.debug_info.update(lambda: self.compute_update(rate))
        else:
            self.compute_update(rate)

    def _clip(self) -> None:
        """Scale all gradients down to a joint L2 norm of ``clip_gradients``."""
        norm = math.sqrt(update.sum_of_squares(self.net.param_diff))
        if norm > self.param.clip_gradients:
            update.scale(self.net.param_diff, self.param.clip_gradients / norm)

    def learning_rate(self) -> float:
        """Return the rate of the coming iteration."""
        self.current_step = current_step(self.param, self.iter)
        return self.learning_rate_at(self.iter)

    def learning_rate_at(self, iteration: int) -> float:
        """Return the rate of an iteration."""
        return learning_rate(self.param, iteration)

    # --- the loop ----------------------------------------------------------------------------
    def add_callback(
        self, before: Callable[[], None], after: Callable[[], None], reads_blobs: bool = True
    ) -> None:
        """Call ``before()`` ahead of each iteration, and ``after()`` when gradients are ready.

        Args:
            reads_blobs: whether it reads blobs of the training net other than outputs and inputs.
                All have their values then; that takes longer.
        """
        self._callbacks.append((before, after))
        self._blobs_are_read |= reads_blobs

    def request_stop(self) -> None:
        """Stop after the iteration or test batch at hand. Safe in a signal handler.

        ``solve`` then takes a snapshot, unless ``snapshot_after_train`` is false.
        """
        self._stop_requested = True

    def request_snapshot(self) -> None:
        """Take a snapshot after the iteration at hand. Safe in a signal handler."""
        self._snapshot_requested = True

    def step(self, iterations: int) -> None:
        """Do that many iterations, with tests, logs and snapshots where they are due.

        After the last one, or a stop, every blob has its values and gradient. Before that some need
        not, where nobody can look: no callback or reporter reads blobs, and there is no hook and no
        debug_info.
        """
        self.losses.clear()
        self.losses.extend(self.resumed_losses)
        self.resumed_losses = []
        try:
            self._run_until(self.iter + iterations)
        finally:  # the last passes left nothing out, unless there was a stop or an error
            self.net.complete()

    def _run_until(self, stop: int) -> None:
        param, reporter = self.param, self.reporter
        shown_at, shown_iter = time.perf_counter(), self.iter
        while self.iter < stop and not self._stop_requested:
            self.net.forget_param_diffs()
            due = param.test_interval and self.iter % param.test_interval == 0
            due = due and self.iter != self._tested_before
            if due and (self.iter > 0 or param.test_initialization):
                self.test_all()
                if self._stop_requested:
                    break
            self.numbers.begin()
            for before, _ in self._callbacks:
                before()
            shown = bool(param.display) and self.iter % param.display == 0
            self._describe_passes(shown)
            self._hides = self.iter + 1 < stop and self._nobody_reads() and self._can_hide()
            self.losses.append(self._gradients() if self._compiled else self._first_gradients())
            self.numbers.gradients(self.losses[-1])
            if shown:
                now = time.perf_counter()
                reporter.display(self, self.smoothed_loss, self.iter - shown_iter, now - shown_at)
                shown_at, shown_iter = now, self.iter
            for _, after in self._callbacks:
                after()
            self.apply_update()
            self.iter += 1
            self.numbers.updated()
            reporter.iteration(self)
            due = param.snapshot and self.iter % param.snapshot == 0
            if due or self._snapshot_requested:
                self.snapshot()
                self._snapshot_requested = False

    def _nobody_reads(self) -> bool:
        """Return whether blobs other than outputs are read by nobody before the next iteration."""
        if self._blobs_are_read or self.net.debug_info is not None:
            return False
        return self.reporter.reads_only_outputs()

    def _can_hide(self) -> bool:
        """Return whether the kernels of hidden passes need not be waited for."""
        if self._second is not None and self._second.poll() is not None:
            self._second = None
        return self._compiled and self._second is None

    @property
    def smoothed_loss(self) -> float:
        """The mean of the last ``average_loss`` losses."""
        return sum(self.losses) / len(self.losses) if self.losses else 0.0

    def _first_gradients(self) -> float:
        """Do what mostly compiles, with a second process where kernels are in no cache."""

        def start() -> None:
            self._second = ahead.start(self)

        with jit.when_cold(start):
            loss = self._gradients()
        second.dismiss()  # all was compiled before
        self._compiled = True
        return loss

    def _gradients(self) -> float:
        """Run forward and backward ``iter_size`` times; return the mean loss."""
        loss = 0.0
        for _ in range(self.param.iter_size):
            loss += self.net.run_forward(hidden=self._hides)
            self.net.run_backward(hidden=self._hides)
        return loss / self.param.iter_size

    def solve(self, resume: str | os.PathLike[str] | None = None) -> bool:
        """Train until ``max_iter``, from a solver state if one is given.

        Returns:
            Whether training came to its end; False when a stop was requested.
        """
        self._check_prefix()
        self.keep.check(self)
        self.reporter.solving(self)
        if resume is not None:
            self.restore(resume)
        start = self.iter
        self._stop_requested = False
        self.step(max(0, self.param.max_iter - self.iter))
        just_saved = self.param.snapshot and self.iter % self.param.snapshot == 0
        if self.param.snapshot_after_train and not (just_saved and self.iter > start):
            self.snapshot()
        if self._stop_requested:
            self.reporter.stopped(self)
            return False
        if self.param.display and self.iter % self.param.display == 0:
            self.losses.append(self.net.run_forward())
            self.reporter.display(self, self.smoothed_loss, 0, 0.0)
        if self.param.test_interval and self.iter % self.param.test_interval == 0:
            self.test_all()
        self.reporter.done(self)
        return True

    def _check_prefix(self) -> None:
        """Find out before hours of training whether snapshots can be written."""
        if not (self.param.snapshot or self.param.snapshot_after_train):
            return
        folder = self.snapshot_prefix.parent
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            what = "cannot be written" if folder.is_dir() else "does not exist"
            raise OutputError(
                f"{self.source.path or 'solver'}: the folder '{folder}' of snapshot_prefix {what}"
            )

    # --- tests -------------------------------------------------------------------------------
    def test_all(self) -> None:
        """Test each test net over its ``test_iter`` batches and report the means."""
        for i in range(len(self.test_nets)):
            if not self._stop_requested:
                self.test(i)
        if not self._stop_requested:
            self.keep.tested(self)

    def test(self, index: int = 0) -> dict[str, list[float]]:
        """Run a test net; return name -> mean values of each output, none if stopped meanwhile."""
        net = self.test_nets[index]
        net.share_with(self.net)
        self.reporter.testing(self, index)
        scores = score(net, self.param.test_iter[index], stopped=lambda: self._stop_requested)
        if scores is None:
            self.reporter.note("Test interrupted.")
            return {}
        self.scores[index] = scores.by_name()
        self.tested_at = self.iter
        loss = scores.loss if self.param.test_compute_loss else None
        self.reporter.tested(self, index, scores.outputs, loss)
        return self.scores[index]

    # --- snapshots ---------------------------------------------------------------------------
    def snapshot(self, position: resume.State | None = None) -> tuple[Path, Path]:
        """Write weights, solver state, and what Caffe's states cannot hold; return their paths.

        Args:
            position: what is written of the latter, as of now by default.

        Raises:
            OutputError: a file cannot be written.
            NotFiniteError: a weight is not finite, and that is to stop the run.
        """
        if position is None:
            self.numbers.updated(look=True)
        stem = f"{self.snapshot_prefix.name}_iter_{self.iter}"
        suffix = ".h5" if self.param.snapshot_format == self.param.HDF5 else ""
        weights = self.snapshot_prefix.with_name(f"{stem}.caffemodel{suffix}")
        state = self.snapshot_prefix.with_name(f"{stem}.solverstate{suffix}")
        self.reporter.snapshotting(weights, state)
        beside = resume.path_of(state)
        with resume.begun(beside):
            self.net.save(weights, diffs=self.param.snapshot_diff)
            save_state(self, state, weights)
            self.keep.add(self.iter, [weights, state, beside])
            resume.write(beside, position or resume.captured(self), [weights, state])
        self.last_snapshot = weights, state
        self.keep.prune()
        return weights, state

    def restore(self, path: str | os.PathLike[str]) -> None:
        """Go on from a .solverstate and the weights it names.

        The weights are looked for beside the state, then where the state says. With a
        ``.protonetstate`` beside it the run goes on to the bit.

        Raises:
            SnapshotError: one of the files cannot be read or does not fit.
        """
        beside = resume.check(path)
        load_state(self, path)
        if beside is None:
            self.reporter.note(
                f"no {resume.path_of(path)}: sources begin anew, and what is drawn at random"
            )
            return
        for note in resume.restore(self, beside, resume.path_of(path)):
            self.reporter.note(note)
        self._tested_before = self.tested_at
