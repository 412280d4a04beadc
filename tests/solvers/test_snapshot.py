"""Weights and states on disk: read, written, refused."""

import os

import numpy as np
import pytest
from places import REFERENCE
from recordings import cases, inside, part

import protonet
from protonet.errors import OutputError, SnapshotError
from protonet.files import written_beside
from protonet.schema import caffe_pb2 as pb

STATE, WEIGHTS = "snapshots/sgd_iter_5.solverstate", "snapshots/sgd_iter_5.caffemodel"


@pytest.fixture
def solver():
    with inside(REFERENCE):
        solver = protonet.get_solver("snapshots/sgd_BINARYPROTO.prototxt")
        solver.restore(STATE)
    return solver


def parsed(kind, path):
    message = kind()
    message.ParseFromString(path.read_bytes())
    return message


def test_what_we_write_equals_what_caffe_wrote(solver, tmp_path):
    solver.snapshot_prefix = tmp_path / "sgd"
    weights, state = solver.snapshot()
    ours, theirs = (parsed(pb.SolverState, p) for p in (state, REFERENCE / STATE))
    assert ours.learned_net == str(weights)
    ours.learned_net = theirs.learned_net
    assert ours == theirs
    ours, theirs = (parsed(pb.NetParameter, p) for p in (weights, REFERENCE / WEIGHTS))
    assert [la.name for la in ours.layer] == [la.name for la in theirs.layer]
    for mine, other in zip(ours.layer, theirs.layer, strict=True):
        assert mine.blobs == other.blobs
        assert (mine.type, mine.bottom, mine.top) == (other.type, other.bottom, other.top)


def test_weights_saved_by_an_old_caffe():
    case = cases("weights")[0]
    with inside(REFERENCE):
        net = protonet.Net(case["net"], protonet.TEST, weights=case["weights"])
    with np.load(REFERENCE / case["arrays"]) as arrays:
        for name, value in part(arrays, "param/").items():
            layer, i = name.split("/")
            np.testing.assert_array_equal(net.params[layer][int(i)].data, value)
        for name, value in part(arrays, "bottom/").items():
            net.blobs[name].data[...] = value
        net.forward()
        for name, value in part(arrays, "top/").items():
            np.testing.assert_allclose(
                net.blobs[name].data, value, rtol=0, atol=1e-5 * abs(value).max()
            )


def test_names_that_the_net_does_not_have_are_returned(tmp_path):
    (tmp_path / "n.prototxt").write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 } } }'
    )
    net = protonet.Net(tmp_path / "n.prototxt")
    assert net.copy_from(REFERENCE / WEIGHTS) == ["conv", "bn", "ip"]


def changed(path, target, change):
    message = parsed(pb.SolverState if "state" in path else pb.NetParameter, REFERENCE / path)
    change(message)
    target.write_bytes(message.SerializeToString())
    return target


BAD_STATES = [
    ("no iteration", lambda m: m.ClearField("iter"), "not a solver state: it has no iteration"),
    ("too few", lambda m: m.history.pop(), "history blobs for the SGD solver of this net, got "),
    (
        "shape",
        lambda m: m.history[0].shape.dim.append(2),
        "history blob 0: expected the shape (2, 1, 3, 3), got (2, 1, 3, 3, 2)",
    ),
    ("values", lambda m: m.history[0].data.pop(), "history blob 0: expected 18 values, got 17"),
]


@pytest.mark.parametrize(
    "change, message", [b[1:] for b in BAD_STATES], ids=[b[0] for b in BAD_STATES]
)
def test_states_that_do_not_fit(solver, tmp_path, change, message):
    path = changed(STATE, tmp_path / "s.solverstate", change)
    before = [h.copy() for h in solver.history]
    with pytest.raises(SnapshotError) as caught:
        solver.restore(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert all(np.array_equal(a, b) for a, b in zip(before, solver.history, strict=True))


@pytest.mark.parametrize("length", [0, 1, 100, 600])
def test_files_cut_off(solver, tmp_path, length):
    for name, load in ((STATE, solver.restore), (WEIGHTS, solver.net.copy_from)):
        path = tmp_path / os.path.basename(name)
        path.write_bytes((REFERENCE / name).read_bytes()[:length])
        with pytest.raises(SnapshotError, match=path.name):
            load(path)


def test_weights_that_do_not_fit_change_nothing(solver, tmp_path):
    net = solver.net
    before = net.param_data.copy()

    def change(message):
        for layer in message.layer:
            for blob in layer.blobs:
                blob.data[0] += 1
        message.layer[-2].blobs[0].data.pop()

    path = changed(WEIGHTS, tmp_path / "w.caffemodel", change)
    with pytest.raises(
        SnapshotError, match=r"layer 'ip' \(InnerProduct\): parameter 0: expected 96"
    ):
        net.copy_from(path)
    np.testing.assert_array_equal(net.param_data, before)


def test_writing_beside_keeps_the_old_file_when_it_fails(tmp_path):
    path = tmp_path / "w"
    path.write_text("old")
    with pytest.raises(RuntimeError), written_beside(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["w"]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(OutputError, match=r"gone/w: cannot be written: No such file"):
        with written_beside(tmp_path / "gone" / "w"):
            pass
