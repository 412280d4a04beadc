"""Nets against each other: same recipe, same records in the same order, several seeds."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from protonet import lab
from protonet.errors import DataError
from protonet.files import write_text_beside
from protonet.run import heads
from protonet.schema.read import NetSource, SolverSource, read_any
from protonet.spread import Spread, difference, markdown
from protonet.watch import figures

FIGURE, TABLE = "compare.svg", "compare.md"
HEADINGS = ("net", "head", "test error %", "test loss", "seconds", "gradient at")


@dataclass
class Contestant:
    """One of the nets that are compared, and what came of it.

    Attributes:
        name: the file's name without suffix, with its folder if several are called so.
        found: the net or solver.
        runs: a training for each seed.
    """

    name: str
    found: NetSource | SolverSource
    runs: list[lab.Training] = field(default_factory=list)

    @property
    def first_layer(self) -> str:
        """The layer nearest to the data that learns."""
        flow = self.runs[0].history.flow("gradient")
        return next((layer for layer, _ in flow), "")

    def heads(self) -> list[Any]:
        """Return the losses of the net, with what the last test made of them, main one last."""
        solver = self.runs[0].solver
        if not solver.test_nets:
            return []
        return heads(solver.test_nets[0], solver.scores.get(0, {}))

    def errors(self, head: Any) -> list[float]:
        """Return the test error in % of each run, for one head; empty where none is scored."""
        found = []
        for run in self.runs:
            solver = run.solver
            of = heads(solver.test_nets[0], solver.scores.get(0, {}))
            accuracy = next(h.accuracy for h in of if h.name == head.name)
            if accuracy is not None:
                found.append(float("nan") if run.diverged else 100 * (1 - accuracy))
        return found


def contestants(paths: Sequence[str]) -> list[Contestant]:
    """Read nets or solvers and give each a name of its own."""
    stems = [Path(path).stem for path in paths]
    names = []
    for path, stem in zip(paths, stems, strict=True):
        name = stem
        if stems.count(stem) > 1:
            name = f"{Path(path).parent.name or '.'}-{stem}"
        while name in names:
            name += "'"
        names.append(name)
    return [Contestant(n, read_any(path)) for n, path in zip(names, paths, strict=True)]


def compare(
    paths: Sequence[str],
    seeds: Sequence[int],
    assignments: Sequence[str],
    folder: Path,
    progress: Callable[[lab.Training], None] = lambda training: None,
) -> list[Contestant]:
    """Train each net with each seed.

    Args:
        paths: of nets or solvers.
        assignments: ``key=value`` texts that override solver fields, of all alike.
        folder: a subfolder for each run takes its metrics.
        progress: is called after each run.

    Raises:
        DataError: they do not read the same sources.
        ProtonetError: one of them cannot be trained.
    """
    nets = contestants(paths)
    _check_sources(nets, paths, assignments)
    for seed in seeds:
        for net in nets:
            source = lab.solver_for(net.found, assignments, seed)
            run = lab.train(net.name, source, folder=folder / f"{net.name}-seed{seed}")
            net.runs.append(run)
            progress(run)
    return nets


def _check_sources(
    nets: Sequence[Contestant], paths: Sequence[str], assignments: Sequence[str]
) -> None:
    read = [_sources(net, assignments) for net in nets]
    for path, sources in zip(paths, read, strict=True):
        if sources != read[0]:
            mine, theirs = (", ".join(names) or "nothing" for names in (sources, read[0]))
            raise DataError(
                f"{path}: reads {mine}, while {paths[0]} reads {theirs}: nets are compared on the "
                "same data"
            )


def _sources(net: Contestant, assignments: Sequence[str]) -> list[str]:
    from protonet.solvers import get_solver

    solver = get_solver(lab.solver_for(net.found, assignments, 1))
    names = []
    for step in solver.net.steps:
        if step.layer.is_data:
            for descriptor, value in step.node.param.ListFields():
                if descriptor.name.endswith("data_param") and hasattr(value, "source"):
                    names.append(os.path.basename(value.source) or step.node.type)
    solver.net.close()
    return names


# --- what came of it ------------------------------------------------------------------------------
def rows(nets: Sequence[Contestant]) -> list[tuple[str, ...]]:
    """Return a row for each head of each net: texts in the order of ``HEADINGS``."""
    found: list[tuple[str, ...]] = []
    for net in nets:
        seconds = Spread.of([run.seconds for run in net.runs]).text(".1f")
        layer = net.first_layer
        gradient = Spread.of([run.gradient(layer) for run in net.runs]).text(".2g")
        first = True
        for head in net.heads():
            loss = Spread.of([run.last_test(head.name) for run in net.runs]).text(".4f")
            errors = net.errors(head)
            error = Spread.of(errors).text() if errors else "-"
            rest = (seconds, f"{layer}: {gradient}") if first else ("", "")
            found.append((net.name if first else "", head.name, error, loss, *rest))
            first = False
        if first:
            found.append((net.name, "-", "-", "-", seconds, f"{layer}: {gradient}"))
    return found


def findings(nets: Sequence[Contestant]) -> list[str]:
    """Say of each net how its main head's test error differs from the first net's."""
    found = []
    scored = [(net, net.errors(net.heads()[-1]) if net.heads() else []) for net in nets]
    name, reference = scored[0][0].name, scored[0][1]
    for net, errors in scored[1:]:
        if not errors or not reference:
            continue
        apart = difference(errors, reference)
        verdict = "" if apart.clear else ": not told apart by this many runs"
        found.append(f"{net.name} - {name}: {apart.text()} percentage points{verdict}")
    return found


def write_table(nets: Sequence[Contestant], path: Path) -> None:
    """Write the table and the findings as Markdown."""
    parts = [markdown(HEADINGS, rows(nets)), *findings(nets)]
    write_text_beside(path, "\n\n".join(parts) + "\n")


def draw(nets: Sequence[Contestant], path: Path) -> None:
    """Draw test error, loss and first-layer gradient over iterations: means, bands of ± 1 s.d.

    Raises:
        OutputError: matplotlib is missing, or the file cannot be written.
    """
    with figures.figure(path, 1, 3, (15, 3.6)) as (_, axes):
        error, loss, gradient = axes[0]
        for net, colour in zip(nets, figures.COLOURS * 3, strict=False):
            main = net.heads()[-1].name if net.heads() else ""
            for kind, key in (("-", "error"), ("--", "side error")):
                _band(error, net, colour, kind, key)
            _curve(loss, net, f"outputs/{main}" if main else "loss", colour)
            _gradient(gradient, net, colour)
        many = f"{len(nets[0].runs)} seeds" if len(nets[0].runs) > 1 else "one seed"
        error.set(title=f"Test error, % ({many}; dashed: side heads)")
        figures.plain_log(error)
        loss.set(title="Training loss of the main head", yscale="log")
        gradient.set(title="Mean |gradient| at the first layer", yscale="log")
        for axis in axes[0]:
            figures.scale_iterations(axis)
            axis.legend()


def _band(axis: Any, net: Contestant, colour: str, kind: str, which: str) -> None:
    all_heads = [head for head in net.heads() if head.accuracy is not None]
    chosen = all_heads[-1:] if which == "error" else all_heads[:-1]
    for head in chosen:
        curves = [_error_curve(run, head.scored) for run in net.runs]
        label = f"{net.name}: {head.name}" if which != "error" else net.name
        figures.band(axis, curves, colour, label, kind)


def _error_curve(run: lab.Training, scored: str) -> tuple[list[int], list[float]]:
    net = run.solver.test_nets[0]
    splits = [step.node for step in net.steps if step.node.inserted]
    origin = {ref.name: node.bottoms[0].name for node in splits for ref in node.tops}
    for step in net.steps:
        if step.node.type == "Accuracy":
            judged = step.node.bottoms[0].name
            if origin.get(judged, judged) == scored:
                key = f"outputs/{step.node.tops[0].name}"
                xs, ys = run.history.curve(run.history.tests_of(0), key)
                return xs, [100 * (1 - y) for y in ys]
    return [], []


def _curve(axis: Any, net: Contestant, key: str, colour: str) -> None:
    curves = [run.history.curve(run.history.train, key) for run in net.runs]
    smooth = [(xs, list(figures.smooth(ys, 30))) for xs, ys in curves]
    figures.band(axis, smooth, colour, net.name)


def _gradient(axis: Any, net: Contestant, colour: str) -> None:
    layer = net.first_layer
    curves = [run.history.flow("gradient").get((layer, 0), ([], [])) for run in net.runs]
    smooth = [(xs, list(figures.smooth(ys, 30))) for xs, ys in curves]
    figures.band(axis, smooth, colour, f"{net.name}: {layer}")
