"""Every field of a solver file does something: for each field of Caffe's schema, what it does.

The net is y = w·x + b, its loss the sum of y, so that gradients are known: 8 for each of the
three weights (x is 4 everywhere, 2 rows), 2 for b.
"""

import io
import json
import math
from pathlib import Path

import h5py
import numpy as np
import pytest
from places import REFERENCE

import protonet
from protonet.schema import caffe_pb2 as pb
from protonet.schema.read import parse_solver, parse_weights
from protonet.watch.glog import GlogReporter

NET = """
layer { name: "x" type: "DummyData" top: "x" dummy_data_param { shape { dim: 2 dim: 3 }
  data_filler { value: 4 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 1
  weight_filler { type: "constant" value: 3 } bias_filler { type: "constant" value: 3 } } }
layer { name: "sum" type: "Reduction" bottom: "y" top: "sum" loss_weight: 1 }
"""
RANDOM = NET.replace('"constant"', '"gaussian"', 1)
GRADIENT, BIAS_GRADIENT = 8.0, 2.0


def message(fields):
    return f"{{ {fields} }}"


DEFAULTS = {
    "net_param": message(NET),
    "base_lr": "0.5",
    "lr_policy": '"fixed"',
    "max_iter": "4",
    "snapshot_after_train": "false",
}
TESTED = {"test_iter": "1", "test_interval": "2"}

with (REFERENCE / "schema.json").open() as file:
    SCHEMA = json.load(file)["messages"]["SolverParameter"]["fields"]

CHECKS = {}


def honours(*fields):
    """Decorator: this function tests what these fields do."""

    def add(check):
        for field in fields:
            assert field not in CHECKS, field
            CHECKS[field] = check
        return check

    return add


def extra(rule):
    """Return the net with one more layer, where this rule includes it."""
    return f'{NET} layer {{ name: "extra" type: "Silence" bottom: "x" include {{ {rule} }} }}'


def build(**fields):
    """Return a solver of these fields, given as in a prototxt; None leaves a default out."""
    given = {name: text for name, text in (DEFAULTS | fields).items() if text is not None}
    lines = []
    for name, text in given.items():
        values = text if isinstance(text, list) else [text]
        lines += [f"{name} {v}" if v.startswith("{") else f"{name}: {v}" for v in values]
    log = io.StringIO()
    solver = protonet.get_solver(parse_solver("\n".join(lines)), reporter=GlogReporter(log))
    solver.messages = lambda: [line.split("] ", 1)[1] for line in log.getvalue().splitlines()]
    return solver


def weight(solver):
    """Return the weights' one value and the bias."""
    w, b = solver.net.params["ip"]
    assert (w.data == w.data[0, 0]).all()
    return float(w.data[0, 0]), float(b.data[0])


def rates(iterations, **fields):
    solver = build(base_lr="2", **fields)
    got = []
    for i in iterations:
        solver.iter = i
        got.append(solver.learning_rate())
    return got


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_table_is_complete():
    assert sorted(CHECKS) == sorted(field["name"] for field in SCHEMA)


@pytest.mark.parametrize("field", [field["name"] for field in SCHEMA])
def test_field(field):
    CHECKS[field]()


# --- nets and their states ------------------------------------------------------------------------
@honours("net")
def _net():
    Path("n.prototxt").write_text(extra("phase: TEST"))
    solver = build(net_param=None, net='"n.prototxt"', **TESTED)
    assert "extra" not in solver.net.layer_dict
    assert "extra" in solver.test_nets[0].layer_dict


@honours("net_param")
def _net_param():
    solver = build(net_param=message(extra("phase: TEST")), **TESTED)
    assert "extra" not in solver.net.layer_dict
    assert "extra" in solver.test_nets[0].layer_dict


