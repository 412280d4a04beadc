"""protonet train --resume, --keep, --on-nan; runs that are killed; disks that are full."""

import importlib.util
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from places import MODELS, ROOT

from protonet.files import sweep, written_beside

LENET = MODELS / "lenet.prototxt"
SMALL = """
layer { name: "data" type: "Data" top: "data" top: "label"
  data_param { source: "mnist-train-leveldb" batch_size: 8 } transform_param { mirror: true } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 10 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


@pytest.fixture
def small(small_mnist):
    (small_mnist / "small.prototxt").write_text(SMALL)
    return small_mnist


def train(cli, *arguments):
    result = cli("train", "small.prototxt", "base_lr=0.0001", *arguments)
    assert result.code == 0, result.err
    return result


def test_going_on_without_a_path(cli, small):
    """In the same folder, with the same solver; a damaged snapshot is named and passed over."""
    train(cli, "max_iter=8", "snapshot=2", "momentum=0.5", "random_seed=3")
    straight = Path("runs/small/small_iter_8.caffemodel").read_bytes()
    weights = Path("runs/small/small_iter_8.caffemodel")
    weights.write_bytes(straight[:-1])
    Path("runs/small/small_iter_6.solverstate").unlink()
    result = train(cli, "--resume")
    assert "left out: runs/small/small_iter_8.caffemodel: damaged" in result.err
    assert "going on with the run in runs/small from runs/small/small_iter_4" in result.err
    assert weights.read_bytes() == straight
    text = Path("runs/small/metrics.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["event"] for line in lines].count("run") == 1
    assert [line["iter"] for line in lines if line["event"] == "train"] == list(range(1, 9))


def test_a_path_or_an_override_may_follow(cli, small):
    train(cli, "max_iter=4", "snapshot=2")
    assert "iter_2.solverstate" not in train(cli, "--resume", "max_iter=6").err
    assert Path("runs/small/small_iter_6.caffemodel").exists()
    train(cli, "--resume", "runs/small/small_iter_2.solverstate", "max_iter=3")
    assert Path("runs/small-2/small_iter_3.caffemodel").exists()


def test_a_run_killed_before_its_first_snapshot(cli, small):
    """It goes on from what it was begun with, or begins anew."""
    train(cli, "max_iter=4", "random_seed=3")
    for file in Path("runs/small").glob("small_iter_*"):
        file.unlink()
    result = train(cli, "--resume")
    assert "runs/small from the beginning: it has no whole snapshot" in result.err
    train(cli, "max_iter=5", "--resume=runs/small/small_iter_4.solverstate")
    for file in Path("runs/small-2").glob("small_iter_*"):
        file.unlink()
    assert "small/small_iter_4.solverstate" in train(cli, "--resume").err


def test_nothing_to_go_on_with(cli, small):
    error = cli("train", "small.prototxt", "--resume").error()
    assert error == "nothing to go on with: there is no run folder runs/small"


def test_keep(cli, small):
    train(cli, "max_iter=6", "snapshot=1", "--keep", 2)
    assert len(list(Path("runs/small").glob("*_iter_*"))) == 6
    error = cli("train", "small.prototxt", "--keep-best", "los").error()
    assert error.startswith("runs/small-2/solver.prototxt: no test net has an output 'los'")


def test_what_is_kept_is_remembered(cli, small):
    train(cli, "max_iter=3", "snapshot=1", "--keep", 2)
    train(cli, "--resume", "max_iter=6")
    assert sorted(f.name for f in Path("runs/small").glob("*.solverstate")) == [
        "small_iter_5.solverstate",
        "small_iter_6.solverstate",
    ]
    train(cli, "--resume", "max_iter=8", "--keep", 1)
    assert len(list(Path("runs/small").glob("*.solverstate"))) == 1


def test_on_nan(cli, small):
    text = SMALL.replace("mirror: true", "scale: 1e36")
    (small / "small.prototxt").write_text(text)
    error = cli("train", "small.prototxt", "max_iter=3").error()
    assert error.startswith("iteration 1: the loss is nan; first in small.prototxt:4: layer 'ip'")
    assert "read source 'mnist-train-leveldb': record 8 (key '00000008') up to source" in error
    assert error.endswith("the snapshot from before it: runs/small/small_iter_1.solverstate")
    train(cli, "max_iter=3", "--on-nan", "continue")


REFUSE = "--no-allow-python-layers"
PYTHON = """
layer { name: "data" type: "DummyData" top: "x" dummy_data_param { shape { dim: 2 } } }
layer { name: "own" type: "Python" bottom: "x" top: "y"
  python_param { module: "own_layer" layer: "Own" } }
