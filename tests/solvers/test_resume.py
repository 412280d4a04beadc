"""Going on from a snapshot: to the bit, from the latest whole one, and with what a run keeps."""

import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from places import REFERENCE

import protonet
from protonet import random
from protonet.errors import (
    LabelError,
    NotFiniteError,
    OutputError,
    PrototxtError,
    SnapshotError,
)
from protonet.schema.read import parse_solver
from protonet.solvers import resume, solver_types
from protonet.watch.reporter import Reporter

DATABASE = """
layer {{ name: "data" type: "Data" top: "data" top: "label"
  data_param {{ source: "{source}" batch_size: 7 backend: {backend} rand_skip: 9 }}
  transform_param {{ crop_size: 24 mirror: true scale: 0.00390625 }} }}
"""
SOURCES = {
    "lmdb": DATABASE.format(source=REFERENCE / "mnist-1k-lmdb", backend="LMDB"),
    "leveldb": DATABASE.format(source=REFERENCE / "mnist-1k-leveldb", backend="LEVELDB"),
    "images": """
layer { name: "data" type: "ImageData" top: "data" top: "label"
  image_data_param { source: "list.txt" batch_size: 7 shuffle: true is_color: false }
  transform_param { crop_size: 11 mirror: true scale: 0.01 } }
""",
    "hdf5": """
layer { name: "data" type: "HDF5Data" top: "data" top: "label"
  hdf5_data_param { source: "h5.txt" batch_size: 7 shuffle: true } }
""",
    "windows": """
layer { name: "data" type: "WindowData" top: "data" top: "label"
  window_data_param { source: "windows.txt" batch_size: 7 fg_fraction: 0.4 }
  transform_param { crop_size: 9 mirror: true scale: 0.01 } }
""",
    "dummy": """
layer { name: "data" type: "DummyData" top: "data" top: "label"
  dummy_data_param { shape { dim: 7 dim: 1 dim: 9 dim: 8 } shape { dim: 7 }
    data_filler { type: "gaussian" std: 1 } data_filler { type: "constant" value: 2 } } }
""",
}
NET = """
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 3 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "bn" }
layer { name: "relu" type: "ReLU" bottom: "bn" top: "bn" }
layer { name: "pool" type: "Pooling" bottom: "bn" top: "pool"
  pooling_param { pool: STOCHASTIC kernel_size: 2 stride: 2 } }
layer { name: "drop" type: "Dropout" bottom: "pool" top: "pool" }
layer { name: "ip" type: "InnerProduct" bottom: "pool" top: "ip"
  inner_product_param { num_output: 10 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
RECURRENT = """
layer { name: "data" type: "DummyData" top: "x" top: "cont" top: "target"
  dummy_data_param { shape { dim: 3 dim: 2 dim: 4 } shape { dim: 3 dim: 2 }
    shape { dim: 3 dim: 2 dim: 5 } data_filler { type: "gaussian" std: 1 }
    data_filler { type: "constant" value: 1 } data_filler { type: "gaussian" std: 1 } } }
