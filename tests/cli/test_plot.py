"""protonet plot: figures of runs and logs, and its errors."""

import re
import sys
from pathlib import Path

import pytest
from places import MODELS

pytest.importorskip("matplotlib")


@pytest.fixture
def run_folder(cli, small_mnist):
    result = cli(
        "train",
        MODELS / "lenet_dsn.prototxt",
        "max_iter=12",
        "display=2",
        "debug_info=true",
        "--watch",
        "gradients",
        "--out",
        "r",
    )
    assert result.code == 0, result.err
    Path("caffe.log").write_text(result.err)
    return Path("r")


def test_a_run_and_its_log(cli, run_folder):
    result = cli("plot", "r")
    assert result.code == 0, result.err
    assert result.out == "r/plot.svg: loss, score, lr, gradients\n"
    first = Path("r/plot.svg").read_bytes()
    assert cli("plot", "r").code == 0
    assert Path("r/plot.svg").read_bytes() == first, "the same figure is the same file"
    result = cli("plot", "caffe.log", "r", "--out", "both.png")
    assert result.out == "both.png: loss, score, lr, gradients\n"
    assert Path("both.png").read_bytes()[1:4] == b"PNG"
    assert cli("plot", "r", "--only", "lr", "--out", "lr.svg").out == "lr.svg: lr\n"


def test_the_report_of_a_run(cli, run_folder):
    page = Path("r/report.html").read_text()
    for part in ("Test after 12 iterations", "ip1_side", "Mean |gradient| of biases", "diagram of"):
        assert part in page
    assert re.search(r"ip2 is wrong on \d+ of 1,024 test records", page)
    assert "http" not in page.replace("http://www.w3.org", "")


def test_errors(cli, run_folder, monkeypatch):
    assert cli("plot", "gone").error() == "gone: no such file or folder"
    message = cli("plot", "r", "--out", "r.gif").error()
    assert message == "r.gif: expected a name that ends in .svg, .png, .pdf"
    text = Path("r/metrics.jsonl").read_text()
    Path("plain").mkdir()
    Path("plain/metrics.jsonl").write_text(re.sub('.*"gradients".*\n', "", text))
    message = cli("plot", "plain", "--only", "gradients").error()
    assert message == "plain: nothing was measured of gradients; train with --watch gradients"
    assert cli("plot", "plain").out == "plain/plot.svg: loss, score, lr\n"
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = cli("plot", "r").error()
    assert message == "figures need matplotlib: pip install 'protonet-caffe[plot]'"
