"""protonet summary: the table, phases, shapes from outside, and that nothing heavy is loaded."""

import json
import subprocess
import sys

import pytest
from places import MODELS

NO_SOURCE = (
    'layer { name: "d" type: "Data" top: "data" top: "label" data_param { source: "gone" '
    "batch_size: 4 } transform_param { crop_size: 9 } }\n"
    'layer { name: "c" type: "Convolution" bottom: "data" top: "c" '
    "convolution_param { num_output: 2 kernel_size: 3 } }\n"
)


def test_lenet(cli):
    result = cli("summary", MODELS / "lenet_dsn.prototxt")
    assert result.code == 0, result.err
    rows = {line.split()[0]: line.split() for line in result.out.splitlines() if line.split()}
    assert rows["conv1"] == [
        "conv1",
        "Convolution",
        "conv1",
        "64×20×24×24",
        "520",
        "18,432,000",
        "5.90",
        "MB",
    ]
    assert rows["ip1_side"][3:6] == ["64×10", "28,810", "1,843,200"]
    assert rows["loss"][3] == "scalar"
    assert rows["total"][1] == "459,890"
    # data, pool1 and pool2 at once: the convolutions are pooled before they are written
    values = 64 * (1 * 28 * 28 + 20 * 12 * 12 + 50 * 4 * 4)
    expected = 4 * (459_890 + values + 64 + 4 * 16)  # and labels, and losses on cache lines
    stated = float(result.out.split("forward only")[1].split(": ")[1].split()[0])
    assert stated == pytest.approx(expected / 1e6, abs=0.02)


def test_memory_of_a_forward_pass_alone(cli, tmp_path):
    (tmp_path / "n.prototxt").write_text(NO_SOURCE)
    facts = json.loads(cli("summary", "n.prototxt", "--json").out)
    # data and labels have memory of their own, the top of the convolution is an output
    assert facts["memory_forward_only"] == 4 * (4 * 3 * 81 + 4 + 4 * 2 * 49 + 2 * 3 * 9 + 2)
    (tmp_path / "m.prototxt").write_text(NO_SOURCE.replace('"Convolution"', '"Nobody\'s"'))
    assert json.loads(cli("summary", "m.prototxt", "--json").out)["memory_forward_only"] is None
    assert "forward only" not in cli("summary", "m.prototxt").out


def test_phase_and_assumed_shape(cli, tmp_path):
    (tmp_path / "n.prototxt").write_text(
        NO_SOURCE + 'layer { name: "s" type: "Silence" bottom: "label" include { phase: TEST } }'
    )
    train = cli("summary", "n.prototxt")
    assert "4×3×9×9" in train.out
    assert "note: n.prototxt:1: layer 'd' (Data): " in train.out
    assert "Silence" not in train.out
    assert "Silence" in cli("summary", "n.prototxt", "--phase", "test").out


def test_shapes_given(cli, tmp_path):
    (tmp_path / "n.prototxt").write_text(NO_SOURCE)
    result = cli("summary", "n.prototxt", "--shape", "data=2,1,5,7", "--shape", "label=2")
    assert "2×2×3×5" in result.out
    assert "note" not in result.out
    assert cli("summary", "n.prototxt", "--shape", "data=2,x").error() == (
        "--shape: expected BLOB=N,C,H,W of numbers from 1, got 'data=2,x'"
    )


def test_numba_is_not_imported():
    code = (
        "import sys, protonet.cli as c\n"
        "try: c.main(['summary', sys.argv[1]])\n"
        "except SystemExit: pass\n"
        "assert 'numba' not in sys.modules"
    )
    path = str(MODELS / "lenet.prototxt")
    subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True)
