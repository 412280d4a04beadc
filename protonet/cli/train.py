"""``protonet train``: train a net, or do what a solver says."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import click

from protonet.cli._flags import (
    CaffeCommand,
    FlagArgument,
    OptionalValue,
    gpu_note,
    gpu_option,
    phase_option,
    python_layers_option,
    state_options,
    threads_option,
    weight_files,
)
from protonet.errors import ProtonetError

if TYPE_CHECKING:
    from protonet.solvers.solver import Solver

_EFFECTS = click.Choice(["stop", "snapshot", "none"])


@click.command(name="train", cls=CaffeCommand)
@click.argument("file", cls=FlagArgument, flag="solver", type=click.Path())
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--weights",
    metavar="PATH[,PATH]...",
    help="Start from these .caffemodel files, by layer name; the last one that has a layer wins.",
)
@click.option(
    "--resume",
    "--snapshot",
    "resume",
    cls=OptionalValue,
    alone="--resume",
    endings=(".solverstate", ".solverstate.h5"),
    type=click.Path(),
    help="Go on from this .solverstate and the weights it names. Without a path: go on with the "
    "last run of FILE, in its folder, from its latest whole snapshot.",
)
@click.option("--keep", type=click.IntRange(min=1), help="Keep the last so many snapshots only.")
@click.option(
    "--keep-best",
    metavar="SCORE",
    help="Snapshot when a test has a new best of this output, and keep that one, too: the lowest "
    "of a loss, the highest of anything else.",
)
@click.option(
    "--on-nan",
    type=click.Choice(["stop", "continue"]),
    default="stop",
    show_default=True,
    help="What the first loss, gradient or weight does that is not finite. Stopping leaves a "
    "snapshot from before it.",
)
@click.option("--iterations", type=click.IntRange(min=0), help="The same as max_iter=N.")
@phase_option(None)
@state_options
@gpu_option
@click.option(
    "--sigint_effect",
    type=_EFFECTS,
    default="stop",
    show_default=True,
    help="What Ctrl-C does. A second Ctrl-C interrupts at once where it is stop.",
)
@click.option(
    "--sighup_effect",
    type=_EFFECTS,
    default="snapshot",
    show_default=True,
    help="What SIGHUP does, where there is such a signal.",
)
@click.option(
    "--sigterm_effect",
    type=_EFFECTS,
    default="stop",
    show_default=True,
    help="What SIGTERM does, by which machines are shut down.",
)
@click.option("--out", type=click.Path(), help="Run folder.  [default: runs/<name of FILE>]")
@click.option(
    "--watch",
    type=click.Choice(["gradients"]),
    help="Measure, layer by layer, gradients, weights, updates, dead ReLUs, saturated sigmoids.",
)
@click.option(
    "--companion-weights",
    "companion_weights",
    metavar="SCHEDULE",
    help="Let the weights of side losses change while training: linear (to zero), "
    "drop@ITERATION, or decay (by 0.1 (1 - t/N) after epoch t of N).",
)
@click.option("--tensorboard", is_flag=True, help="Write the metrics as TensorBoard events, too.")
@python_layers_option(default=True)
@threads_option
def command(
    file: str,
    overrides: tuple[str, ...],
    weights: str | None,
    resume: str | None,
    keep: int | None,
    keep_best: str | None,
    on_nan: str,
    iterations: int | None,
    phase: int | None,
    level: int | None,
    stages: tuple[str, ...],
    gpu: str | None,
    sigint_effect: str,
    sighup_effect: str,
    sigterm_effect: str,
    out: str | None,
    watch: str | None,
    companion_weights: str | None,
    tensorboard: bool,
) -> None:
    """Train FILE, a net or a solver prototxt of any Caffe generation.

    KEY=VALUE sets a field of the solver, such as base_lr=0.005 or max_iter=2000. --phase,
    --level and --stage set its train_state.

    A net without a solver is trained with the classic LeNet recipe. If it has no layers for the
    TEST phase, it is tested on the source whose name has "test" for "train", and every softmax
    head is scored by itself.

    What the run measures goes into metrics.jsonl in the run folder, for protonet plot, and what
    came of it into report.html: scores, curves, misclassified images, diagram.

    The run folder is never overwritten: a number is added to its name. Ctrl-C stops after the
    iteration at hand, with a snapshot to resume from.
    """
    from protonet.kernels import second

    second.expect()  # before all that takes time to import and to read

    from protonet import run as runs
    from protonet.cli._reporting import reporting
    from protonet.companions import CompanionWeights
    from protonet.solvers import get_solver
    from protonet.solvers.keep import Keep
    from protonet.watch.metrics import recording
    from protonet.watch.report import write_report
    from protonet.watch.several import Several

    if weights is not None and resume is not None:
        raise click.UsageError("Give --weights to start from or --resume to go on, not both.")
    state = {"phase": phase, "level": level, "stage": stages or None}
    adjust = _adjustment(weights, resume, iterations, state, gpu)
    if resume == "":
        run = runs.going_on(file, list(overrides), out, adjust)
    else:
        run = runs.prepare(file, list(overrides), out, adjust, resume)
    with (
        closing(
            recording(run.folder, watch == "gradients", tensorboard, goes_on=resume == "")
        ) as metrics,
        reporting() as shown,
    ):
        reporter = Several(shown, metrics)
        if gpu is not None:
            reporter.note(gpu_note(gpu))
        for note in run.notes:
            reporter.note(note)
        try:
            solver = get_solver(run.source, reporter=reporter)
            solver.keep = Keep(keep, keep_best)
            solver.numbers.on_nan = on_nan
            if companion_weights is not None:
                CompanionWeights(solver, companion_weights)
            effects = {
                "SIGINT": sigint_effect,
                "SIGHUP": sighup_effect,
                "SIGTERM": sigterm_effect,
            }
            with _acting_on_signals(solver, effects):
                finished = solver.solve(run.resume)
            if finished and solver.test_nets and solver.tested_at != solver.iter:
                solver.test_all()
        except ProtonetError:
            run.discard()
            raise
    _print_result(solver, finished)
    if solver.iter:
        print(f"report: {write_report(run.folder, solver, mistakes=finished)}")


def _adjustment(
    weights: str | None,
    resume: str | None,
    iterations: int | None,
    state: dict[str, Any],
    gpu: str | None,
) -> Callable[[Any], None]:
    """Return what puts the options into a SolverParameter message, as Caffe's tool does."""
    files = None if weights is None else weight_files(weights)

    def adjust(solver: Any) -> None:
        if files is not None or resume is not None:
            del solver.weights[:]
            solver.weights.extend(files or [])
        if iterations is not None:
            solver.max_iter = iterations
        for name, value in state.items():
            if name == "stage" and value:
                solver.train_state.stage.extend(value)
            elif value is not None:
                setattr(solver.train_state, name, value)
        if gpu is not None:
            # the option was answered already
            solver.ClearField("solver_mode")
            solver.ClearField("device_id")

    return adjust