@honours("train_net", "test_net")
def _two_files():
    Path("a.prototxt").write_text(NET)
    Path("b.prototxt").write_text(extra("phase: TEST"))
    files = {"train_net": '"a.prototxt"', "test_net": ['"b.prototxt"', '"a.prototxt"']}
    solver = build(net_param=None, test_interval="2", test_iter=["1", "1"], **files)
    nets = [solver.net, *solver.test_nets]
    assert ["extra" in net.layer_dict for net in nets] == [False, True, False]


@honours("train_net_param", "test_net_param")
def _two_messages():
    messages = {
        "train_net_param": message(NET),
        "test_net_param": message(extra("phase: TEST")),
    }
    solver = build(net_param=None, **messages, **TESTED)
    assert ["extra" in net.layer_dict for net in (solver.net, *solver.test_nets)] == [False, True]


@honours("train_state")
def _train_state():
    for rule, state in (
        ('stage: "a"', 'stage: "a"'),
        ("min_level: 3", "level: 3"),
        ("phase: TEST", "phase: TEST"),
    ):
        net = message(extra(rule))
        assert "extra" not in build(net_param=net).net.layer_dict
        assert "extra" in build(net_param=net, train_state=message(state)).net.layer_dict
    # the net's own state holds unless the solver says otherwise
    own = message("state { level: 3 } " + extra("min_level: 3"))
    assert "extra" in build(net_param=own).net.layer_dict
    assert "extra" not in build(net_param=own, train_state="{ level: 2 }").net.layer_dict


@honours("test_state")
def _test_state():
    net = message(extra('stage: "a"'))
    states = ['{ stage: "b" }', '{ stage: "a" }']
    solver = build(net_param=net, test_iter=["1", "1"], test_interval="2", test_state=states)
    assert ["extra" in test.layer_dict for test in solver.test_nets] == [False, True]


@honours("weights")
def _weights():
    for name, value in (("a", 7), ("b", 8)):
        solver = build()
        solver.net.params["ip"][0].data[...] = value
        solver.net.save(f"{name}.caffemodel")
    assert weight(build())[0] == 3
    assert weight(build(weights='"a.caffemodel"'))[0] == 7
    assert weight(build(weights=['"b.caffemodel"', '"a.caffemodel"']))[0] == 7
    solver = build(weights='"a.caffemodel, b.caffemodel"', **TESTED)
    assert weight(solver)[0] == 8
    assert solver.test_nets[0].params["ip"][0].data[0, 0] == 8


