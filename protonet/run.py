"""One training run: its folder, the solver that is really used, the closing table."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from protonet import recipe
from protonet.errors import DataError, OutputError, SnapshotError
from protonet.files import sweep, written_beside

if TYPE_CHECKING:
    from protonet.net import Net
    from protonet.solvers.solver import Solver


_SOLVER_FILE, _TEST_FILE = "solver.prototxt", "test.prototxt"
_RESUMED_FILE = "resumed-from.txt"  # the state that a run began with, until it has one of its own


@dataclass
class Run:
    """What a training run is made of.

    Attributes:
        folder: where its files go.
        source: the effective solver, as ``schema.read_solver`` returns one.
        notes: what the user should know of how it came about.
        resume: the solver state to go on from, if any.
    """

    folder: Path
    source: Any
    notes: list[str] = field(default_factory=list)
    resume: Path | None = None

    def discard(self) -> None:
        """Take away what was prepared, if the run came to nothing more."""
        prepared = {_SOLVER_FILE, _TEST_FILE, _RESUMED_FILE}
        if all(path.name in prepared for path in self.folder.iterdir()):
            shutil.rmtree(self.folder)


def new_folder(wanted: Path) -> Path:
    """Create a folder of that name, or the first numbered one that is free; return it.

    An empty folder that exists already is used as it is.

    Raises:
        OutputError: it cannot be made or written.
    """
    number = 1
    folder = wanted
    try:
        while True:
            try:
                folder.mkdir(parents=True)
                break
            except FileExistsError:
                if folder.is_dir() and not any(folder.iterdir()):
                    break
            number += 1
            folder = wanted.with_name(f"{wanted.name}-{number}")
    except OSError as error:
        raise OutputError(f"{folder}: the run folder cannot be made: {error.strerror}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{folder}: the run folder cannot be written")
    return folder


def prepare(
    path: str,
    assignments: list[str],
    out: str | None = None,
    adjust: Callable[[Any], None] = lambda solver: None,
    resume: str | None = None,
) -> Run:
    """Read a net or solver file and make a run of it.

    A bare net gets the classic recipe, and a test net made from it unless it has a TEST part.

    Args:
        path: a net or solver prototxt, told apart by content.
        assignments: ``key=value`` texts that override solver fields.
        out: the run folder wanted, ``runs/<name of the file>`` by default.
        adjust: changes the SolverParameter message further, before anything is written.
        resume: the solver state to go on from, which must exist.

    Raises:
        ProtonetError: the file, an override or the folder is at fault.
    """
    from protonet.schema.read import NetSource, SolverSource, read_any
    from protonet.schema.write import write_file

    found = read_any(path)
    net: NetSource | None = None
    if isinstance(found, NetSource):
        net, solver = found, recipe.classic_solver()
    else:
        found.refuse_unknown()
        solver = found.message
    recipe.override(solver, assignments)
    adjust(solver)
    untested = "no tests: test_interval is 0"
    derived, why = _derive(net) if net and solver.test_interval else (None, untested)
    if resume is not None and not Path(resume).is_file():
        raise SnapshotError(f"{resume}: cannot be read: no such file")
    folder = new_folder(_wanted(path, out))
    run = Run(folder, found)
    if resume is not None:
        run.resume = Path(resume)
        with written_beside(folder / _RESUMED_FILE) as file:
            file.write(os.path.abspath(resume).encode())
    effective = folder / _SOLVER_FILE
    if net:
        run.notes.append(
            f"{path} is a net without a solver: training with the classic LeNet recipe"
        )
        _attach_nets(run, solver, net, path, derived, why)
        # errors about a solver file of the user name its own lines; a bare net has only this one
        run.source = SolverSource(solver, str(effective))
    if not solver.snapshot_prefix:
        solver.snapshot_prefix = str(folder / Path(path).stem)
    write_file(solver, effective)
    run.notes.append(f"effective solver: {effective}")
    return run


def _wanted(path: str, out: str | None) -> Path:
    return Path(out) if out else Path("runs") / Path(path).stem


def going_on(
    path: str,
    assignments: list[str],
    out: str | None = None,
    adjust: Callable[[Any], None] = lambda solver: None,
) -> Run:
    """Return the last run of a file, to go on with in its folder from its latest whole snapshot.

    What it was trained with is what its effective solver says. A run that had no snapshot yet
    begins anew.

    Args:
        path: the net or solver prototxt that was trained.
        assignments, out, adjust: as for :func:`prepare`.

    Raises:
        ProtonetError: there is no such run, or its solver or an override is at fault.
    """
    from protonet.schema.read import read_solver
    from protonet.schema.write import write_file
    from protonet.solvers import resume

    folder = _last_folder(_wanted(path, out))
    source = read_solver(folder / _SOLVER_FILE)
    solver = source.message
    recipe.override(solver, assignments)
    run = Run(folder, source)
    prefix = Path(solver.snapshot_prefix)
    for place in {folder, prefix.parent}:
        sweep(place)
    run.resume, damaged = resume.latest(prefix)
    run.notes += [f"left out: {line}" for line in damaged]
    if run.resume is None and (folder / _RESUMED_FILE).exists():
        run.resume = Path((folder / _RESUMED_FILE).read_text(encoding="utf-8"))
    start_weights = list(solver.weights)
    adjust(solver)
    if run.resume is None:
        del solver.weights[:]
        solver.weights.extend(start_weights)
    write_file(solver, folder / _SOLVER_FILE)
    what = f"from {run.resume}" if run.resume else "from the beginning: it has no whole snapshot"
    run.notes.append(f"going on with the run in {folder} {what}")
    return run


def _last_folder(wanted: Path) -> Path:
    """Return the last one of the run folders that :func:`new_folder` made for a name."""
    name = re.compile(rf"{re.escape(wanted.name)}(?:-(\d+))?")
    numbered = [
        (int(match[1] or 1), folder)
        for folder in (wanted.parent.iterdir() if wanted.parent.is_dir() else ())
        if (match := name.fullmatch(folder.name)) and (folder / _SOLVER_FILE).is_file()
    ]
    if not numbered:
        raise SnapshotError(f"nothing to go on with: there is no run folder {wanted}")
    return max(numbered)[1]


def _derive(found: Any) -> tuple[recipe.DerivedTest | None, str]:
    if recipe.has_test_part(found.message):
        return None, ""
    try:
        derived = recipe.derive_test_net(found)
    except DataError as error:
        return None, f"no tests: {error}"
    return derived, "" if derived else "no tests: no source with 'train' in its name"


def _attach_nets(
    run: Run, solver: Any, found: Any, path: str, derived: recipe.DerivedTest | None, why: str
) -> None:
    from protonet.schema.write import write_file

    if recipe.has_test_part(found.message) and solver.test_interval:
        solver.net = path
        if not solver.test_iter:
            solver.test_iter.append(100)
            run.notes.append("testing with the net's own TEST layers over 100 batches (test_iter)")
        return
    solver.train_net = path
    if derived is None:
        solver.ClearField("test_interval")
        solver.ClearField("test_iter")
        run.notes.append(why)
        return
    test = run.folder / _TEST_FILE
    write_file(derived.message, test)
    solver.test_net.append(str(test))
    if not solver.test_iter:
        solver.test_iter.append(derived.batches)
    run.notes.append(
        f"test net: {test}, {derived.records} records of the sibling source, every softmax head "
        "scored"
    )


# --- the closing table ---------------------------------------------------------------------------
@dataclass(frozen=True)
class Head:
    """A loss of a net and how it scored.

    Attributes:
        name: blob of the loss.
        scored: blob whose values it judges.
        weight: its weight in the loss.
        loss: its mean over the test, None if it was not tested.
        accuracy: of the Accuracy layer on the same blob, None if there is none.
    """

    name: str
    scored: str
    weight: float
    loss: float | None
    accuracy: float | None


def heads(net: Net, scores: dict[str, list[float]]) -> list[Head]:
    """Return each loss of a net with what a test made of it, main loss last as in the file."""
    origin: dict[str, str] = {}
    accuracy: dict[str, float] = {}
    losses: list[tuple[str, str, float]] = []
    for step in net.steps:
        bottoms = [origin.get(ref.name, ref.name) for ref in step.node.bottoms]
        if step.node.inserted:
            origin.update((ref.name, bottoms[0]) for ref in step.node.tops)
        for ref, weight in zip(step.node.tops, step.layer.loss_weights, strict=False):
            if weight and bottoms:
                losses.append((ref.name, bottoms[0], weight))
        if step.node.type == "Accuracy" and step.node.tops[0].name in scores:
            accuracy.setdefault(bottoms[0], scores[step.node.tops[0].name][0])
    return [
        Head(
            name, scored, weight, scores[name][0] if name in scores else None, accuracy.get(scored)
        )
        for name, scored, weight in losses
    ]


def closing_table(solver: Solver) -> Any:
    """Return the table that training ends with, as a rich renderable, or None without tests."""
    from rich import box
    from rich.table import Table

    if not solver.test_nets or solver.tested_at < 0:
        return None
    table = Table(
        box=box.SIMPLE_HEAD, title=f"Test after {solver.iter} iterations", title_justify="left"
    )
    for column in ("loss", "of", "weight", "test loss", "test accuracy"):
        table.add_column(column, justify="left" if column in ("loss", "of") else "right")
    for index, net in enumerate(solver.test_nets):
        for head in heads(net, solver.scores.get(index, {})):
            table.add_row(
                head.name,
                head.scored,
                f"{head.weight:g}",
                "-" if head.loss is None else f"{head.loss:.4f}",
                "-" if head.accuracy is None else f"{head.accuracy:.2%}",
            )
    return table
