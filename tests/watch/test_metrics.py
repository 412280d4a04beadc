"""metrics.jsonl and the measures of gradient flow."""

import json
import math
import sys

import numpy as np
import pytest

from protonet.blob import Blob
from protonet.errors import OutputError
from protonet.schema.read import parse_solver
from protonet.solvers import get_solver
from protonet.watch.gradient_flow import GradientFlow, dead_share
from protonet.watch.metrics import JsonLines, MetricsReporter, recording
from protonet.watch.reporter import Reporter
from protonet.watch.several import Several
from protonet.watch.tensorboard import scalars

NET = """
layer { name: "x" type: "DummyData" top: "x" top: "t" dummy_data_param {
  shape { dim: 7 dim: 5 } shape { dim: 7 dim: 2 }
  data_filler { type: "gaussian" std: 2 } data_filler { type: "constant" value: 0.3 } } }
layer { name: "ip1" type: "InnerProduct" bottom: "x" top: "ip1"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "sig" type: "Sigmoid" bottom: "ip1" top: "ip1" }
layer { name: "ip2" type: "InnerProduct" bottom: "ip1" top: "ip2"
  param { lr_mult: 1 } param { lr_mult: 0 }
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "ip2" top: "r" }
layer { name: "main" type: "EuclideanLoss" bottom: "ip2" bottom: "t" top: "main" }
layer { name: "side" type: "EuclideanLoss" bottom: "r" bottom: "t" top: "side" loss_weight: 0.5 }
"""


def make_solver(reporter=None, **fields):
    text = "base_lr: 0.1 lr_policy: 'fixed' display: 0 random_seed: 1 "
    text += "snapshot_after_train: false "
    text += " ".join(f"{key}: {value}" for key, value in {"max_iter": 20, **fields}.items())
    return get_solver(parse_solver(f"{text} train_net_param {{ {NET} }}"), reporter=reporter)


def test_records_of_a_run():
    records = []
    solver = make_solver(MetricsReporter(records.append))
    losses = []
    solver.add_callback(lambda: None, lambda: losses.append(solver.losses[-1]))
    solver.solve()
    assert records[0]["event"] == "run"
    assert records[0]["heads"] == ["main", "side"]
    train = records[1:]
    assert [r["event"] for r in train] == ["train"] * 20
    assert [r["iter"] for r in train] == list(range(1, 21))
    np.testing.assert_allclose([r["loss"] for r in train], losses)
    for r in train:
        total = r["outputs"]["main"] + 0.5 * r["outputs"]["side"]
        assert total == pytest.approx(r["loss"], rel=1e-6)
        assert r["lr"] == pytest.approx(0.1)


def test_losses_are_means_between_two_lines():
    records, losses = [], []
    solver = make_solver(MetricsReporter(records.append), max_iter=403)
    solver.add_callback(lambda: None, lambda: losses.append(solver.losses[-1]))
    solver.solve()
    train = records[1:]
    assert [r["iter"] for r in train][:3] == [1, 2, 4]
    assert train[-1]["iter"] == 403
    assert train[2]["loss"] == pytest.approx(np.mean(losses[2:4]))


def test_gradients_are_those_of_the_iteration():
    records, expected = [], []
    solver = make_solver(MetricsReporter(records.append, gradients=True), iter_size=2)

    def keep():
        for param in solver.net.learnable:
            if param.lr_mult:
                before = np.abs(param.blob.data).mean()
                expected.append((np.abs(param.blob.diff).mean() / 2, before))

    solver.add_callback(lambda: None, keep)
    weights = [p.blob for p in solver.net.learnable if p.lr_mult]
    solver.reporter.solving(solver)
    before = [b.data.copy() for b in weights]
    solver.step(1)
    flow = next(r for r in records if r["event"] == "gradients")
    assert [(e["layer"], e["index"]) for e in flow["params"]] == [
        ("ip1", 0),
        ("ip1", 1),
        ("ip2", 0),
    ]
    for entry, (gradient, weight), blob, old in zip(
        flow["params"], expected, weights, before, strict=True
    ):
        assert entry["gradient"] == pytest.approx(gradient, rel=1e-5)
        assert entry["weight"] == pytest.approx(weight, rel=1e-5, abs=1e-12)
        change = np.abs(blob.data - old).mean()
        if weight:
            assert entry["ratio"] == pytest.approx(change / weight, rel=1e-3)
        else:
            assert entry["ratio"] is None
    assert set(flow["dead"]) == {"relu"}
    assert 0 <= flow["saturated"]["sig"] <= 1