@honours("random_seed")
def _random_seed():
    net = message(RANDOM)
    first, again, other = (
        build(net_param=net, random_seed=seed).net.param_data for seed in ("5", "5", "6")
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


# --- the loop -------------------------------------------------------------------------------------
def lines_of_tests(solver):
    return [m for m in solver.messages() if "Testing net" in m]


@honours("max_iter")
def _max_iter():
    for count in (0, 3):
        solver = build(max_iter=str(count))
        assert solver.solve()
        assert solver.iter == count


@honours("test_interval", "test_initialization")
def _test_interval():
    solver = build(**TESTED)
    solver.step(5)
    assert lines_of_tests(solver) == [f"Iteration {i}, Testing net (#0)" for i in (0, 2, 4)]
    solver = build(test_initialization="false", **TESTED)
    solver.step(5)
    assert lines_of_tests(solver) == [f"Iteration {i}, Testing net (#0)" for i in (2, 4)]


@honours("test_iter")
def _test_iter():
    solver = build(test_interval="2", test_iter=["3", "2"])
    ran = [[], []]
    for net, names in zip(solver.test_nets, ran, strict=True):
        net.before_forward(names.append)
    solver.test_all()
    assert [names.count("ip") for names in ran] == [3, 2]


@honours("test_compute_loss")
def _test_compute_loss():
    for text, lines in (("false", []), ("true", ["Test loss: 78"])):
        solver = build(test_compute_loss=text, **TESTED)
        solver.test_all()
        assert [m for m in solver.messages() if "Test loss" in m] == lines


@honours("display")
def _display():
    solver = build(display="2")
    solver.step(5)
    shown = [m.split(" ")[1].rstrip(",") for m in solver.messages() if ", loss = " in m]
    assert shown == ["0", "2", "4"]
    assert [m for m in solver.messages() if "lr" in m][1] == "Iteration 2, lr = 0.5"
    silent = build()
    silent.step(5)
    assert silent.messages() == []


@honours("average_loss")
def _average_loss():
    # a step takes 4 off each weight and 1 off b: 2 * (3 * 4 * 4 + 1) off the loss
    losses = [78.0, 78 - 98, 78 - 2 * 98]
    solver = build(average_loss="2")
    solver.step(3)
    assert solver.smoothed_loss == pytest.approx(sum(losses[1:]) / 2)


@honours("debug_info")
def _debug_info():
    solver = build(debug_info="true", display="2", **TESTED)
    solver.step(2)
    lines = [m.strip() for m in solver.messages() if m.startswith("    [")]
    tested, trained = lines[:5], lines[5:]
    assert tested[0] == "[Forward] Layer x, top blob x data: 4"
    assert trained[:5] == tested
    assert trained.count("[Forward] Layer ip, param blob 0 data: 3") == 1  # not in iteration 1
    assert "[Update] Layer ip, param 0 data: 3; diff: 4" in trained
    assert "display is 0" in build(debug_info="true").messages()[0]


# --- updates --------------------------------------------------------------------------------------
@honours("base_lr")
def _base_lr():
    solver = build(base_lr="0.25")
    solver.step(1)
    assert weight(solver) == (3 - 0.25 * GRADIENT, 3 - 0.25 * BIAS_GRADIENT)


@honours("lr_policy", "gamma")
def _lr_policy():
    assert rates([0, 7]) == [2, 2]
    assert rates([0, 3], lr_policy='"exp"', gamma="0.5") == [2, 0.25]


@honours("power")
def _power():
    assert rates([0, 3], lr_policy='"inv"', gamma="1", power="0.5") == [2, 1]
    assert rates([0, 2], lr_policy='"poly"', power="2") == [2, 0.5]


@honours("stepsize")
def _stepsize():
    assert rates([2, 3, 6], lr_policy='"step"', gamma="0.5", stepsize="3") == [2, 1, 0.5]


@honours("stepvalue")
def _stepvalue():
    values = {"stepvalue": ["2", "5"], "gamma": "0.5", "lr_policy": '"multistep"'}
    assert rates([1, 2, 4, 5], **values) == [2, 1, 1, 0.5]


@honours("momentum")
def _momentum():
    solver = build(momentum="0.5")
    solver.step(2)
    assert weight(solver)[0] == 3 - 4 - (4 + 0.5 * 4)


@honours("weight_decay", "regularization_type")
def _weight_decay():
    for kind, share in (("L2", 3), ("L1", 1)):
        solver = build(weight_decay="0.5", regularization_type=f'"{kind}"')
        solver.step(1)
        assert weight(solver)[0] == 3 - 0.5 * (GRADIENT + 0.5 * share)


@honours("clip_gradients")
def _clip_gradients():
    norm = math.sqrt(3 * GRADIENT**2 + BIAS_GRADIENT**2)
    solver = build(clip_gradients=str(norm / 4))
    solver.step(1)
    assert weight(solver)[0] == pytest.approx(3 - 0.5 * GRADIENT / 4)


@honours("iter_size")
def _iter_size():
    solver = build(iter_size="3")
    ran = []
    solver.net.before_forward(ran.append)
    solver.step(1)
    assert ran.count("ip") == 3
    assert weight(solver)[0] == pytest.approx(3 - 0.5 * GRADIENT)


@honours("type", "solver_type")
def _type():
    assert build(type='"AdaGrad"').type == "AdaGrad"
    assert build(solver_type="ADAM").type == "Adam"


@honours("delta")
def _delta():
    solver = build(type='"AdaGrad"', delta="8")
    solver.step(1)
    assert weight(solver)[0] == pytest.approx(3 - 0.5 * GRADIENT / (GRADIENT + 8))


@honours("rms_decay")
def _rms_decay():
    solver = build(type='"RMSProp"', rms_decay="0.75")
    solver.step(1)
    assert solver.history[0][0, 0] == pytest.approx(0.25 * GRADIENT**2)


@honours("momentum2")
def _momentum2():
    solver = build(type='"Adam"', momentum="0.5", momentum2="0.75")
    solver.step(1)
    assert solver.history[0][0, 0] == pytest.approx(0.5 * GRADIENT)
    assert solver.history[2][0, 0] == pytest.approx(0.25 * GRADIENT**2)


# --- snapshots ------------------------------------------------------------------------------------
def written():
    """Return the names of Caffe's own files."""
    names = {path.name for path in Path().iterdir()}
    ours = {name for name in names if name.endswith(".protonetstate")}
    assert len(ours) == len([name for name in names if ".solverstate" in name])
    return sorted(names - ours)


@honours("snapshot", "snapshot_prefix", "snapshot_after_train")
def _snapshot():
    build(snapshot="2", snapshot_prefix='"s"', max_iter="5").solve()
    pairs = [f"s_iter_{i}.{kind}" for i in (2, 4) for kind in ("caffemodel", "solverstate")]
    assert written() == pairs
    build(snapshot="2", snapshot_prefix='"s"', max_iter="5", snapshot_after_train="true").solve()
    assert written() == [*pairs, "s_iter_5.caffemodel", "s_iter_5.solverstate"]
    Path("folder").mkdir()
    build(snapshot="1", snapshot_prefix='"folder"', max_iter="1").solve()
    assert (Path("folder") / "solver_iter_1.caffemodel").exists()


@honours("snapshot_format")
def _snapshot_format():
    build(snapshot="4", snapshot_prefix='"s"', snapshot_format="HDF5").solve()
    assert written() == ["s_iter_4.caffemodel.h5", "s_iter_4.solverstate.h5"]
    assert h5py.is_hdf5("s_iter_4.caffemodel.h5")


@honours("snapshot_diff")
def _snapshot_diff():
    for text in ("true", "false"):
        build(snapshot="1", max_iter="1", snapshot_prefix=f'"{text}"', snapshot_diff=text).solve()
        ip = parse_weights(f"{text}_iter_1.caffemodel").layer[1]
        update = [0.5 * GRADIENT] * 3 if text == "true" else []
        assert list(ip.blobs[0].diff) == update
        assert ip.blobs[0].data[0] == 3 - 0.5 * GRADIENT
    solver = build(snapshot_prefix='"h"', snapshot_diff="true", snapshot_format="HDF5")
    solver.step(1)
    with h5py.File(solver.snapshot()[0]) as file:
        np.testing.assert_array_equal(file["diff/ip/0"][()], np.full((1, 3), 0.5 * GRADIENT))
        assert sorted(file["data/ip"]) == ["0", "1"]


# --- what concerns GPUs only ----------------------------------------------------------------------
@honours("solver_mode", "device_id")
def _devices():
    (message,) = build(solver_mode="GPU", device_id="3").messages()
    assert message == (
        "solver_mode: GPU, device_id: 3: there is no code for GPUs here, all runs on the CPU"
    )
    assert build(solver_mode="CPU").messages() == []


@honours("layer_wise_reduce")
def _layer_wise_reduce():
    (message,) = build(layer_wise_reduce="false").messages()
    assert message.startswith("layer_wise_reduce concerns training on several GPUs")


def test_fields_that_make_no_sense():
    for fields, message in (
        ({"test_interval": "2", "test_iter": "0"}, "expected test_iter of at least 1, got 0"),
        ({"weights": '"gone.caffemodel"'}, "weights: no such file: 'gone.caffemodel'"),
    ):
        with pytest.raises(protonet.errors.ProtonetError, match=message):
            build(**fields)


def test_the_schema_here_has_the_same_fields():
    ours = {field.name: field.number for field in pb.SolverParameter.DESCRIPTOR.fields}
    assert {field["name"]: field["number"] for field in SCHEMA}.items() <= ours.items()
