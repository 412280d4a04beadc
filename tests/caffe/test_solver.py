"""caffe.SGDSolver and the other five, get_solver."""

import numpy as np
import pytest

import protonet.caffe as caffe
from protonet.errors import PrototxtError
from protonet.layer import REGISTRY
from protonet.solvers.sgd import SGD
from protonet.solvers.solver import RULES

NET = """
name: "small"
layer { name: "x" type: "DummyData" top: "x" top: "t" dummy_data_param {
  shape { dim: 4 dim: 3 } shape { dim: 4 dim: 2 } data_filler { type: "gaussian" std: 1 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }
"""
TYPES = ["SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"]


@pytest.fixture
def solver_file(tmp_path, monkeypatch):
    """Return a function that writes a solver with these fields and gives its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GLOG_minloglevel", "1")
    (tmp_path / "net.prototxt").write_text(NET)

    def write(fields=""):
        text = 'net: "net.prototxt" base_lr: 0.1 lr_policy: "step" stepsize: 2 gamma: 0.5\n'
        text += "test_iter: 2 test_interval: 100 random_seed: 3 max_iter: 5\n" + fields
        (tmp_path / "solver.prototxt").write_text(text)
        return "solver.prototxt"

    return write


def test_attributes(solver_file):
    solver = caffe.SGDSolver(solver_file())
    assert type(solver.net) is caffe.Net
    assert [type(net) for net in solver.test_nets] == [caffe.Net]
    assert (solver.iter, solver.max_iter, solver.param.base_lr) == (0, 5, pytest.approx(0.1))
    assert solver.lr == pytest.approx(0.1)
    solver.step(3)
    assert solver.iter == 3
    assert solver.lr == pytest.approx(0.05)
    solver.param.base_lr = 1
    assert solver.lr == pytest.approx(0.5)


@pytest.mark.parametrize("name", TYPES)
def test_six_classes(solver_file, name):
    cls = getattr(caffe, f"{name}Solver")
    momentum2 = "momentum: 0.9 momentum2: 0.99" if name == "Adam" else ""
    solver = cls(solver_file(momentum2))
    assert solver.type == name
    assert isinstance(solver, RULES[name])
    solver.step(1)
    named = caffe.get_solver(solver_file(f"type: '{name}' {momentum2}"))
    assert type(named) is cls


def test_types_of_ones_own(solver_file, monkeypatch):
    monkeypatch.setitem(RULES, "Mine", type("Mine", (SGD,), {"type": "Mine"}))
    solver = caffe.get_solver(solver_file("type: 'Mine'"))
    assert (solver.type, type(solver.net)) == ("Mine", caffe.Net)
    assert "Mine" not in REGISTRY
    with pytest.raises(PrototxtError, match="unknown solver type 'Sgd'; did you mean 'SGD'"):
        caffe.get_solver(solver_file("type: 'Sgd'"))


def test_the_step_by_hand(solver_file):
    """What step does, put together by hand from forward, backward and apply_update."""
    by_hand, stepped = (caffe.SGDSolver(solver_file()) for _ in range(2))
    values = np.random.default_rng(1).standard_normal((4, 3))
    for solver in (by_hand, stepped):
        solver.net.params["ip"][0].data[...] = 1
    by_hand.net.blobs["x"].data[...] = values
    w = by_hand.net.params["ip"][0].data.copy()
    by_hand.net.clear_param_diffs()
    by_hand.net.forward(start="ip")
    by_hand.net.backward()
    diff = by_hand.net.params["ip"][0].diff.copy()
    by_hand.apply_update()
    np.testing.assert_allclose(by_hand.net.params["ip"][0].data, w - 0.1 * diff, rtol=1e-5)
    assert by_hand.iter == 0


def test_callbacks(solver_file):
    solver = caffe.SGDSolver(solver_file())
    seen = []
    solver.add_callback(lambda: seen.append("start"), lambda: seen.append("ready"))
    solver.step(2)
    assert seen == ["start", "ready"] * 2


def test_snapshot_and_restore(solver_file, tmp_path):
    solver = caffe.SGDSolver(solver_file("momentum: 0.9 snapshot_prefix: 'run'"))
    solver.step(2)
    solver.snapshot()
    other = caffe.SGDSolver("solver.prototxt")
    other.restore("run_iter_2.solverstate")
    assert other.iter == 2
    solver.solve()
    assert solver.iter == 5
    other.solve("run_iter_2.solverstate")
    assert other.iter == 5
    assert (tmp_path / "run_iter_5.caffemodel").exists()


def test_share_weights(solver_file):
    solver = caffe.SGDSolver(solver_file())
    net = caffe.Net("net.prototxt", caffe.TEST)
    solver.share_weights(net)
    solver.net.params["ip"][1].data[...] = 4
    assert (net.params["ip"][1].data == 4).all()


def test_log_lines(solver_file, monkeypatch, capsys):
    monkeypatch.delenv("GLOG_minloglevel")
    caffe.SGDSolver(solver_file("display: 1")).step(1)
    assert "] Iteration 0, lr = 0.1" in capsys.readouterr().err
