"""A second process compiles what the backward pass needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protonet.kernels import jit, placement, second, threads
from protonet.kernels.jit import kernel
from protonet.layer import TRAIN
from protonet.net import Net
from protonet.schema.read import NetSource, parse_net, parse_solver
from protonet.solvers import ahead, get_solver

NET = """
layer { name: "d" type: "DummyData" top: "x" top: "t" include { phase: TRAIN }
  dummy_data_param { shape { dim: 16 dim: 3 dim: 12 dim: 10 } shape { dim: 16 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "conv" convolution_param {
  num_output: 20 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param {
  kernel_size: 2 stride: 2 } }
layer { name: "bn" type: "BatchNorm" bottom: "pool" top: "pool" }
layer { name: "scale" type: "Scale" bottom: "pool" top: "pool" }
layer { name: "ip" type: "InnerProduct" bottom: "pool" top: "ip" inner_product_param {
  num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "t" top: "loss" }
layer { name: "side" type: "Reduction" bottom: "ip" top: "side" loss_weight: 0.5 }
"""

ECHO = "import sys; open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())"


def solver() -> Any:
    text = f'base_lr: 0.01 lr_policy: "fixed" type: "AdaGrad" train_net_param {{ {NET} }}'
    return get_solver(parse_solver(text))


def test_the_same_net_without_its_sources() -> None:
    net = Net(parse_net(NET), TRAIN)
    other = Net(NetSource.of(ahead.without_sources(net)), TRAIN)
    assert {n: b.shape for n, b in other.blobs.items()} == {
        n: b.shape for n, b in net.blobs.items()
    }
    assert [s.layer.type for s in other.steps] == ["Input", *[s.layer.type for s in net.steps[1:]]]
    assert [s.backward for s in other.steps] == [s.backward for s in net.steps]


def test_a_process_compiles_what_going_backward_takes(tmp_path: Path) -> None:
    message = ahead._message(solver())
    assert message.type == "AdaGrad"
    subprocess.run(
        second.COMMAND,
        input=message.SerializeToString(),
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
        check=True,
        timeout=300,
    )
    compiled = {path.name.split("-")[0] for path in tmp_path.rglob("*.nbi")}
    for name in ("weight_gradient.sum_products", "thin.times", "adagrad._adagrad"):
        assert any(one.startswith(name) for one in compiled), compiled
    for both in ("_pooled", "_spread"):  # what does convolution and pooling at once
        assert any(one.endswith(both) for one in compiled), compiled
    assert any(one.startswith("normalize._backward") for one in compiled), compiled
    for other in ("softmax._forward", "affine._backward"):  # of the way forward, and not needed
        assert not any(one.startswith(other) for one in compiled)


def test_it_starts_when_the_first_kernel_is_in_no_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[Any] = []
    monkeypatch.setattr(ahead, "start", started.append)
    monkeypatch.setattr(jit, "cache_folder", lambda: tmp_path)

    @kernel("void(float32[::1], int64, int64)", shared=True)
    def new(x: Any, lo: int, hi: int) -> None:
        for i in range(lo, hi):
            x[i] += 1

    trained = solver()
    before = trained._gradients

    def gradients() -> Any:
        x = np.zeros(3, np.float32)
        threads.share(new, 3, x)
        assert x.tolist() == [1, 1, 1]
        return before()

    monkeypatch.setattr(trained, "_gradients", gradients)
    trained.step(2)
    assert started == [trained]
    assert jit._when_cold is None


def test_training_goes_on_meanwhile_without_what_is_not_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Process:
        polls = 0

        def poll(self) -> int | None:
            self.polls += 1
            return 0 if self.polls == 4 else None

    trained = solver()
    trained.step(1)
    process = trained._second = Process()
    noted: list[bool] = []
    run = trained.net.run_forward

    def run_forward(hidden: bool) -> float:
        noted.append(hidden)
        return float(run(hidden=hidden))

    monkeypatch.setattr(trained.net, "run_forward", run_forward)
    trained.step(7)
    assert noted == [False] * 3 + [True] * 3 + [False]
    assert process.polls == 4


def test_nothing_writes_a_file_and_no_layer_of_a_user_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out = """layer { name: "out" type: "HDF5Output" bottom: "x" bottom: "t"
        hdf5_output_param { file_name: "%s" } }"""
    net = Net(parse_net(NET + out % (tmp_path / "out.h5")), TRAIN)
    assert "HDF5Output" not in {layer.type for layer in ahead.without_sources(net).layer}
    monkeypatch.setattr(subprocess, "Popen", refuse)
    trained = solver()
    trained.net.layers.append(
        type("Mine", (type(trained.net.layers[1]),), {"__module__": "mine"})(
            trained.net.layers[1].param
        )
    )
    ahead.start(trained)


def refuse(*args: Any, **options: Any) -> Any:
    raise AssertionError("started")


def test_not_on_one_processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(jit, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(placement, "available", lambda: 1)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    second.expect()
    assert ahead.start(solver()) is None


@pytest.mark.skipif(placement.available() < 2, reason="needs two processors")
def test_it_is_called_early_where_nothing_is_compiled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(jit, "cache_folder", lambda: tmp_path / "kernels")
    monkeypatch.setattr(second, "COMMAND", [sys.executable, "-c", ECHO, str(tmp_path / "got")])
    second.expect()
    second.expect()  # one is enough
    early = second._called
    message = ahead._message(trained := solver()).SerializeToString()
    process = ahead.start(trained)
    assert process is early is not None
    assert process.wait(60) == 0
    assert (tmp_path / "got").read_bytes() == message
    assert ahead.start(trained) is not early  # which is taken

    (tmp_path / "kernels" / "0123456789abcdef").mkdir(parents=True)
    second.expect()
    assert second._called is None


@pytest.mark.skipif(placement.available() < 2, reason="needs two processors")
def test_one_that_is_not_needed_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(jit, "cache_folder", lambda: tmp_path)
    second.expect()
    early = second._called
    assert early is not None
    assert early.poll() is None
    monkeypatch.setattr(ahead, "_is_foreign", lambda layer: True)
    assert ahead.start(solver()) is None
    assert early.poll() is not None
    assert second._called is None

    monkeypatch.undo()  # of the folder, too: all is compiled there
    (trained := solver()).step(1)
    waiting = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    monkeypatch.setattr(second, "_called", waiting)
    trained._first_gradients()
    assert waiting.poll() is not None


def test_it_ends_without_a_message() -> None:
    done = subprocess.run(second.COMMAND, input=b"", capture_output=True, timeout=300)
    assert done.returncode == 0
    assert not done.stderr
