"""Every drawing, as geometry: nothing overlaps, nothing is clipped, every line arrives."""

from itertools import combinations, pairwise

import pytest
from places import MODELS

from protonet.diagram.boxes import LABEL
from protonet.diagram.compare import compare
from protonet.diagram.drawing import draw
from protonet.diagram.fold import fold_repeats
from protonet.diagram.layout import RANKDIRS, lay_out
from protonet.diagram.picture import picture
from protonet.diagram.scene import Disc, Group, Path, Rect
from protonet.diagram.text_width import text_width
from protonet.layer import TEST
from protonet.schema.read import NetSource, read_any

from .make import diagram
from .nets import NETS, resnet

TEXTS = {
    **{name: make() for name, make in NETS.items()},
    "lenet_dsn": (MODELS / "lenet_dsn.prototxt").read_text(),
    "long_names": NETS["alexnet"]().replace("conv2", "conv2_" + "very_" * 12 + "long_name"),
}
DIAGRAMS = {name: diagram(text) for name, text in TEXTS.items()}
DIAGRAMS["resnet152 folded"] = fold_repeats(diagram(resnet((3, 8, 36, 3), "ResNet-152")))
DIAGRAMS["changed"] = compare(DIAGRAMS["lenet_dsn"], DIAGRAMS["alexnet"])

WAYS = [
    *((rankdir, "normal", 1) for rankdir in RANKDIRS),
    ("TB", "brief", 1),
    ("TB", "full", 1),
    ("LR", "full", 1),
    ("TB", "brief", 3),
    ("LR", "normal", 2),
    ("BT", "normal", 4),
]


def rect(item):
    return item.x, item.y, item.x + item.box.width, item.y + item.box.height


def labels(layout):
    """Return the rectangle of every label, as the picture writes it."""
    for item in layout.items:
        if item.label and item.foot:
            foot = max(item.foot, key=lambda line: line[0])
            width = max(text_width(line, LABEL) for line in item.label)
            if layout.vertical:
                x, y = foot[0][0] + 5, min(foot[0][1], foot[1][1])
                yield item, (x, y + 3, x + width, y + 11 + 13 * (len(item.label) - 1))
            else:
                x, y = min(foot[0][0], foot[1][0]) + 4, foot[0][1]
                yield item, (x, y - 4 - 13 * (len(item.label) - 1) - 8, x + width, y - 4)


def overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def crosses(start, end, box, inset=0.6):
    """Whether a horizontal or vertical line runs through the inside of a rectangle."""
    line = (
        min(start[0], end[0]),
        min(start[1], end[1]),
        max(start[0], end[0]),
        max(start[1], end[1]),
    )
    inside = (box[0] + inset, box[1] + inset, box[2] - inset, box[3] - inset)
    return (
        line[0] <= inside[2]
        and inside[0] <= line[2]
        and line[1] <= inside[3]
        and inside[1] <= line[3]
    )


@pytest.mark.parametrize("rankdir, detail, columns", WAYS)
@pytest.mark.parametrize("name", DIAGRAMS)
def test_geometry(name, rankdir, detail, columns):
    built = DIAGRAMS[name]
    layout = lay_out(built, rankdir, detail, columns)
    boxes = [rect(item) for item in layout.items]
    for a, b in combinations(boxes, 2):
        assert not overlap(a, b)
    for item, (left, upper, right, lower) in zip(layout.items, boxes, strict=True):
        assert left >= 0 and upper >= 0
        assert right <= layout.width and lower <= layout.height
        for run in item.box.runs:
            assert left <= left + run.x
            assert left + run.x + text_width(run.text, run.size, run.bold) <= right + 0.1
            assert upper + run.size * 0.7 <= upper + run.y <= lower - run.size * 0.15
        for chip in item.box.chips:
            assert chip.x + chip.width <= item.box.width
            assert chip.y + chip.height <= item.box.height
    for wire in layout.wires:
        source, target = layout.items[wire.source], layout.items[wire.target]
        assert on_border(wire.points[0], rect(source))
        assert on_border(wire.points[-1], rect(target))
        for a, b in pairwise(wire.points):
            assert a[0] == b[0] or a[1] == b[1], "lines are horizontal or vertical"
            assert min(a[0], b[0]) >= 0 and max(a[0], b[0]) <= layout.width
            assert min(a[1], b[1]) >= 0 and max(a[1], b[1]) <= layout.height
            for box in boxes:
                assert not crosses(a, b, box), f"{name}: {a}-{b} through {box}"
    for item, label in labels(layout):
        assert label[2] <= layout.width + 0.1 and label[3] <= layout.height + 0.1
        for other in boxes:
            assert not overlap(label, other)
        for wire in layout.wires:
            for a, b in pairwise(wire.points):
                assert not crosses(a, b, label), f"{name}: a line through {item.label}"


