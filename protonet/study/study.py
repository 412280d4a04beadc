"""What a study is, how it is found, and how its outcome is written."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import protonet.study
from protonet import lab
from protonet.errors import DataError, GraphError, did_you_mean
from protonet.files import write_text_beside
from protonet.schema.read import NetSource, read_net
from protonet.spread import markdown

SUMMARY = "README.md"


@dataclass
class Outcome:
    """What came of a study.

    Attributes:
        finding: one sentence, made of measured numbers.
        supported: whether the data supports the claim; None where it tells neither way.
        headings, rows: a table of what was measured.
    """

    finding: str
    supported: bool | None
    headings: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class Bench:
    """What a study works with.

    Attributes:
        quick: measure less, so that it takes seconds.
        figure: file to draw into.
    """

    quick: bool
    figure: Path

    def pick(self, quick: Any, full: Any) -> Any:
        return quick if self.quick else full

    def train(
        self, net: str | NetSource, seed: int, *assignments: str, **options: Any
    ) -> lab.Training:
        """Train one of the lecture's nets, or a net, by the classic recipe with changes."""
        found = read_net(model(net)) if isinstance(net, str) else net
        name = net if isinstance(net, str) else found.message.name
        return lab.train(name, lab.solver_for(found, assignments, seed), **options)


@dataclass(frozen=True)
class Study:
    """An experiment.

    Attributes:
        name: for the command line.
        claim: what the lecture says.
        order: its place among the others.
        run: does it.
    """

    name: str
    claim: str
    order: int
    run: Callable[[Bench], Outcome]


_STUDIES: dict[str, Study] = {}


def study(name: str, order: int, claim: str) -> Callable[[Callable[[Bench], Outcome]], Any]:
    """Decorator: make a function known as a study."""

    def add(run: Callable[[Bench], Outcome]) -> Callable[[Bench], Outcome]:
        _STUDIES[name] = Study(name, claim, order, run)
        return run

    return add


def studies() -> list[Study]:
    """Return all studies in the lecture's order."""
    for module in pkgutil.iter_modules(protonet.study.__path__):
        importlib.import_module(f"protonet.study.{module.name}")
    return sorted(_STUDIES.values(), key=lambda one: one.order)


def chosen(names: Sequence[str]) -> list[Study]:
    """Return the studies of these names, all without any.

    Raises:
        GraphError: there is none of a name.
    """
    every = {one.name: one for one in studies()}
    for name in names:
        if name not in every:
            hint = did_you_mean(name, set(every)) or f"; there are: {', '.join(every)}"
            raise GraphError(f"there is no study '{name}'{hint}")
    return [one for one in every.values() if not names or one.name in names]


def model(name: str) -> Path:
    """Return the file of a net that is shipped: ``lenet``, or one of the lecture's.

    Raises:
        DataError: it is not there.
    """
    package = Path(protonet.study.__file__).parent.parent
    for folder in (package / "models", package.parent / "models"):
        for path in (folder / "lecture" / f"{name}.prototxt", folder / f"{name}.prototxt"):
            if path.exists():
                return path
    raise DataError(f"the net '{name}' is missing from this installation of protonet")


# --- what is written --------------------------------------------------------------------------
_VERDICTS = {True: "yes", False: "no", None: "not decided"}


def write_outcome(one: Study, outcome: Outcome, folder: Path, command: str, figure: str) -> None:
    """Write ``<name>.md``: claim, finding, table, figure, and the command that made them.

    ``<name>.json`` holds what the summary of the folder needs.
    """
    lines = [
        f"# {one.name}",
        f"The claim: {one.claim}.",
        f"**{outcome.finding}**",
        f"Does the data support it? {_VERDICTS[outcome.supported].capitalize()}.",
    ]
    if outcome.rows:
        lines.append(markdown(outcome.headings, outcome.rows))
    lines += [f"![{one.name}]({figure})", f"Made by `{command}`."]
    write_text_beside(folder / f"{one.name}.md", "\n\n".join(lines) + "\n")
    kept = {"finding": outcome.finding, "supported": outcome.supported, "command": command}
    write_text_beside(folder / f"{one.name}.json", json.dumps(kept, indent=1) + "\n")


def write_summary(folder: Path) -> None:
    """Write the table of the findings that a folder holds, each with the command that made it."""
    rows = []
    for one in studies():
        path = folder / f"{one.name}.json"
        if path.exists():
            kept = json.loads(path.read_text(encoding="utf-8"))
            name, verdict = f"[{one.name}]({one.name}.md)", _VERDICTS[kept["supported"]]
            rows.append((name, kept["finding"], verdict, f"`{kept['command']}`"))
    text = markdown(("study", "finding", "claim supported", "made by"), rows)
    write_text_beside(folder / SUMMARY, f"# What the studies found\n\n{text}\n")
