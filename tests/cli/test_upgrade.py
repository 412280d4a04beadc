"""protonet upgrade: nets, solvers and weights, to a file or standard output; bad input."""

import pytest
from places import REFERENCE

from protonet.schema import caffe_pb2 as pb
from protonet.schema.read import parse_weights, read_any

LEGACY = REFERENCE / "legacy"
TEXTS = sorted(p for p in LEGACY.glob("*.prototxt") if p.with_suffix(".upgraded.prototxt").exists())


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_recorded(cli, path):
    want = read_any(path.with_suffix(".upgraded.prototxt")).message
    result = cli("upgrade", path)
    assert (result.code, result.err) == (0, "")
    assert cli("upgrade", path, "new.prototxt").out == ""
    assert read_any("new.prototxt").message == want
    with open("new.prototxt", encoding="utf-8") as file:
        assert file.read() == result.out


def test_onto_itself(cli):
    with open("n.prototxt", "w") as file:
        file.write("layers { name: 'r' type: RELU }")
    assert cli("upgrade", "n.prototxt", "n.prototxt").code == 0
    with open("n.prototxt") as file:
        assert file.read() == 'layer {\n  name: "r"\n  type: "ReLU"\n}\n'


def test_weights_to_weights(cli):
    path = LEGACY / "v1_weights.caffemodel"
    result = cli("upgrade", path, "new.caffemodel")
    assert (result.code, result.out, result.err) == (0, "", "")
    with open("new.caffemodel", "rb") as file:
        new = pb.NetParameter.FromString(file.read())
    assert new == parse_weights(path)
    assert len(new.layer[1].blobs) == 2


def test_weights_to_text(cli):
    path = LEGACY / "v1_weights.caffemodel"
    result = cli("upgrade", path)
    assert result.code == 0
    assert "blobs" not in result.out
    assert 'type: "InnerProduct"' in result.out
    assert result.err == f"{path}: the weights of 2 layers are left out\n"


REFUSED = {  # id: (text of in.prototxt, arguments, message)
    "no_such_file": (None, ["in.prototxt"], "in.prototxt: no such file"),
    "syntax": (
        "layer {",
        ["in.prototxt"],
        "in.prototxt:1:8: expected a field's name, or '}' to "
        "close the 'layer' of line 1, found the end of the file",
    ),
    "out": (
        "layer { }",
        ["in.prototxt", "gone/out"],
        "gone/out: cannot be written: No such file or directory",
    ),
}


@pytest.mark.parametrize(("text", "args", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(cli, tmp_path, text, args, message):
    if text is not None:
        (tmp_path / "in.prototxt").write_text(text)
    assert cli("upgrade", *args).error() == message


def test_unknown_fields_are_kept_and_told(cli, tmp_path):
    (tmp_path / "in.prototxt").write_text("layer { nam: 'x' }")
    result = cli("upgrade", "in.prototxt")
    assert (result.code, result.out) == (0, "layer {\n  nam: 'x'\n}\n")
    assert result.err == (
        "in.prototxt:1:9: kept as it is: message LayerParameter has no field 'nam'; "
        "did you mean 'name'?\n"
    )
