"""Drawings as files: the stored ones, formats, determinism, errors."""

import io
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from places import MODELS, ROOT

import protonet
from protonet.diagram.drawing import SUFFIXES, draw, format_of
from protonet.errors import GraphError, OutputError
from protonet.schema.read import parse_net

from . import stored
from .make import diagram
from .nets import NETS

DSN = MODELS / "lenet_dsn.prototxt"


@pytest.mark.parametrize("name", stored.DRAWINGS)
def test_stored_drawings(name):
    assert stored.make(name).decode() == (stored.FOLDER / name).read_text(encoding="utf-8")


def test_pictures_of_the_documentation():
    folder = ROOT / "docs" / "draw"
    pictures = {
        "lenet_dsn.svg": draw(DSN),
        "lenet_dsn_diff.svg": draw(DSN, against=MODELS / "lenet.prototxt"),
    }
    for name, drawing in pictures.items():
        assert drawing.render("svg") == (folder / name).read_bytes(), name


def test_same_bytes_in_another_process():
    code = (
        "import sys, protonet, hashlib\n"
        f"d = protonet.draw({str(DSN)!r})\n"
        "for form in ('svg', 'html', 'png', 'pdf'):\n"
        "    print(form, hashlib.sha256(d.render(form)).hexdigest())\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert "pdf" in outputs.pop()


@pytest.mark.parametrize("name", [*NETS, "lenet_dsn"])
def test_svg_is_xml_with_every_layer(name):
    source = parse_net(NETS[name]()) if name in NETS else DSN
    drawing = draw(source)
    root = ElementTree.fromstring(drawing.render("svg"))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    for node in drawing.diagram.nodes:
        assert node.name in texts
        for fold in node.folded:
            assert fold.facts.type in texts
    assert not any("id" in element.attrib for element in root.iter())


def test_names_that_are_markup():
    text = NETS["fork"]().replace('"attend"', '"a<b>&\\"c\\001"')
    drawing = draw(parse_net(text))
    assert b"a&lt;b&gt;&amp;&quot;c" in drawing.render("svg")
    ElementTree.fromstring(drawing.render("svg"))
    assert b"<b>" not in drawing.render("html").replace(b"<br>", b"")
    assert b"#60;b#62;#38;#34;c" in drawing.render("mermaid")
    assert b'a<b>&\\"c' in drawing.render("dot")


def test_png():
    from PIL import Image

    drawing = draw(DSN)
    image = Image.open(io.BytesIO(drawing.render("png")))
    scene = drawing.scene()
    assert image.size == pytest.approx((2 * scene.width, 2 * scene.height), abs=2)
    assert image.convert("RGB").getpixel((3, 3)) == (255, 255, 255)
    assert len(image.convert("RGB").getcolors(1 << 20)) > 50


def test_large_png_is_scaled_down():
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    data = draw(parse_net(NETS["resnet50"]())).render("png")
    assert max(Image.open(io.BytesIO(data)).size) <= 30_000


def test_pdf_holds_text_in_fonts_of_its_own():
    data = draw(DSN).render("pdf")
    assert data.startswith(b"%PDF-")
    assert b"/FontFile2" in data
    assert b"CreationDate" not in data


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_save(tmp_path, suffix):
    path = tmp_path / f"net{suffix.upper()}"
    drawing = protonet.draw(DSN, path)
    assert path.read_bytes() == drawing.render(format_of(path))
    assert list(tmp_path.iterdir()) == [path]


def test_data():
    data = json.loads(json.dumps(draw(DSN).as_data()))
    assert data["parameters"] == sum(layer["parameters"] for layer in data["layers"])
    nodes = {node["key"]: node for node in data["nodes"]}
    assert nodes["ip1"]["in_place"] == ["relu1"]
    assert [node["key"] for node in data["nodes"] if node["side"]] == ["ip1_side", "l1"]
    assert {"from": "mnist", "to": "conv1", "blob": "data", "shape": [64, 1, 28, 28],
            "gradient": False, "side": False, "status": ""} in data["edges"]  # fmt: skip


def test_shapes_given():
    text = NETS["alexnet"]()
    built = diagram(text, shapes={"data": (7, 3, 227, 227), "label": (7,)})
    assert built.nodes[0].facts.tops == (("data", (7, 3, 227, 227)), ("label", (7,)))


ERRORS = [
    (lambda: draw(DSN, "net.jpeg"), OutputError, r"net\.jpeg: expected a name that ends"),
    (lambda: draw(DSN, "net"), OutputError, "got 'net'"),
    (lambda: draw(DSN, "/no/such/folder/net.svg"), OutputError, "cannot be written"),
    (lambda: draw(DSN, rankdir="UP"), OutputError, "rankdir: expected one of TB, BT, LR, RL"),
    (lambda: draw(DSN, detail="ful"), OutputError, "got 'ful'; did you mean 'full'"),
    (
        lambda: draw(
            parse_net('layer { name: "a" type: "TanH" bottom: "b" top: "a" } '
                      'layer { name: "b" type: "TanH" bottom: "a" top: "b" }')
        ),
        GraphError,
        "layer 'b' below produces it, from what this layer makes: the net has a cycle",
    ),
]  # fmt: skip


@pytest.mark.parametrize("call, error, message", ERRORS)
def test_errors(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_phase_that_cannot_be_drawn_leaves_the_other():
    text = (
        'layer { name: "d" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } } '
        'layer { name: "r" type: "ReLU" bottom: "x" top: "y" } '
        'layer { name: "s" type: "ReLU" bottom: "x" top: "y" include { phase: TRAIN } }'
    )
    drawing = draw(parse_net(text), phase=protonet.TEST)
    assert drawing.others == []
    assert "other phase: layer 's' (ReLU): top 'y' is already" in drawing.diagram.notes[-1]
    with pytest.raises(GraphError):
        draw(parse_net(text))


def test_png_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(OutputError, match=r"PNG is drawn by matplotlib, .*protonet-caffe\[draw\]"):
        draw(DSN).render("png")