def test_watching_changes_no_bit():
    ends = []
    for gradients in (False, True):
        solver = make_solver(MetricsReporter(lambda record: None, gradients=gradients))
        solver.solve()
        ends.append(solver.net.param_data.tobytes())
    assert ends[0] == ends[1]


def test_a_unit_is_dead_when_no_record_and_no_place_excites_it():
    blob = Blob((2, 3, 4, 5))
    blob.data[1, 2, 3, 4] = 0.1
    assert dead_share(blob) == pytest.approx(2 / 3)
    assert dead_share(Blob((6,))) == 1.0
    assert dead_share(Blob((0, 3))) == 0.0


def test_saturation_is_seen_behind_an_in_place_layer():
    solver = make_solver()
    flow = GradientFlow(solver)
    solver.net.params["ip1"][0].data[...] = 100
    flow.begin()
    solver.net.run_forward()
    assert flow.record["saturated"]["sig"] > 0.9


def test_a_file_that_json_readers_accept(tmp_path):
    sink = JsonLines(tmp_path / "m.jsonl")
    sink({"event": "train", "loss": math.nan, "outputs": {"a": math.inf, "b": 1 / 3}})
    sink.close()
    assert json.loads((tmp_path / "m.jsonl").read_text()) == {
        "event": "train",
        "loss": None,
        "outputs": {"a": None, "b": 0.3333333},
    }


def test_a_folder_that_is_gone(tmp_path):
    with pytest.raises(OutputError, match=r"m.jsonl: cannot be written: No such file"):
        JsonLines(tmp_path / "gone" / "m.jsonl")({"event": "run"})


def test_several_reporters_are_told_every_event():
    told = []

    class One(Reporter):
        def note(self, message):
            told.append(message)

        def done(self, solver):
            told.append(solver)

    both = Several(One(), One())
    both.note("a")
    both.done(3)
    both.learning_rate(1, 0.5)
    assert told == ["a", "a", 3, 3]


def test_tensorboard_events(tmp_path):
    pytest.importorskip("tensorboardX")
    reporter = recording(tmp_path, gradients=True, tensorboard=True)
    make_solver(reporter).solve()
    reporter.close()
    assert any((tmp_path / "events").iterdir())
    assert (tmp_path / "metrics.jsonl").exists()


def test_tensorboard_is_optional(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(OutputError, match=r"pip install 'protonet-caffe\[tensorboard\]'"):
        recording(tmp_path, tensorboard=True)
    assert not list(tmp_path.iterdir())


def test_what_was_measured_last_is_written_after_an_error():
    records = []
    reporter = MetricsReporter(records.append)
    solver = make_solver(reporter, max_iter=2000)
    reporter.solving(solver)
    solver.step(14)
    assert [r["iter"] for r in records[1:]] == [1, 10]
    reporter.close()
    assert records[-1]["iter"] == 14


def test_names_of_scalars():
    record = {"event": "test", "iter": 3, "net": 1, "outputs": {"acc": 0.5, "many": [1.0, 2.0]}}
    assert scalars(record) == {"test 1/acc": 0.5}
    entry = {"layer": "c", "index": 1, "gradient": 0.5, "weight": 0.0, "ratio": None}
    flow = {"event": "gradients", "params": [entry], "dead": {"r": 0.25}, "saturated": {}}
    assert scalars(flow) == {"gradient/c/1": 0.5, "weight/c/1": 0.0, "dead/r": 0.25}
