"""What stands in the box of a node, and how large the box is. Lengths are pixels of 1/96 inch."""

from __future__ import annotations

from dataclasses import dataclass, field

from protonet.blob import Shape
from protonet.diagram.model import Diagram, Node
from protonet.diagram.text_width import shortened, text_width
from protonet.graph import MISSING
from protonet.summary import shape_text

DETAILS = ("brief", "normal", "full")

INK, FAINT, RED = "#1b1f24", "#4d5763", "#b3261e"
NAME, SMALL, LABEL = 12.0, 10.0, 10.0  # font sizes
_PAD_X, _PAD_Y = 8.0, 5.0
_ROW, _NAME_ROW, _CHIP = 13.5, 16.0, 15.0
_WIDE = 190.0  # texts are wrapped here, names are not
_LONGEST = 44  # characters


@dataclass(frozen=True)
class Run:
    """A piece of text; x, y of its baseline's start are relative to the box."""

    x: float
    y: float
    text: str
    size: float = SMALL
    bold: bool = False
    colour: str = INK


@dataclass(frozen=True)
class Chip:
    """A folded in-place layer: a small coloured rectangle, with its type where there is room."""

    x: float
    y: float
    width: float
    text: str
    kind: str
    height: float = _CHIP


@dataclass
class Box:
    """Size and contents of a node's box."""

    width: float
    height: float
    runs: list[Run] = field(default_factory=list)
    chips: list[Chip] = field(default_factory=list)


def node_box(node: Node, detail: str) -> Box:
    """Return the box of a node at a level of detail."""
    if detail == "brief":
        return _brief_box(node)
    name, kind = shortened(node.name, _LONGEST), shortened(node.facts.type, _LONGEST)
    name_width = text_width(name, NAME, bold=True)
    runs = [
        Run(_PAD_X, _PAD_Y + 11, name, NAME, bold=True),
        Run(_PAD_X + name_width + 7, _PAD_Y + 11, kind, SMALL, colour=FAINT),
    ]
    width = name_width + 7 + text_width(kind, SMALL)
    y = _PAD_Y + _NAME_ROW
    for line, colour in _lines(node, detail):
        runs.append(Run(_PAD_X, y + 9.5, line, SMALL, colour=colour))
        width = max(width, text_width(line, SMALL))
        y += _ROW
    chips, width, y = _chips(node, detail, width, y)
    return Box(width + 2 * _PAD_X, y + _PAD_Y - (0 if chips else 1), runs, chips)


def _brief_box(node: Node) -> Box:
    """Return a box of one row: the name, and a colour for each folded layer.

    The colour of the box stands for the type, but for an unknown one, which none stands for.
    """
    name = shortened(node.name, _LONGEST)
    runs = [Run(_PAD_X, _PAD_Y + 11, name, NAME, bold=True)]
    width = _PAD_X + text_width(name, NAME, bold=True)
    chips = []
    for fold in node.folded:
        chips.append(Chip(width + 5, 7.0, 9.0, "", fold.kind, height=9.0))
        width += 12
    y = _PAD_Y + _NAME_ROW
    for line, colour in _lines(node, "brief"):
        runs.append(Run(_PAD_X, y + 8.5, line, SMALL, colour=colour))
        width = max(width, _PAD_X + text_width(line, SMALL))
        y += _ROW
    return Box(width + _PAD_X, y + (2 if len(runs) == 1 else 4), runs, chips)


def pill_box(name: str, shape: Shape | None, detail: str) -> Box:
    """Return the box of one top of a layer that has several."""
    text = shortened(name, _LONGEST)
    if detail != "brief":
        text = f"{text} · {shape_text(shape)}"
    return Box(text_width(text, LABEL) + 16, 18, [Run(8, 12.7, text, LABEL)])


def blob_label(node: Node, top: int, detail: str) -> tuple[str, ...]:
    """Return the lines at the foot of a box: its blob's shape, below its name if that differs."""
    if detail == "brief":
        return ()
    name, shape = node.facts.tops[top]
    return (shape_text(shape),) if name == node.name else (shortened(name, 32), shape_text(shape))