"""


@pytest.mark.parametrize(
    "command",
    [["summary"], ["check", "--static"], ["train", REFUSE], ["time", REFUSE]],
    ids=["summary", "check", "train", "time"],
)
def test_python_layers_are_refused(cli, command):
    """A file that is only looked at runs no code, and none does that is told not to."""
    Path("own_layer.py").write_text("open('ran', 'w')\n")
    Path("own.prototxt").write_text(PYTHON)
    error = cli(command[0], "own.prototxt", *command[1:]).error()
    assert "layer 'own' (Python): class Own of module own_layer is code" in error
    assert error.endswith("unless --allow-python-layers says so")
    cli("draw", "own.prototxt", "-o", "own.svg")
    assert not Path("ran").exists()


# --- killed, full, read-only ----------------------------------------------------------------------
def test_killed_at_random_moments():
    spec = importlib.util.spec_from_file_location("crash", ROOT / "tools" / "crash.py")
    crash = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(crash)
    count = crash.crash(kills=3, seed=7, longest=0.1)
    assert (count["kills"], count["lost"]) == (3, 0)


def protonet(folder, *arguments, before=None):
    return subprocess.run(
        [sys.executable, "-m", "protonet", "train", "small.prototxt", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        preexec_fn=before,
        timeout=60,
    )


def full():
    """Let files grow to 30,000 bytes only, as a disk that is full lets them."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize("form", ["BINARYPROTO", "HDF5"])
def test_a_full_disk(cli, small, form):
    train(cli, "max_iter=2", "snapshot=1", f"snapshot_format={form}")
    before = {p.name: p.read_bytes() for p in Path("runs/small").glob("*_iter_*")}
    result = protonet(small, "--resume", "max_iter=9", before=full)
    assert result.returncode == 2
    error = result.stderr.splitlines()[-1]
    assert error.startswith("protonet: runs/small/small_iter_3.caffemodel")
    assert error.endswith("cannot be written: File too large")
    assert before == {p.name: p.read_bytes() for p in Path("runs/small").glob("*_iter_*")}
    assert not list(Path("runs/small").glob(".*"))


def test_a_folder_that_cannot_be_written(cli, small, monkeypatch):
    import os

    denied = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: "locked" not in str(path) and denied(path, mode)
    )
    Path("locked").mkdir()
    error = cli("train", "small.prototxt", "snapshot_prefix=locked/x").error()
    assert error.endswith("the folder 'locked' of snapshot_prefix cannot be written")


def test_what_killed_processes_left_is_swept(tmp_path):
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], stdout=-1)
    dead = int(ended.stdout)
    (tmp_path / f".w.caffemodel.{dead}.abc123.part").write_text("half")
    (tmp_path / ".w.part").write_text("another's")
    with written_beside(tmp_path / "w") as file:
        sweep(tmp_path)
        assert Path(file.name).exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == [".w.part", "w"]


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="has no such signals")
@pytest.mark.parametrize(
    "name, code", [("SIGTERM", 0), ("SIGHUP", None)], ids=["SIGTERM", "SIGHUP"]
)
def test_signals(small, name, code):
    process = subprocess.Popen(
        [sys.executable, "-m", "protonet", "train", "small.prototxt", "display=1",
         "max_iter=1000000", "base_lr=0.0001"],
        cwd=small, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for line in process.stderr:
        if "Iteration 5, lr" in line:
            process.send_signal(getattr(signal, name))
        if "Snapshotting solver state" in line:
            break
    if code is None:
        process.kill()
    process.communicate(timeout=60)
    assert code is None or process.returncode == code
    assert list((small / "runs/small").glob("*.protonetstate")) or code is None
