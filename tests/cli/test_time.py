"""protonet time: the table, Caffe's lines, JSON, and its errors."""

import json
import re

import pytest
from places import MODELS

import protonet
from protonet.cli.time import _table
from protonet.schema.read import parse_net
from protonet.timing import time_net

DSN = MODELS / "lenet_dsn.prototxt"
DEPLOY = (
    'name: "d"\n'
    'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }\n'
    'layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" '
    "inner_product_param { num_output: 4 } }\n"
)


def test_a_net_with_its_data(cli, small_mnist):
    result = cli("time", f"-model={DSN}", "-iterations", 2, "-gpu=0")
    assert result.code == 0, result.err
    rows = {line.split()[0]: line.split() for line in result.out.splitlines() if line.split()}
    assert len(rows["conv1"]) == 9
    assert rows["conv1"][1] == "Convolution"
    assert all(float(cell) > 0 for cell in rows["conv1"][2:8])
    assert rows["mnist"][1] == "Data"
    assert rows["total"][-1] == "100.0%"
    assert "2 iterations, " in result.out
    assert "--gpu 0: there is no code for GPUs here" in result.err
    for line in (
        r"caffe.cpp:\d+\] +conv1\tforward: [\d.e-]+ ms\.",
        r"caffe.cpp:\d+\] +conv1\tbackward: [\d.e-]+ ms\.",
        r"caffe.cpp:\d+\] Average Forward pass: [\d.]+ ms\.",
        r"caffe.cpp:\d+\] Average Forward-Backward: [\d.]+ ms\.",
    ):
        assert re.search(line, result.err), result.err


def test_a_deploy_net_as_json(cli, tmp_path):
    (tmp_path / "n.prototxt").write_text(DEPLOY)
    result = cli("time", "n.prototxt", "--iterations", 3, "--shape", "x=5,7", "--json")
    assert result.code == 0, result.err
    answer = json.loads(result.out)
    assert answer["iterations"] == 3
    layers = {layer["name"]: layer for layer in answer["layers"]}
    assert layers["ip"]["forward"]["multiply_adds"] == 5 * 7 * 4
    assert layers["ip"]["backward"] is None
    assert layers["ip"]["forward"]["gflops"] > 0
    assert "n.prototxt: no loss, no backward pass" in result.err


def test_a_net_whose_source_is_gone(cli, tmp_path):
    (tmp_path / "n.prototxt").write_text(
        'layer { name: "d" type: "Data" top: "data" data_param { source: "gone" batch_size: 4 } '
        "transform_param { crop_size: 5 } }\n"
    )
    result = cli("time", "n.prototxt", "--iterations", 1)
    assert result.code == 0, result.err
    assert "assumed data of shape (4, 3, 5, 5), with random values" in result.err


ERRORS = [  # id, text of the net, arguments, what the one line says
    ("iterations", DEPLOY, ["--iterations", 0], "0 is not in the range x>=1"),
    ("phase", DEPLOY, ["--phase", "DEPLOY"], "'DEPLOY' is not one of 'train', 'test'"),
    ("shape", DEPLOY, ["--shape", "x=0"], "expected BLOB=N,C,H,W of numbers from 1, got 'x=0'"),
    ("blob", DEPLOY, ["--shape", "y=2,3"], "a shape was given for blob 'y', which is not in"),
    ("layer", DEPLOY.replace('bottom: "x"', 'bottom: "z"'), [], "n.prototxt:3: layer 'ip' "),
    (
        "source",
        'layer { name: "d" type: "Data" top: "d" data_param { source: "gone" batch_size: 4 } }',
        [],
        "n.prototxt:1: layer 'd' (Data): source 'gone' does not exist",
    ),
]


@pytest.mark.parametrize("text, args, message", [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS])
def test_errors_are_one_line(cli, tmp_path, text, args, message):
    (tmp_path / "n.prototxt").write_text(text)
    assert message in cli("time", "n.prototxt", *args).error()


def test_no_net(cli):
    assert cli("time").error() == "missing argument 'NET'"
    assert cli("time", "gone.prototxt").error() == "gone.prototxt: no such file"


def test_a_narrow_table_leaves_out_types_and_minima():
    timing = time_net(protonet.Net(parse_net(DEPLOY)), 1, lambda: None)
    names = {wide: [c.header for c in _table(timing, wide).columns] for wide in (True, False)}
    assert names[False] == ["layer", "forward", "GFLOP/s", "backward", "GFLOP/s", "share"]
    assert [n for n in names[True] if n not in ("type", "min")] == names[False]
