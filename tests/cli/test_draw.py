"""protonet draw: files, names, notes, JSON, errors of one line, and how fast it is."""

import json
import os
import subprocess
import sys
import time

import pytest
from diagram.nets import NETS
from places import MODELS, ROOT

LENET, DSN = MODELS / "lenet.prototxt", MODELS / "lenet_dsn.prototxt"


def test_default_is_svg_in_this_folder(cli, tmp_path):
    result = cli("draw", DSN)
    assert (result.code, result.out, result.err) == (0, "lenet_dsn.svg\n", "")
    assert (tmp_path / "lenet_dsn.svg").read_text().startswith("<svg ")


@pytest.mark.parametrize(
    "args, start",
    [
        (["-o", "x.png"], b"\x89PNG"),
        (["-o", "x.pdf"], b"%PDF"),
        (["-o", "x.html"], b"<!DOCTYPE html>"),
        (["-o", "x.dot"], b"digraph"),
        (["-o", "x.mmd"], b"---\ntitle"),
        (["-o", "x.txt"], b"LeNet-DSN\n"),
        (["-o", "x.dat", "--format", "text"], b"LeNet-DSN\n"),
    ],
)
def test_formats(cli, tmp_path, args, start):
    result = cli("draw", DSN, *args)
    assert result.code == 0, result.err
    assert (tmp_path / args[1]).read_bytes().startswith(start)


def test_standard_output(capfdbinary, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    from protonet.cli import main

    with pytest.raises(SystemExit) as ended:
        main(["draw", str(DSN), "-o", "-", "--format", "txt"])
    assert ended.value.code == 0
    out, err = capfdbinary.readouterr()
    assert "●─┐  mnist (Data)".encode() in out
    assert err == b""
    assert list(tmp_path.iterdir()) == []


def test_comparison(cli, tmp_path):
    assert cli("draw", LENET, DSN, "-o", "diff.txt").code == 0
    text = (tmp_path / "diff.txt").read_text()
    assert "LeNet-DSN against LeNet" in text
    assert "+ ip1_side (InnerProduct)" in text
    assert "- " not in text


def test_options(cli, tmp_path):
    (tmp_path / "n.prototxt").write_text(NETS["resnet50"]())
    args = ["--fold", "--detail", "brief", "--rankdir", "lr", "--phase", "TEST", "-o", "n.dot"]
    result = cli("draw", "n.prototxt", *args)
    assert result.code == 0
    assert "note: n.prototxt:2: layer 'data' (Data): source 'train_lmdb'" in result.err
    text = (tmp_path / "n.dot").read_text()
    assert "rankdir=LR" in text and "× 5: res4b … res4f" in text
    given = cli("draw", "n.prototxt", "--shape", "data=2,3,224,224", "--shape", "label=2")
    assert given.err == ""
    assert "2×64×112×112" in (tmp_path / "n.svg").read_text()


def test_json_has_the_facts_of_summary(cli):
    drawn = json.loads(cli("draw", DSN, "--json").out)
    summed = json.loads(cli("summary", DSN, "--json").out)
    assert {key: drawn[key] for key in summed} == summed
    assert summed["parameters"] == 459_890
    assert {layer["name"]: layer for layer in summed["layers"]}["conv1"]["tops"] == [
        {"name": "conv1", "shape": [64, 20, 24, 24]}
    ]
    assert [node["key"] for node in drawn["nodes"] if node["side"]] == ["ip1_side", "l1"]


def test_unknown_layer_types_are_drawn(cli, tmp_path):
    (tmp_path / "n.prototxt").write_text(NETS["fork"]())
    result = cli("draw", "n.prototxt")
    assert result.code == 0
    assert "unknown layer type" in (tmp_path / "n.svg").read_text()


LAYER = 'layer {{ name: "{0}" type: "TanH" bottom: "{1}" top: "{0}" }}\n'
ERRORS = [
    ("no file", [], None, "n.prototxt: no such file"),
    ("syntax", [], 'layer { name "a" }', "n.prototxt:1:14: expected ':'"),
    ("extension", ["-o", "x.jpeg"], "", "x.jpeg: expected a name that ends in one of .svg"),
    ("no extension", ["-o", "x"], "", "x: expected a name that ends in one of .svg"),
    ("format", ["--format", "jpeg"], "", "format: expected one of svg, png, pdf, html, dot"),
    ("unwritable", ["-o", "no/x.svg"], "", "no/x.svg: cannot be written: No such file"),
    ("phase", ["--phase", "tst"], "", "invalid value for '--phase': 'tst' is not one of"),
    ("direction", ["--rankdir", "up"], "", "rankdir: expected one of TB, BT, LR, RL, got 'UP'"),
    ("detail", ["--detail", "much"], "", "detail: expected one of brief, normal, full, got 'much'"),
    ("columns", ["--columns", "0"], "", "invalid value for '--columns': 0 is not in the range"),
    (
        "cycle",
        [],
        LAYER.format("a", "b") + LAYER.format("b", "a"),
        "n.prototxt:1: layer 'a' (TanH): bottom 'b' is not produced by any layer above; layer "
        "'b' below produces it, from what this layer makes: the net has a cycle",
    ),
]


@pytest.mark.parametrize("args, net, message", [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS])
def test_errors_are_one_line(cli, tmp_path, args, net, message):
    if net is not None:
        (tmp_path / "n.prototxt").write_text(net or DSN.read_text())
    assert cli("draw", "n.prototxt", *args).error().startswith(message)
    assert list(tmp_path.glob("*.svg")) == []


def test_googlenet_within_a_second_and_without_numba(tmp_path):
    (tmp_path / "googlenet.prototxt").write_text(NETS["googlenet"]())
    code = (
        "import sys, protonet.cli as c\n"
        "try: c.main(['draw', 'googlenet.prototxt'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "bad = {'numba', 'llvmlite', 'matplotlib', 'h5py'} & set(sys.modules)\n"
        "assert not bad, bad\n"
    )
    # As pip leaves it: the code is there as bytecode, from the first of these runs on.
    installed = {"PYTHONPYCACHEPREFIX": str(tmp_path / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
    times = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), **installed},
            check=True,
            capture_output=True,
        )
        times.append(time.perf_counter() - start)
    assert min(times) < 1.0
