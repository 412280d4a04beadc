"""protonet weights."""

import json

import pytest
from places import REFERENCE

SNAPSHOT = REFERENCE / "snapshots" / "sgd_iter_5.caffemodel"
NET = """
layer { name: "x" type: "Data" top: "x" transform_param { crop_size: 8 mean_value: [1, 2, 3] }
  data_param { source: "gone" batch_size: 2 } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "y"
  convolution_param { num_output: 2 kernel_size: 3 } }
layer { name: "head" type: "InnerProduct" bottom: "y" top: "z"
  inner_product_param { num_output: 7 } }
"""


def test_show(cli):
    result = cli("weights", "show", SNAPSHOT)
    assert result.code == 0
    lines = [line.split() for line in result.out.splitlines()]
    assert ["layer", "blob", "shape", "values", "min", "max", "mean", "std", "zeros"] in lines
    assert ["conv", "0", "2×1×3×3", "18", "-0.5725", "1.228", "0.1267", "0.423", "0%"] in lines
    assert lines[-2] == ["total", "7", "124"]


def test_show_as_json(cli):
    facts = json.loads(cli("weights", "show", SNAPSHOT, "--json").out)
    assert [fact["layer"] for fact in facts] == ["conv", "conv", "bn", "bn", "bn", "ip", "ip"]
    assert facts[0]["shape"] == [2, 1, 3, 3]
    assert set(facts[0]) >= {"minimum", "maximum", "mean", "std", "zeros", "finite"}


@pytest.mark.parametrize("name", ["w.npz", "w.safetensors", "w.h5"])
def test_export(cli, name):
    result = cli("weights", "export", SNAPSHOT, name)
    assert (result.code, result.out) == (0, f"{name}: 7 blobs\n")
    once = json.loads(cli("weights", "show", name, "--json").out)
    again = json.loads(cli("weights", "show", SNAPSHOT, "--json").out)
    key = lambda fact: (fact["layer"], fact["index"])  # noqa: E731
    assert sorted(once, key=key) == sorted(again, key=key)


def test_import(cli, tmp_path):
    (tmp_path / "net.prototxt").write_text(NET)
    cli("weights", "export", SNAPSHOT, "w.npz")
    message = cli("weights", "import", "net.prototxt", "w.npz", "out.caffemodel").error()
    assert message == (
        "w.npz: layer 'conv' (Convolution): parameter 0: expected the shape (2, 3, 3, 3), "
        "got (2, 1, 3, 3)"
    )
    assert not (tmp_path / "out.caffemodel").exists()
    result = cli(
        "weights", "import", "net.prototxt", "w.npz", "out.caffemodel", "--ignore-mismatched"
    )
    assert result.out.splitlines() == [
        "left out: layer 'conv' (Convolution): parameter 0: expected the shape (2, 3, 3, 3), "
        "got (2, 1, 3, 3)",
        "left out: layer 'bn', which net.prototxt does not have",
        "left out: layer 'ip', which net.prototxt does not have",
        "not in w.npz: layer 'head', which keeps what its fillers gave it",
        "out.caffemodel: 0 of 2 layers filled from w.npz",
    ]
    shown = json.loads(cli("weights", "show", "out.caffemodel", "--json").out)
    assert [fact["shape"] for fact in shown] == [[2, 3, 3, 3], [2], [7, 72], [7]]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["show", "gone.caffemodel"], "gone.caffemodel: no such file"),
        (["show", "gone.npz"], "gone.npz: no such file"),
        (
            ["export", SNAPSHOT, "w.pt"],
            "w.pt: expected a name that ends in one of .npz, .safetensors, .h5",
        ),
    ],
)
def test_refused(cli, args, message):
    assert cli("weights", *args).error() == message
