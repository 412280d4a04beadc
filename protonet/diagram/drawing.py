"""``protonet.draw``: a net as a drawing that shows itself, or goes to a file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from protonet.blob import Shape
from protonet.diagram.boxes import DETAILS
from protonet.diagram.compare import compare
from protonet.diagram.fold import fold_repeats
from protonet.diagram.layout import RANKDIRS, lay_out
from protonet.diagram.model import Diagram, build_diagram
from protonet.diagram.picture import picture
from protonet.diagram.scene import Scene
from protonet.errors import GraphError, OutputError, ProtonetError, did_you_mean
from protonet.graph import build_graph
from protonet.plan import Plan, build_plan
from protonet.summary import as_data

SUFFIXES = {
    ".svg": "svg",
    ".png": "png",
    ".pdf": "pdf",
    ".html": "html",
    ".htm": "html",
    ".dot": "dot",
    ".gv": "dot",
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
    ".txt": "text",
}
FORMATS = tuple(dict.fromkeys(SUFFIXES.values()))


@dataclass(frozen=True)
class Options:
    """How a diagram is drawn; see :func:`draw`."""

    rankdir: str = "TB"
    detail: str = "normal"
    gradients: bool = False
    fold: bool = False
    columns: int = 1


@dataclass
class Drawing:
    """A net, drawn. In a notebook it shows itself.

    Attributes:
        diagram: what is drawn, in the phase asked for.
        others: the same net in its other phase, for the viewer.
    """

    diagram: Diagram
    others: list[Diagram]
    options: Options

    def scene(self, diagram: Diagram | None = None, viewer: bool = False) -> Scene:
        """Return the shapes of the drawing."""
        options = self.options
        shown = self.diagram if diagram is None else diagram
        layout = lay_out(shown, options.rankdir, options.detail, options.columns)
        return picture(
            shown,
            layout,
            kinds=options.detail == "brief",
            gradients=options.gradients,
            viewer=viewer,
        )

    def render(self, form: str) -> bytes:
        """Return the drawing as "svg", "png", "pdf", "html", "dot", "mermaid" or "text"."""
        options = self.options
        if form in ("png", "pdf"):
            from protonet.diagram.raster import raster

            return raster(self.scene(), f".{form}")
        if form == "html":
            from protonet.diagram.viewer import viewer_html

            return viewer_html(self).encode()
        if form == "svg":
            from protonet.diagram.svg import svg_text

            return svg_text(self.scene()).encode()
        from protonet.diagram import words

        if form == "dot":
            return words.dot_text(self.diagram, options.rankdir, options.detail).encode()
        if form == "mermaid":
            return words.mermaid_text(self.diagram, options.rankdir, options.detail).encode()
        return words.plain_text(self.diagram, options.detail).encode()

    def as_data(self) -> dict[str, Any]:
        """Return what ``--json`` prints: the facts that summary prints too, nodes and edges."""
        from protonet.diagram.viewer import diagram_data

        return {**as_data(self.diagram.plan), **diagram_data(self.diagram)}

    def save(self, path: str | os.PathLike[str], form: str | None = None) -> None:
        """Write the drawing as ``form``, by default what the extension of ``path`` says.

        Raises:
            OutputError: an unknown extension, or a file that cannot be written.
        """
        from protonet.schema.write import written_beside

        data = self.render(form or format_of(path))
        with written_beside(path) as file:
            file.write(data)

    def _repr_svg_(self) -> str:
        return self.render("svg").decode()


def format_of(path: str | os.PathLike[str]) -> str:
    """Return which format a file name asks for.

    Raises:
        OutputError: none that we write.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise OutputError(
            f"{os.fspath(path)}: expected a name that ends in one of {known}, got "
            f"'{suffix or Path(path).name}'"
        )
    return SUFFIXES[suffix]


def known_format(name: str) -> str:
    """Return a format by its name or its extension.

    Raises:
        OutputError: none that we write.
    """
    form = SUFFIXES.get(f".{name.lower()}", name.lower())
    _check("format", form, FORMATS)
    return form


