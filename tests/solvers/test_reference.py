"""Solvers against recorded Caffe: losses, weights, history, rates, snapshots, whole trainings."""

import json
import shutil

import numpy as np
import pytest
from places import REFERENCE
from recordings import cases, check, check_params, feed, inside, load, part, set_params

import protonet
from protonet.schema.read import parse_solver
from protonet.solvers.lr_policy import learning_rate


def by_name(kind):
    return [pytest.param(case, id=case["name"]) for case in cases(kind)]


@pytest.mark.parametrize("case", by_name("solver"))
def test_ten_iterations(case):
    arrays = load(REFERENCE / case["arrays"])
    rtol = case["tolerance"]["rtol"]
    with inside(REFERENCE):
        solver = protonet.get_solver(case["solver"])
    set_params(solver.net, part(arrays, "param/"))
    feeds, losses = part(arrays, "feed/"), part(arrays, "loss/")
    for i in range(case["iterations"]):
        assert solver.learning_rate() == pytest.approx(float(arrays["lr"][i]), rel=2e-6)
        feed(solver.net, feeds, i)
        solver.step(1)
        for head, values in losses.items():
            check(solver.net.blobs[head].data, values[i], rtol, f"loss/{head} at {i}")
        recorded = part(arrays, f"weights_{i + 1}/")
        if recorded:
            check_params(solver.net, recorded, rtol, f"weights_{i + 1}")
    history = part(arrays, "history/")
    assert len(history) == len(solver.history)
    for i, value in enumerate(solver.history):
        check(value, history[str(i)], rtol, f"history/{i}")
    assert [solver.iter, solver.current_step] == arrays["state"].tolist()


@pytest.mark.parametrize(
    "row",
    json.loads((REFERENCE / "solvers/learning_rates.json").read_text()),
    ids=lambda row: row["name"],
)
def test_learning_rates(row):
    param = parse_solver(row["solver"]).message
    rates = [learning_rate(param, i) for i in row["iterations"]]
    np.testing.assert_allclose(rates, row["lr"], rtol=2e-6)


def snapshot_cases():
    for case in cases("snapshot"):
        for state in case["files"]:
            if ".solverstate" in state:
                kind = "HDF5" if state.endswith(".h5") else "BINARYPROTO"
                solver = next(f for f in case["files"] if f.endswith(f"_{kind}.prototxt"))
                yield pytest.param(case, state, solver, id=f"{case['name']}-{kind}")


@pytest.mark.parametrize("case, state, solver_file", list(snapshot_cases()))
def test_going_on_from_a_snapshot_of_caffe(case, state, solver_file):
    arrays = load(REFERENCE / case["arrays"])
    rtol = case["tolerance"]["rtol"]
    with inside(REFERENCE):
        solver = protonet.get_solver(solver_file)
        solver.restore(state)
    check_params(solver.net, part(arrays, "weights_5/"), 0, "weights_5")
    assert solver.iter == 5
    feeds = part(arrays, "feed/")
    for i in range(5, 10):
        feed(solver.net, feeds, i)
        solver.step(1)
    check_params(solver.net, part(arrays, "weights_10/"), rtol, "weights_10")


# --- LeNet and its deeply supervised variant, from the recorded initial weights -------------------
DATABASES = ["mnist-1k-leveldb", "mnist-1k-lmdb"]


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("case", by_name("training"))
def test_a_hundred_iterations_of_lenet(case, database, tmp_path):
    arrays = load(REFERENCE / case["arrays"])
    shutil.copytree(REFERENCE / database, tmp_path / "mnist-train-leveldb")
    for key in ("net", "solver"):
        shutil.copy(REFERENCE / case[key], tmp_path)
    with inside(tmp_path):
        solver = protonet.get_solver(case["solver"].split("/")[-1])
        net = solver.net
        initial = part(load(REFERENCE / case["initial_weights"]), "param/")
        set_params(net, {k[6:]: initial[k[6:]] for k in case["initial_shapes"]})
        losses = {name: [] for name in part(arrays, "loss/")}

        def after_gradients():
            for name, values in losses.items():
                values.append(float(net.blobs[name].data))
            if len(values) == 1:
                _check_first(net, arrays, case)

        solver.add_callback(lambda: None, after_gradients)
        solver.step(1)
        _check_weights(net, arrays, case, 1)
        solver.step(case["iterations"] - 1)
        net.close()
    tolerance = case["tolerance"]["by_array_prefix"]
    for name, values in losses.items():
        want = arrays[f"loss/{name}"]
        check(values[:20], want[:20], tolerance["loss_first_20"], f"first 20 of {name}")
        check(values, want, tolerance["loss"], name)
    _check_weights(net, arrays, case, case["iterations"])


def _check_first(net, arrays, case):
    """Compare the first batch, its activations and its gradients."""
    tolerance = case["tolerance"]["by_array_prefix"]
    first = tolerance["first_batch"]
    check(net.blobs["data"].data[0], arrays["first_batch/data_row0"], first, "data_row0")
    check(net.blobs["label"].data, arrays["first_batch/label"], 0, "label")
    check(net.blobs["ip2"].data, arrays["first_batch/ip2"], first, "ip2")
    for name, want in part(arrays, "top_1_mean_abs/").items():
        got = np.abs(net.blobs[name].data, dtype=np.float64).mean()
        check(got, want, tolerance["top_1_mean_abs"], f"mean of {name}")
    for name, want in part(arrays, "grad_1_mean_abs/").items():
        layer, i = name.split("/")
        got = np.abs(net.params[layer][int(i)].diff, dtype=np.float64).mean()
        check(got, want, tolerance["grad_1_mean_abs"], f"mean gradient of {name}")
    for name, want in part(arrays, "grad_1/").items():
        check(_excerpt(net, name, "diff"), want, tolerance["grad_1"], f"gradient of {name}")


def _excerpt(net, name, which):
    """Return what was recorded of a large blob: all, every 37th value, or a summary."""
    place, _, how = name.partition(":")
    layer, i = place.split("/")
    values = getattr(net.params[layer][int(i)], which)
    if how == "every37":
        return values.reshape(-1)[::37]
    if how:
        v = values.astype(np.float64)
        return np.array([v.mean(), v.std(), np.sqrt((v * v).sum()), v.min(), v.max()])
    return values


def _check_weights(net, arrays, case, iteration):
    tolerance = case["tolerance"]["by_array_prefix"]
    prefix = f"weights_{iteration}"
    recorded = part(arrays, f"{prefix}/")
    assert recorded
    for name, want in recorded.items():
        got = _excerpt(net, name, "data")
        if iteration == 1:
            check(got, want, tolerance[prefix], f"{prefix}/{name}")
            continue
        allowed = tolerance[f"{prefix}/{name}"]
        off = np.linalg.norm(got - want) / np.linalg.norm(want)
        assert off <= allowed, f"{prefix}/{name}: off by {off:.3g}, allowed {allowed:.3g}"