NETS_SHIPPED = sorted(MODELS.rglob("*.prototxt"))


@pytest.mark.parametrize(
    "path", NETS_SHIPPED, ids=[str(p.relative_to(MODELS)) for p in NETS_SHIPPED]
)
def test_geometry_of_the_nets_shipped(path, monkeypatch):
    source = read_any(path)
    if not isinstance(source, NetSource):
        return
    for built in (draw(source).diagram, draw(source, phase=TEST, fold=True).diagram):
        monkeypatch.setitem(DIAGRAMS, "shipped", built)
        test_geometry("shipped", "TB", "normal", 1)
        test_geometry("shipped", "LR", "brief", 2)


def on_border(point, box):
    x, y = point
    inside_x, inside_y = box[0] - 0.1 <= x <= box[2] + 0.1, box[1] - 0.1 <= y <= box[3] + 0.1
    at_x = min(abs(x - box[0]), abs(x - box[2])) < 0.15
    at_y = min(abs(y - box[1]), abs(y - box[3])) < 0.15
    return inside_x and inside_y and (at_x or at_y)


@pytest.mark.parametrize("name", DIAGRAMS)
def test_every_edge_is_drawn(name):
    built = DIAGRAMS[name]
    layout = lay_out(built)
    drawn = [edge for w in layout.wires if layout.items[w.target].top is None for edge in w.edges]
    assert sorted(map(id, drawn)) == sorted(map(id, built.edges))
    assert {item.node for item in layout.items} == set(range(len(built.nodes)))


@pytest.mark.parametrize("name", ["lenet_dsn", "resnet152 folded", "changed", "fork"])
def test_picture_stays_on_its_paper(name):
    scene = picture(DIAGRAMS[name], lay_out(DIAGRAMS[name]), gradients=True, kinds=True)

    def check(shape):
        if isinstance(shape, Group):
            for inner in shape.shapes:
                check(inner)
            return
        if isinstance(shape, Rect):
            corners = [(shape.x, shape.y), (shape.x + shape.width, shape.y + shape.height)]
        elif isinstance(shape, Path):
            corners = list(shape.points)
        elif isinstance(shape, Disc):
            corners = [(shape.x, shape.y)]
        else:
            end = shape.x + text_width(shape.text, shape.size, shape.bold)
            corners = [(shape.x, shape.y), (end, shape.y)]
        for x, y in corners:
            assert 0 <= x <= scene.width + 0.1 and 0 <= y <= scene.height + 0.1, shape

    for group in scene.groups:
        check(group)


def test_edges_of_one_blob_are_one_line_that_forks():
    built = DIAGRAMS["googlenet"]
    layout = lay_out(built)
    blob = "inception_3a/output"
    wires = [w for w in layout.wires if w.edges and w.edges[0].blob == blob]
    assert len(wires) == 4
    assert len({wire.points[0] for wire in wires}) == 1
    assert layout.forks


def test_phase_without_layers():
    empty = diagram('layer { name: "s" type: "Silence" bottom: "x" include { phase: TEST } }')
    layout = lay_out(empty)
    assert (layout.width, layout.height) == (0, 0)
    assert picture(empty, layout).width > 0
