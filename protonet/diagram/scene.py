"""A picture as shapes: what SVG, PNG and PDF are written from. Lengths are pixels of 1/96 inch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Point = tuple[float, float]


@dataclass(frozen=True)
class Rect:
    x: float
    y: float
    width: float
    height: float
    radius: float = 0.0
    fill: str = "none"
    stroke: str = "none"
    line: float = 1.0
    dash: tuple[float, ...] = ()


@dataclass(frozen=True)
class Path:
    """Lines through points, corners rounded by ``radius``; closed and filled if ``fill`` is set."""

    points: tuple[Point, ...]
    stroke: str = "none"
    line: float = 1.0
    radius: float = 0.0
    dash: tuple[float, ...] = ()
    fill: str = "none"


@dataclass(frozen=True)
class Disc:
    x: float
    y: float
    radius: float
    fill: str


@dataclass(frozen=True)
class Text:
    """A line of text; x, y is the start of its baseline."""

    x: float
    y: float
    text: str
    size: float
    bold: bool = False
    fill: str = "#000000"


Shape = Rect | Path | Disc | Text


@dataclass
class Group:
    """Shapes that belong together: a node, a line.

    Attributes:
        classes: names that the viewer's style sheet and script know.
        data: what the viewer's script reads.
        title: told when the mouse rests on the group.
    """

    classes: str = ""
    data: dict[str, str] = field(default_factory=dict)
    title: str = ""
    shapes: list[Shape | Group] = field(default_factory=list)


Part = Shape | Group


@dataclass
class Scene:
    width: float
    height: float
    title: str
    groups: list[Group]


def arrow_head(points: Sequence[Point], fill: str, size: float = 7.0) -> Path:
    """Return a triangle at the end of a line."""
    (x0, y0), (x1, y1) = points[-2], points[-1]
    length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5 or 1.0
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    bx, by, half = x1 - ux * size, y1 - uy * size, size * 0.4
    return Path(
        (
            (x1, y1),
            (round(bx - uy * half, 2), round(by + ux * half, 2)),
            (round(bx + uy * half, 2), round(by - ux * half, 2)),
        ),
        fill=fill,
    )


def rounded(points: Sequence[Point], radius: float) -> list[tuple[str, tuple[float, ...]]]:
    """Return the commands M, L and Q of a line whose corners are rounded.

    Each command is (letter, coordinates): Q has the corner, then its end.
    """
    commands: list[tuple[str, tuple[float, ...]]] = [("M", points[0])]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        r = min(radius, _distance(before, corner) / 2, _distance(corner, after) / 2)
        if r > 0.05:
            commands.append(("L", _towards(corner, before, r)))
            commands.append(("Q", (*corner, *_towards(corner, after, r))))
        else:
            commands.append(("L", corner))
    commands.append(("L", points[-1]))
    return commands


def _distance(a: Point, b: Point) -> float:
    return float(((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) ** 0.5)


def _towards(a: Point, b: Point, length: float) -> Point:
    t = length / (_distance(a, b) or 1.0)
    return round(a[0] + (b[0] - a[0]) * t, 2), round(a[1] + (b[1] - a[1]) * t, 2)