def title_lines(diagram: Diagram) -> list[tuple[str, float, bool]]:
    """Return (text, font size, bold) of the lines above a diagram."""
    head = f"{diagram.name} against {diagram.compared}" if diagram.compared else diagram.name
    parameters, costs = f"{diagram.parameters:,}", quantity(diagram.multiply_adds)
    if diagram.before is not None:
        old_parameters, old_costs = f"{diagram.before[0]:,}", quantity(diagram.before[1])
        parameters = (
            parameters if parameters == old_parameters else f"{old_parameters} → {parameters}"
        )
        costs = costs if costs == old_costs else f"{old_costs} → {costs}"
    text = f"{diagram.phase} · {parameters} parameters · {costs} multiply-adds forward"
    return [(head, 15.0, True), (text, 10.5, False)]


def quantity(number: int) -> str:
    """Return a number in three digits: ``918``, ``25.1 k``, ``148 M``, ``2.36 G``."""
    value, unit = float(number), ""
    for unit in ("", " k", " M", " G", " T"):
        if value < 999.5 or unit == " T":
            break
        value /= 1000
    return f"{number}" if not unit else f"{value:.3g}{unit}"


def weight_text(weight: float) -> str:
    """Return a loss weight as the file has it: float32, without its rounding noise."""
    return f"{weight:.6g}"


def plain_trouble(node: Node) -> str:
    """Return what is wrong with a layer, without the place and name that the box shows anyway."""
    if node.facts.type == MISSING:
        return ""
    if node.unknown:
        return "unknown layer type"
    _, found, text = node.facts.trouble.partition(f"({node.facts.type}): ")
    return text if found else node.facts.trouble


def _lines(node: Node, detail: str) -> list[tuple[str, str]]:
    """Return the lines below the name, with their colours."""
    lines: list[tuple[str, str]] = []
    if detail == "brief" and node.unknown:
        lines.append((shortened(node.facts.type, _LONGEST), FAINT))
    if detail != "brief":
        facts = list(node.settings)
        if node.parameters:
            facts.append(f"{node.parameters:,} params")
        if detail == "full" and node.multiply_adds:
            facts.append(f"{quantity(node.multiply_adds)} multiply-adds")
        lines += [(line, FAINT) for line in _wrapped(facts, " · ")]
    if detail == "full":
        lines += [(line, FAINT) for line in _wrapped(_learning(node), " · ")]
    if node.loss_weight is not None and (detail != "brief" or node.loss_weight != 1):
        lines.append((f"loss weight {weight_text(node.loss_weight)}", RED))
    if plain_trouble(node):
        lines += [(line, RED) for line in _wrapped(plain_trouble(node).split(), " ")]
    lines += [(line, "#7a4f00") for c in node.changes for line in _wrapped(c.split(), " ")]
    return lines


def _learning(node: Node) -> list[str]:
    """Return shapes, multipliers and fillers of a layer's parameters."""
    words = [", ".join(shape_text(s) for s in node.facts.blobs)] if node.facts.blobs else []
    for field_name, word in (("lr_mult", "lr"), ("decay_mult", "decay")):
        values = [getattr(p, field_name) for p in node.param.param]
        if values:
            words.append(f"{word} " + ", ".join(f"{v:g}" for v in values))
    for given, own in node.param.ListFields():
        if not given.name.endswith("_param"):
            continue
        for filler in ("weight_filler", "bias_filler", "filler"):
            if filler in own.DESCRIPTOR.fields_by_name and own.HasField(filler):
                words.append(f"{filler.replace('_filler', '')} {getattr(own, filler).type}")
    return words


def _wrapped(words: list[str], between: str) -> list[str]:
    lines: list[str] = []
    for word in words:
        word = shortened(word, _LONGEST)
        longer = f"{lines[-1]}{between}{word}" if lines else word
        if lines and text_width(longer, SMALL) <= _WIDE:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _chips(node: Node, detail: str, width: float, y: float) -> tuple[list[Chip], float, float]:
    """Place the folded layers below the text; return them with the new width and height."""
    chips: list[Chip] = []
    x, widest = 0.0, max(width, _WIDE)
    y += 2 if node.folded else 0
    for fold in node.folded:
        text = shortened(fold.facts.type, _LONGEST)
        if detail == "full":
            text = " · ".join([f"{shortened(fold.facts.name, _LONGEST)} {text}", *fold.settings])
        chip_width = text_width(text, 9) + 10
        if chips and (x + chip_width > widest or detail == "full"):
            x, y = 0.0, y + _CHIP + 2
        chips.append(Chip(_PAD_X + x, y, chip_width, text, fold.kind))
        x += chip_width + 4
        width = max(width, x - 4)
    return chips, width, y + (_CHIP + 1 if chips else 0)