layer { name: "lstm" type: "LSTM" bottom: "x" bottom: "cont" top: "h"
  recurrent_param { num_output: 5 weight_filler { type: "uniform" min: -0.3 max: 0.3 } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "h" bottom: "target" top: "loss" }
"""
RULES = {
    "SGD": "momentum: 0.9",
    "Nesterov": "momentum: 0.9",
    "AdaGrad": "",
    "RMSProp": "rms_decay: 0.9",
    "AdaDelta": "momentum: 0.9",
    "Adam": "momentum: 0.9",
}


ITERATIONS = int(os.environ.get("RESUME_ITERATIONS", "8"))


class Notes(Reporter):
    """Keeps what it is told."""

    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in an empty folder, with the files that the sources above name."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    lines, windows = [], []
    for i in range(11):
        pixels = rng.integers(0, 256, (15, 17, 3), np.uint8)
        Image.fromarray(pixels).save(f"image {i}.png")
        lines.append(f"image {i}.png {i % 10}")
        boxes = "1 0.9 1 2 9 12\n4 0.7 3 1 14 8\n0 0.1 0 0 5 6"
        windows.append(f"# {i}\nimage {i}.png\n3\n15\n17\n3\n{boxes}")
    (tmp_path / "list.txt").write_text("\n".join(lines))
    (tmp_path / "windows.txt").write_text("\n".join(windows))
    import h5py

    for name, rows in (("a.h5", 10), ("b.h5", 13)):
        with h5py.File(name, "w") as file:
            file["data"] = rng.standard_normal((rows, 2, 9, 8), np.float32)
            file["label"] = rng.integers(0, 10, rows).astype(np.float32)
    (tmp_path / "h5.txt").write_text("a.h5\nb.h5\n")
    return tmp_path


def solver_of(net, more="", reporter=None):
    (path := resume.Path("net.prototxt")).write_text(net)
    text = f'net: "{path}" base_lr: 0.01 lr_policy: "inv" gamma: 0.01 power: 0.75 {more}'
    return protonet.solvers.get_solver(
        parse_solver(text, "s.prototxt"), reporter=reporter, snapshot_prefix="run"
    )


def equal(a, b):
    assert np.array_equal(a.net.param_data, b.net.param_data)
    for x, y in zip(a.history, b.history, strict=True):
        assert np.array_equal(x, y)


def straight_and_resumed(net, more="", iterations=ITERATIONS):
    """Train twice as long in one go, and with a snapshot between; from other generators."""
    random.set_random_seed(5)
    straight = solver_of(net, more)
    straight.step(iterations)
    straight.snapshot()
    straight.step(iterations)
    random.set_random_seed(77)
    suffix = ".h5" if "HDF5" in more else ""
    resumed = solver_of(net, more)
    resumed.step(3)
    resumed.restore(f"run_iter_{iterations}.solverstate{suffix}")
    assert resumed.iter == iterations
    resumed.step(iterations)
    equal(straight, resumed)
    assert list(straight.losses)[-iterations:] == list(resumed.losses)[-iterations:]
    return straight


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("rule", RULES)
def test_every_rule_and_source(here, rule, source):
    assert set(RULES) == set(solver_types())
    straight_and_resumed(SOURCES[source] + NET, f'type: "{rule}" {RULES[rule]} average_loss: 5')


def test_with_all_that_an_iteration_may_do(here):
    more = "momentum: 0.9 iter_size: 2 snapshot_format: HDF5 clip_gradients: 0.5"
    straight_and_resumed(SOURCES["images"] + NET, more)


def test_a_state_that_is_carried_over(here):
    straight_and_resumed(RECURRENT, "momentum: 0.9")


def test_rows_written_after_the_snapshot_are_dropped(here):
    import h5py

    output = """layer { name: "out" type: "HDF5Output" bottom: "ip" bottom: "label"
      hdf5_output_param { file_name: "out.h5" } }"""
    straight_and_resumed(SOURCES["hdf5"] + NET + output, iterations=3)
    with h5py.File("out.h5") as file:
        assert file["data"].shape == (6 * 7, 10)


TESTED = """
layer { name: "acc" type: "Accuracy" bottom: "ip" bottom: "label" top: "acc"
  include { phase: TEST } }
"""


def test_tests_go_on_too(here):
    """A test that was done at the iteration of the snapshot is not done again."""
    more = "test_iter: 2 test_interval: 4"
    straight = solver_of(SOURCES["images"] + NET + TESTED, more)
    straight.step(8)
    straight.test_all()
    straight.snapshot()
    straight._tested_before = 8
    straight.step(6)
    resumed = solver_of(SOURCES["images"] + NET + TESTED, more)
    resumed.restore("run_iter_8.solverstate")
    assert resumed.scores[0].keys() == {"acc", "loss"}
    resumed.step(6)
    assert straight.tested_at == resumed.tested_at == 12
    assert straight.scores == resumed.scores
    equal(straight, resumed)


def test_caffes_own_snapshots_have_nothing_beside_them(here):
    notes = Notes()
    solver_of(SOURCES["dummy"] + NET).snapshot()
    (here / "run_iter_0.protonetstate").unlink()
    solver = solver_of(SOURCES["dummy"] + NET, reporter=notes)
    solver.restore("run_iter_0.solverstate")
    assert notes.notes == [
        "no run_iter_0.protonetstate: sources begin anew, and what is drawn at random"
    ]
    assert resume.latest(here / "run") == (here / "run_iter_0.solverstate", [])


def test_another_net(here):
    notes = Notes()
    solver_of(SOURCES["images"] + NET).snapshot()
    other = SOURCES["images"].replace('name: "data"', 'name: "digits"')
    solver_of(other + NET, reporter=notes).restore("run_iter_0.solverstate")
    assert notes.notes == [
        "run_iter_0.protonetstate: knows nothing of layer 'digits' (ImageData), which begins anew",
        "run_iter_0.protonetstate: the net has no layer 'data' (ImageData), ignored",
    ]


# --- damage --------------------------------------------------------------------------------------
def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize("harm", [flip, cut, lambda path: path.unlink()], ids=["flip", "cut", "no"])
@pytest.mark.parametrize("suffix", [".caffemodel", ".solverstate", ".protonetstate"])
def test_the_latest_whole_snapshot(here, suffix, harm):
    solver = solver_of(SOURCES["dummy"] + NET, "snapshot: 2")
    solver.step(6)
    harm(here / f"run_iter_6{suffix}")
    state, damaged = resume.latest(here / "run")
    assert state == here / "run_iter_4.solverstate"
    if suffix == ".solverstate" and not (here / "run_iter_6.solverstate").exists():
        assert damaged == []
    else:
        assert len(damaged) == 1
        assert "run_iter_6" in damaged[0]


def test_a_first_snapshot_that_broke_off(here, monkeypatch):
    """What a run leaves that is killed then: all that a snapshot of Caffe's has, but it is none."""
    solver, write = solver_of(SOURCES["dummy"] + NET), resume.write
    killed = here / "killed"
    killed.mkdir()

    def killed_before(*args):
        for file in here.glob("run_iter_0.*"):
            shutil.copy(file, killed)
        write(*args)

    monkeypatch.setattr(resume, "write", killed_before)
    solver.snapshot()
    assert (killed / "run_iter_0.solverstate").exists()
    state, damaged = resume.latest(killed / "run")
    assert state is None
    assert damaged == [f"{killed / 'run_iter_0.protonetstate'}: damaged, or cut off at 24 bytes"]
    assert resume.latest(here / "run") == (here / "run_iter_0.solverstate", [])


def test_a_snapshot_that_cannot_be_written_leaves_nothing(here, monkeypatch):
    solver = solver_of(SOURCES["dummy"] + NET)

    def full(*args):
        raise OutputError("disk full")

    monkeypatch.setattr(resume, "write", full)
    with pytest.raises(OutputError):
        solver.snapshot()
    assert not (here / "run_iter_0.protonetstate").exists()


def test_nothing_whole(here):
    assert resume.latest(here / "run") == (None, [])
    (here / "run_iter_3.solverstate").write_bytes(b"\xff\xff")
    state, damaged = resume.latest(here / "run")
    assert state is None
    assert damaged == [
        f"{here / 'run_iter_3.solverstate'}: not a solver state, or cut off at 2 bytes"
    ]


BAD = {
    "empty": (b"", "not a protonetstate"),
    "other": (b"{}\n", "not a protonetstate"),
    "digest": (b"protonetstate 1 sha256 00\n{}", "damaged, or cut off at 28 bytes"),
    "not ASCII": (b"protonetstate 1 sha256 \xff\n{}", "damaged"),
}


@pytest.mark.parametrize("content, message", BAD.values(), ids=BAD)
def test_broken_states(here, content, message):
    (here / "x.protonetstate").write_bytes(content)
    with pytest.raises(SnapshotError, match=rf"x\.protonetstate: {message}"):
        resume.read("x.protonetstate")


@pytest.mark.parametrize("body", ["[]", "[" * 100_000, "{}", '{"nets": 3}', '{"nets": [[{}]]}'])
def test_bodies_that_are_no_state(here, body):
    import hashlib

    solver = solver_of(SOURCES["dummy"] + NET)
    solver.snapshot()
    digest = hashlib.sha256(body.encode()).hexdigest()
    path = here / "run_iter_0.protonetstate"
    path.write_text(f"protonetstate 1 sha256 {digest}\n{body}")
    with pytest.raises(SnapshotError, match=r"run_iter_0\.protonetstate: (not a|is not of)"):
        solver.restore("run_iter_0.solverstate")


def test_a_folder_can_be_moved(here):
    solver = solver_of(SOURCES["dummy"] + NET)
    solver.step(2)
    solver.snapshot()
    (here / "elsewhere").mkdir()
    for file in here.glob("run_iter_2.*"):
        shutil.move(file, here / "elsewhere")
    again = solver_of(SOURCES["dummy"] + NET)
    again.restore("elsewhere/run_iter_2.solverstate")
    equal(solver, again)


# --- what is kept --------------------------------------------------------------------------------
def kept(folder):
    return sorted(int(re.search(r"_(\d+)\.", p.name)[1]) for p in folder.glob("run*.solverstate"))


def test_keep_the_last(here):
    solver = solver_of(SOURCES["dummy"] + NET, "snapshot: 1")
    (here / "run_iter_99.solverstate").write_text("another's")
    solver.keep.last = 2
    solver.step(5)
    assert kept(here) == [4, 5, 99]
    again = solver_of(SOURCES["dummy"] + NET, "snapshot: 1")
    again.keep.last = 2
    again.restore("run_iter_5.solverstate")
    again.step(1)
    assert kept(here) == [5, 6, 99]
    assert len(list(here.glob("run_iter_*"))) == 7


def test_keep_the_best(here, monkeypatch):
    solver = solver_of(SOURCES["dummy"] + NET + TESTED, "snapshot: 2 test_iter: 1 test_interval: 3")
    solver.keep.last, solver.keep.best = 1, "acc"
    values = iter([0.1, 0.7, 0.5, 0.6])

    def test(index=0):
        solver.scores[index] = {"acc": [next(values)]}
        solver.tested_at = solver.iter

    monkeypatch.setattr(solver, "test", test)
    solver.step(10)
    assert kept(here) == [3, 10]


def test_no_such_score(here):
    solver = solver_of(SOURCES["dummy"] + NET + TESTED, "test_iter: 1 test_interval: 3")
    solver.keep.best = "accc"
    with pytest.raises(PrototxtError, match=r"did you mean 'acc'\?; outputs: acc, loss"):
        solver.solve()


# --- numbers -------------------------------------------------------------------------------------
def test_a_loss_that_is_not_finite(here):
    """It stops the run, says where and what was read, and leaves what was before."""
    random.set_random_seed(1)
    solver = solver_of(SOURCES["images"] + NET)
    solver.step(2)
    statistics = [blob.data.copy() for blob in solver.net.params["bn"]]
    state = random.frozen(random.generator())
    solver.net.layers[0].close()  # what was read ahead already is not spoilt
    solver.net.layers[0].transformer.scale = np.float32(np.nan)
    with pytest.raises(NotFiniteError) as caught:
        solver.step(3)
    message = str(caught.value)
    assert re.fullmatch(
        r"iteration 2: the loss is nan; first in net.prototxt:2: layer 'data' \(ImageData\), blob "
        r"'data', \d+ of 847 values; lr 0\.0098\d+; read image 'image \d+\.png' \(line \d+ of "
        r"'list.txt'\) up to image 'image \d+\.png' \(line \d+ of 'list.txt'\); "
        r"the snapshot from before it: run_iter_2.solverstate",
        message,
    ), message
    again = solver_of(SOURCES["images"] + NET)
    again.restore("run_iter_2.solverstate")
    for kept, blob in zip(statistics, again.net.params["bn"], strict=True):
        assert np.array_equal(kept, blob.data)
    assert random.frozen(random.generator()) == state
    again.step(1)
    assert np.isfinite(again.losses[-1])


def test_going_on_with_numbers_that_are_not_finite(here):
    notes = Notes()
    solver = solver_of(SOURCES["dummy"] + NET, reporter=notes)
    solver.numbers.on_nan = "continue"
    solver.net.params["ip"][0].data[...] = np.inf
    solver.step(3)
    assert solver.iter == 3
    assert notes.notes[0].startswith("iteration 0: the loss is nan; first in net.prototxt:")
    assert len([n for n in notes.notes if "the loss is nan" in n]) == 1


def test_an_update_that_overflows(here):
    solver = solver_of(SOURCES["dummy"] + NET, "momentum: 0.9")
    solver.step(1)
    before = solver.net.param_data.copy()
    solver.param.base_lr = 3e38
    with pytest.raises(NotFiniteError, match="iteration 1: a weight is not finite; first in"):
        solver.step(1)
    again = solver_of(SOURCES["dummy"] + NET, "momentum: 0.9")
    again.restore("run_iter_1.solverstate")
    for blobs, others in zip(again.net.params.values(), solver.net.params.values(), strict=True):
        assert all(np.isfinite(b.data).all() for b in [*blobs, *others])
    learned = np.concatenate([b.data.ravel() for b in again.net.params["ip"]])
    assert set(learned.tolist()) <= set(before.tolist())


def test_a_gradient_that_is_not_finite(here):
    solver = solver_of(SOURCES["dummy"] + NET)

    def spoil(layer):
        if layer == "conv":
            solver.net.params["conv"][1].diff[1] = -np.inf

    solver.net.after_backward(spoil)
    before = solver.net.params["ip"][0].data.copy()
    with pytest.raises(NotFiniteError) as caught:
        solver.step(1)
    assert str(caught.value) == (
        "iteration 0: a gradient is not finite; first in net.prototxt:6: layer 'conv' "
        "(Convolution), gradient of parameter 1, 1 of 3 values; lr 0.01; the snapshot from before "
        "it: run_iter_0.solverstate"
    )
    assert np.array_equal(solver.net.params["ip"][0].data, before)


def test_87_is_explained_once(here):
    notes = Notes()
    solver = solver_of(SOURCES["dummy"] + NET, reporter=notes)
    solver.net.params["ip"][1].data[...] = 0
    solver.net.params["ip"][1].data[3] = 1e5
    solver.step(2)
    assert [n for n in notes.notes if "87.3365" in n] == [
        "iteration 0: loss = 87.3365 is -log of the smallest float: the net gives every true class "
        "the probability 0. Mostly base_lr is too high, or the data is not scaled"
    ]


def test_labels_out_of_range_name_the_record(here):
    net = NET.replace("num_output: 10", "num_output: 4")
    for source, record in (
        ("lmdb", r"source '.*mnist-1k-lmdb': record \d+ \(key '\d+.*'\)"),
        ("images", r"image 'image [4-9]\.png' \(line \d+ of 'list.txt'\)"),
        ("hdf5", r"'[ab]\.h5', row \d+"),
    ):
        with pytest.raises(LabelError, match=f"is out of range: .*; it comes from {record}"):
            solver_of(SOURCES[source] + net).step(3)
