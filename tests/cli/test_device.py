"""protonet device: what is told, as text and JSON, under Caffe's name too."""

import json
import platform

import numpy as np

from protonet.device import cpu_name
from protonet.kernels import cpu, placement, threads


def test_as_json(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("PROTONET_CACHE", str(tmp_path / "cache"))
    result = cli("device", "--json")
    assert result.code == 0, result.err
    told = json.loads(result.out)
    assert told["cpu"]
    assert told["lanes"] == cpu.lanes()
    assert set(told["features"]) <= cpu.features()
    assert told["threads"] == threads.count()
    assert told["processors"] == placement.available()
    assert told["versions"]["numpy"] == np.__version__
    assert told["versions"]["python"] == platform.python_version()
    assert told["versions"]["plyvel"]
    assert told["data"] == str(tmp_path / "cache" / "data")
    assert not (tmp_path / "cache").exists()


def test_as_caffe_asks(cli):
    result = cli("device_query", "-gpu", "0")
    assert result.code == 0, result.err
    assert "--gpu 0: there is no code for GPUs here, all runs on the CPU" in result.err
    rows = {line.split()[0]: line for line in result.out.splitlines()}
    for name in ("cpu", "threads", "numba", "llvmlite", "data"):
        assert name in rows
    assert f"{cpu.lanes()} float32 values" in result.out


def test_name_of_the_processor(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nmodel name\t: Fast One\nprocessor\t: 1\n")
    assert cpu_name(str(file)) == "Fast One"
    file.write_text("processor\t: 0\n")
    assert cpu_name(str(file)) == cpu_name(str(tmp_path / "gone")) != ""


def test_errors_are_one_line(cli):
    assert cli("device", "--jsn").error().startswith("no such option '--jsn'")
    assert "unexpected extra argument" in cli("device", "n.prototxt").error()
