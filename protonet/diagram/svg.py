"""A scene as SVG: presentation attributes only, no ids, so that drawings can share a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from protonet.diagram.scene import Disc, Group, Path, Rect, Scene, Shape, Text, rounded

FONTS = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif"


def svg_text(scene: Scene) -> str:
    """Return a scene as an SVG document."""
    width, height = _n(scene.width), _n(scene.height)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="{FONTS}">',
        f"<title>{_text(scene.title)}</title>",
    ]
    for group in scene.groups:
        _group(group, lines)
    lines.append("</svg>")
    return "\n".join(lines) + "\n"


def _group(group: Group, lines: list[str]) -> None:
    attributes = f' class="{group.classes}"' if group.classes else ""
    attributes += "".join(
        f' data-{key}="{_text(value)}"' for key, value in sorted(group.data.items())
    )
    lines.append(f"<g{attributes}>")
    if group.title:
        lines.append(f"<title>{_text(group.title)}</title>")
    for shape in group.shapes:
        if isinstance(shape, Group):
            _group(shape, lines)
        else:
            lines.append(_element(shape))
    lines.append("</g>")


def _element(shape: Shape) -> str:
    if isinstance(shape, Rect):
        radius = f' rx="{_n(shape.radius)}"' if shape.radius else ""
        return (
            f'<rect x="{_n(shape.x)}" y="{_n(shape.y)}" width="{_n(shape.width)}" '
            f'height="{_n(shape.height)}"{radius}{_paint(shape)}/>'
        )
    if isinstance(shape, Path):
        commands = " ".join(
            letter + " ".join(_n(v) for v in values)
            for letter, values in rounded(shape.points, shape.radius)
        )
        closed = "Z" if shape.fill != "none" else ""
        return f'<path d="{commands}{closed}"{_paint(shape)}/>'
    if isinstance(shape, Disc):
        return (
            f'<circle cx="{_n(shape.x)}" cy="{_n(shape.y)}" r="{_n(shape.radius)}" '
            f'fill="{shape.fill}"/>'
        )
    return _text_element(shape)


def _text_element(shape: Text) -> str:
    bold = ' font-weight="bold"' if shape.bold else ""
    return (
        f'<text x="{_n(shape.x)}" y="{_n(shape.y)}" font-size="{_n(shape.size)}"{bold} '
        f'fill="{shape.fill}">{_text(shape.text)}</text>'
    )


def _paint(shape: Rect | Path) -> str:
    out = f' fill="{shape.fill}"'
    if shape.stroke != "none":
        out += f' stroke="{shape.stroke}" stroke-width="{_n(shape.line)}"'
        if shape.dash:
            out += f' stroke-dasharray="{_list(shape.dash)}"'
    return out


def _list(values: Iterable[float]) -> str:
    return " ".join(_n(v) for v in values)


def _n(value: float) -> str:
    """Return a number in the fewest digits, of which two after the point."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _text(text: str | Sequence[str]) -> str:
    """Escape a text; characters that XML cannot hold become U+FFFD."""
    clean = "".join(c if c >= " " or c in "\t\n" else "\ufffd" for c in str(text))
    return escape(clean)
