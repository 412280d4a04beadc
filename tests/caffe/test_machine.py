"""Devices, the log, the timer, other processes."""

import time
import warnings

import pytest

import protonet.caffe as caffe
from protonet.caffe import machine
from protonet.errors import ProtonetError


def test_one_warning_for_a_gpu(monkeypatch):
    monkeypatch.setattr(machine, "_warned_of_gpu", False)
    caffe.set_mode_cpu()
    with pytest.warns(UserWarning, match="protonet computes on the processor") as caught:
        caffe.set_mode_gpu()
        caffe.set_device(0)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        caffe.set_device(3)


def test_log(monkeypatch, capsys):
    monkeypatch.setattr(machine, "_level", None)
    monkeypatch.delenv("GLOG_minloglevel", raising=False)
    caffe.log("a line")
    assert capsys.readouterr().err.endswith("_caffe.cpp:1] a line\n")
    monkeypatch.setenv("GLOG_minloglevel", "1")
    caffe.log("unseen")
    caffe.init_log(0)
    caffe.log("seen")
    caffe.init_log(2)
    caffe.log("unseen")
    caffe.init_log(0, False)
    caffe.log("unseen")
    assert capsys.readouterr().err.count("\n") == 1


def test_timer():
    timer = caffe.Timer()
    assert timer.ms == 0
    timer.start()
    time.sleep(0.01)
    assert timer.ms >= 10
    timer.stop()
    stopped = timer.ms
    timer.stop()
    assert timer.ms == stopped >= 10


def test_one_process():
    assert (caffe.solver_count(), caffe.solver_rank(), caffe.has_nccl()) == (1, 0, False)
    caffe.set_solver_count(1)
    caffe.set_solver_rank(0)
    caffe.set_multiprocess(False)
    for call, what in (
        (lambda: caffe.set_solver_count(2), "2 solvers"),
        (lambda: caffe.set_solver_rank(1), "a solver of rank 1"),
        (lambda: caffe.set_multiprocess(True), "several processes"),
        (lambda: caffe.NCCL("s", "u"), "NCCL"),
    ):
        with pytest.raises(ProtonetError, match=f"in one process on the processor; got {what}"):
            call()