def draw(
    net: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    against: Any = None,
    phase: int | None = None,
    level: int | None = None,
    stages: Iterable[str] = (),
    shapes: Mapping[str, Shape] | None = None,
    rankdir: str = "TB",
    detail: str = "normal",
    gradients: bool = False,
    fold: bool = False,
    columns: int = 1,
) -> Drawing:
    """Draw a net, also one that cannot run: layers of unknown types are hatched.

    Args:
        net: path of a net prototxt, what ``schema.read_net`` returns, or a ``Net``.
        path: file to write, by its extension: SVG, PNG, PDF, HTML (a viewer), DOT, Mermaid, text.
        against: a net to compare with: what ``net`` adds, drops and changes is marked.
        phase: TRAIN (the default) or TEST; level, stages: the rest of the state.
        shapes: shapes of data blobs, instead of what their sources say.
        rankdir: where data flows: "TB", "BT", "LR" or "RL".
        detail: "brief" (names and types), "normal", or "full" (fillers, multipliers, costs).
        gradients: tell lines along which gradients flow back from the others.
        fold: draw repeated blocks once.
        columns: break a long drawing into so many columns (rows, if it flows sideways).

    Raises:
        PrototxtError, GraphError: a file that does not parse, layers that form no net.
        OutputError: an unknown extension, or a file that cannot be written.
    """
    _check("rankdir", rankdir, RANKDIRS)
    _check("detail", detail, DETAILS)
    options = Options(rankdir, detail, gradients, fold, max(1, columns))
    state = _State(phase, level, tuple(stages), dict(shapes or {}))
    diagrams = _diagrams(net, state)
    if against is not None:
        before = {diagram.phase: diagram for diagram in _diagrams(against, state)}
        diagrams = [compare(before[d.phase], d) for d in diagrams if d.phase in before]
        if not diagrams:
            raise GraphError("the nets have no phase in common to compare them in")
    if fold:
        diagrams = [fold_repeats(diagram) for diagram in diagrams]
    drawing = Drawing(diagrams[0], diagrams[1:], options)
    if path is not None:
        drawing.save(path)
    return drawing


def plan_for_drawing(
    source: Any, phase: int, level: int | None, stages: Iterable[str], shapes: Mapping[str, Shape]
) -> Plan:
    """Return the plan of a net for one state, with all that can be known of it."""
    graph = build_graph(source, phase, level, stages, tolerant=True)
    # a shape may be for a data layer of the other phase
    here = {name for layer in graph.layers for name in (ref.name for ref in layer.tops)}
    fitting = {name: shape for name, shape in shapes.items() if name in here}
    return build_plan(graph, fitting, static=True, tolerant=True)


@dataclass(frozen=True)
class _State:
    phase: int | None
    level: int | None
    stages: tuple[str, ...]
    shapes: dict[str, Shape]


def _diagrams(net: Any, state: _State) -> list[Diagram]:
    """Return the diagram of the phase asked for and, where it can be built, of the other."""
    if isinstance(getattr(net, "plan", None), Plan):
        return [build_diagram(net.plan)]
    if isinstance(net, str | os.PathLike):
        from protonet.schema.read import read_net

        net = read_net(net)
    first = 0 if state.phase is None else state.phase
    asked = _diagram(net, first, state)
    try:
        other = _diagram(net, 1 - first, state)
    except ProtonetError as error:
        return [replace(asked, notes=[*asked.notes, f"other phase: {error}"])]
    return [asked, other]


def _diagram(source: Any, phase: int, state: _State) -> Diagram:
    plan = plan_for_drawing(source, phase, state.level, state.stages, state.shapes)
    return build_diagram(plan)


def _check(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        hint = did_you_mean(value, list(known))
        raise OutputError(f"{name}: expected one of {', '.join(known)}, got '{value}'{hint}")
