"""A scene as PNG or PDF, drawn by matplotlib with the DejaVu Sans that it ships."""

from __future__ import annotations

import io
from typing import Any

from protonet.diagram.scene import Disc, Group, Path, Rect, Scene, Shape, rounded
from protonet.errors import OutputError

_DPI = 96.0  # scenes are in pixels of 1/96 inch
_LARGEST = 30_000  # pixels along a side: above, PNG readers and printers give up
_FONT = "DejaVu Sans"


def raster(scene: Scene, suffix: str, scale: float = 2.0) -> bytes:
    """Return a scene as the bytes of a ``.png`` (``scale`` pixels each) or a ``.pdf``.

    The same scene gives the same bytes: no date is written.

    Raises:
        OutputError: matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError:
        raise OutputError(
            f"{suffix[1:].upper()} is drawn by matplotlib, which is not installed: "
            "pip install 'protonet-caffe[draw]'"
        ) from None
    scale = min(scale, _LARGEST / max(scene.width, scene.height))
    figure = Figure(figsize=(scene.width / _DPI, scene.height / _DPI), dpi=_DPI * scale)
    _Painter(figure, scene).paint()
    out = io.BytesIO()
    nothing = {"Software": None} if suffix == ".png" else {"CreationDate": None, "Producer": None}
    # type 42 keeps text as text, in fonts that publishers take
    with rc_context({"pdf.fonttype": 42, "path.simplify": False}):
        figure.savefig(out, format=suffix[1:], metadata=nothing)
    return out.getvalue()


class _Painter:
    """Adds the shapes of a scene to a figure, in points, y upwards."""

    def __init__(self, figure: Any, scene: Scene) -> None:
        from matplotlib.transforms import Affine2D

        self.figure = figure
        self.scene = scene
        self.order = 0
        flip = Affine2D().scale(1, -1).translate(0, scene.height).scale(1 / _DPI)
        self.transform = flip + figure.dpi_scale_trans

    def paint(self) -> None:
        for group in self.scene.groups:
            self._group(group)

    def _group(self, group: Group) -> None:
        for shape in group.shapes:
            if isinstance(shape, Group):
                self._group(shape)
            else:
                self.order += 1
                self._shape(shape)

    def _shape(self, shape: Shape) -> None:
        if isinstance(shape, Rect):
            self._patch(shape, _rect_points(shape), shape.radius, closed=True)
        elif isinstance(shape, Path):
            self._patch(shape, list(shape.points), shape.radius, closed=shape.fill != "none")
        elif isinstance(shape, Disc):
            from matplotlib.patches import Circle

            disc = Circle((shape.x, shape.y), shape.radius, color=shape.fill, linewidth=0)
            self._add(disc)
        else:
            text = self.figure.text(
                0,
                0,
                shape.text,
                fontsize=shape.size * 72 / _DPI,
                fontweight="bold" if shape.bold else "normal",
                family=_FONT,
                color=shape.fill,
                va="baseline",
                transform=self.transform,
                zorder=self.order,
                parse_math=False,
            )
            text.set_position((shape.x, shape.y))

    def _patch(
        self, shape: Rect | Path, points: list[tuple[float, float]], radius: float, closed: bool
    ) -> None:
        from matplotlib.patches import PathPatch
        from matplotlib.path import Path as MatplotlibPath

        if closed:  # start in the middle of a side, so that the first corner is rounded too
            (x0, y0), (x1, y1) = points[0], points[1]
            middle = ((x0 + x1) / 2, (y0 + y1) / 2)
            points = [middle, *points[1:], points[0], middle]
        vertices: list[tuple[float, float]] = []
        codes: list[Any] = []
        letters = {"M": MatplotlibPath.MOVETO, "L": MatplotlibPath.LINETO}
        for letter, values in rounded(points, radius):
            for k in range(0, len(values), 2):
                vertices.append((values[k], values[k + 1]))
                codes.append(letters.get(letter, MatplotlibPath.CURVE3))
        if closed:
            vertices.append(vertices[0])
            codes.append(MatplotlibPath.CLOSEPOLY)
        to_points = 72 / _DPI
        line = shape.line * to_points if shape.stroke != "none" else 0.0
        # matplotlib counts dashes in line widths
        dashes = (0, tuple(d / shape.line for d in shape.dash)) if shape.dash else "solid"
        patch = PathPatch(
            MatplotlibPath(vertices, codes),
            facecolor=shape.fill,
            edgecolor=shape.stroke,
            linewidth=line,
            linestyle=dashes,
            joinstyle="round",
            capstyle="butt",
        )
        self._add(patch)

    def _add(self, patch: Any) -> None:
        patch.set_transform(self.transform)
        patch.set_zorder(self.order)
        self.figure.add_artist(patch)


def _rect_points(rect: Rect) -> list[tuple[float, float]]:
    right, lower = rect.x + rect.width, rect.y + rect.height
    return [(rect.x, rect.y), (right, rect.y), (right, lower), (rect.x, lower)]