@contextmanager
def _acting_on_signals(solver: Solver, effects: dict[str, str]) -> Iterator[None]:
    """Let signals, where the system has them, stop the solver, take a snapshot or do nothing."""
    before: dict[int, Any] = {}
    for name, effect in effects.items():
        number = getattr(signal, name, None)
        if number is not None:
            before[number] = signal.getsignal(number) or signal.SIG_DFL
            signal.signal(number, _handler(solver, effect, before[number]))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _handler(solver: Solver, effect: str, before: Any) -> Any:
    def stop(number: int, frame: Any) -> None:
        solver.request_stop()
        signal.signal(number, before)  # a second one interrupts at once

    def snapshot(number: int, frame: Any) -> None:
        solver.request_snapshot()

    return {"stop": stop, "snapshot": snapshot, "none": signal.SIG_IGN}[effect]


def _print_result(solver: Solver, finished: bool) -> None:
    from rich.console import Console

    from protonet.run import closing_table

    console = Console()
    table = closing_table(solver) if finished else None
    if table is not None:
        console.print(table)
    weights, state = solver.last_snapshot or (None, None)
    if weights is not None:
        print(f"weights: {weights}")
    if not finished:
        going_on = f"go on with --resume {state}" if state else "no snapshot was taken"
        print(f"stopped after {solver.iter} iterations; {going_on}")
