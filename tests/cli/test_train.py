"""protonet train: bare nets and solvers, overrides, run folders, resuming, and its errors."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from places import MODELS, REFERENCE

import protonet
from protonet.schema.read import read_net, read_solver

LENET, DSN = MODELS / "lenet.prototxt", MODELS / "lenet_dsn.prototxt"

# The pattern that scripts written for Caffe's logs look for.
GLOG = re.compile(r"I\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ \S+:\d+\] (.*)")


def messages(result):
    lines = result.err.splitlines()
    assert all(GLOG.fullmatch(line) for line in lines), result.err
    return [GLOG.fullmatch(line)[1] for line in lines]


def test_a_bare_net_with_two_heads(cli, small_mnist):
    result = cli("train", DSN, "max_iter=40", "display=20", "random_seed=3")
    assert result.code == 0, result.err
    logged = messages(result)
    assert any(
        "is a net without a solver: training with the classic LeNet recipe" in m for m in logged
    )
    assert any(m == "effective solver: runs/lenet_dsn/solver.prototxt" for m in logged)
    shown = [m for m in logged if m.startswith("Iteration ") and "loss = " in m]
    assert re.fullmatch(r"Iteration 0, loss = [\d.]+", shown[0]) or "iter/s" in shown[0]
    assert re.fullmatch(
        r"Iteration 20 \([\d.e+]+ iter/s, [\d.e-]+s/20 iters\), loss = [\d.]+", shown[1]
    )
    assert any(
        re.fullmatch(r"    Train net output #0: l1 = \S+ \(\* 1 = \S+ loss\)", m) for m in logged
    )
    assert "Iteration 20, lr = 0.00998503" in logged
    assert "Optimization Done." in logged
    heads = {
        m[1]: (float(m[3]), float(m[4]))
        for m in re.finditer(
            r"^\s*(\w+)\s+(\w+)\s+1\s+([\d.]+)\s+([\d.]+)%\s*$", result.out, re.MULTILINE
        )
    }
    assert set(heads) == {"loss", "l1"}
    assert all(accuracy > 60 for _, accuracy in heads.values()), result.out


def test_the_effective_solver_repeats_the_run(cli, small_mnist):
    first = cli("train", LENET, "max_iter=6", "random_seed=5", "--out", "a")
    assert first.code == 0, first.err
    solver = read_solver("a/solver.prototxt").message
    assert (solver.base_lr, solver.lr_policy, solver.max_iter) == (pytest.approx(0.01), "inv", 6)
    assert solver.test_net == ["a/test.prototxt"]
    test = read_net("a/test.prototxt").message
    assert test.layer[0].data_param.source == "mnist-test-leveldb"
    assert [la.name for la in test.layer if la.type == "Accuracy"] == ["loss_accuracy"]
    again = cli("train", "a/solver.prototxt", "snapshot_prefix=b", "--out", "c")
    assert again.code == 0, again.err
    again, first = Path("b_iter_6.caffemodel"), Path("a/lenet_iter_6.caffemodel")
    assert again.read_bytes() == first.read_bytes()


def test_run_folders_are_numbered(cli, small_mnist):
    for folder in ("runs/lenet", "runs/lenet-2", "runs/lenet-3"):
        assert cli("train", LENET, "max_iter=1").code == 0
        assert protonet.Net(LENET, weights=f"{folder}/lenet_iter_1.caffemodel").name == "LeNet"


def test_threads_do_not_change_a_bit(cli, small_mnist):
    for n in (1, 2, 3):
        assert (
            cli("train", DSN, "max_iter=3", "random_seed=1", "--threads", n, "--out", f"t{n}").code
            == 0
        )
    files = [Path(f"t{n}/lenet_dsn_iter_3.caffemodel").read_bytes() for n in (1, 2, 3)]
    assert files[0] == files[1] == files[2]


def test_resume(cli, small_mnist):
    straight = cli("train", LENET, "max_iter=8", "snapshot=4", "random_seed=2", "--out", "a")
    assert straight.code == 0, straight.err
    resumed = cli(
        "train", LENET, "max_iter=8", "--resume", "a/lenet_iter_4.solverstate", "--out", "b"
    )
    assert resumed.code == 0, resumed.err
    solver = protonet.get_solver("b/solver.prototxt")
    solver.restore("b/lenet_iter_8.solverstate")
    assert solver.iter == 8


def test_weights_by_layer_name(cli, small_mnist):
    weights = REFERENCE / "nets/lenet_init.caffemodel"
    result = cli("train", DSN, "base_lr=0", "weight_decay=0", "max_iter=1", "--weights", weights)
    assert result.code == 0, result.err
    net = protonet.Net(LENET, weights="runs/lenet_dsn/lenet_dsn_iter_1.caffemodel")
    with np.load(REFERENCE / "nets/init.npz") as initial:
        np.testing.assert_array_equal(net.params["ip1"][0].data, initial["param/ip1/0"])


def test_a_net_with_its_own_test_layers_is_left_as_it_is(cli, small_mnist):
    text = LENET.read_text()
    data = text[text.index("layers") : text.index("layers", 20)]
    test_data = data.replace("train", "test").rstrip().removesuffix("}")
    head = 'layers { name: "acc" type: ACCURACY bottom: "ip2" bottom: "label" top: "acc" '
    head += "include { phase: TEST } }"
    train_data = data.rstrip().removesuffix("}") + "include { phase: TRAIN } }\n"
    both = text.replace(data, train_data + test_data + "include { phase: TEST } }\n") + head
    (small_mnist / "both.prototxt").write_text(both)
    result = cli("train", "both.prototxt", "max_iter=2", "test_iter=3")
    assert result.code == 0, result.err
    assert read_solver("runs/both/solver.prototxt").message.net == "both.prototxt"
    assert any(m.startswith("    Test net output #0: acc = ") for m in messages(result))


def test_without_a_sibling_source_there_are_no_tests(cli, small_mnist):
    (small_mnist / "n.prototxt").write_text(
        LENET.read_text().replace("mnist-train-leveldb", "digits")
    )
    (small_mnist / "mnist-train-leveldb").rename(small_mnist / "digits")
    result = cli("train", "n.prototxt", "max_iter=1")
    assert result.code == 0
    assert "no tests: no source with 'train' in its name" in messages(result)
    assert "accuracy" not in result.out


@pytest.mark.parametrize("own", [False, True])
def test_no_tests_asked_for(cli, small_mnist, own):
    include = (
        'layers { name: "s" type: SILENCE bottom: "ip2" include { phase: TEST } }' if own else ""
    )
    (small_mnist / "n.prototxt").write_text(LENET.read_text() + include)
    result = cli("train", "n.prototxt", "max_iter=2", "test_interval=0")
    assert result.code == 0, result.err
    assert "no tests: test_interval is 0" in messages(result)
    assert "Testing" not in result.err


def test_interrupt_stops_with_a_snapshot(small_mnist):
    process = subprocess.Popen(
        [sys.executable, "-m", "protonet", "train", LENET, "display=1", "max_iter=100000"],
        cwd=small_mnist,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if "Iteration 5, lr" in line:
            process.send_signal(signal.SIGINT)
            break
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    done = int(re.search(r"stopped after (\d+) iterations", out)[1])
    assert done >= 5
    assert (small_mnist / f"runs/lenet/lenet_iter_{done}.solverstate").exists()


ERRORS = [  # id, edit of LeNet's text, arguments, what the one line says
    ("syntax", ("bottom:", "bottom"), [], "n.prototxt:16:10: "),
    ("misspelt field", ("num_output: 20", "num_ouput: 20"), [], "did you mean 'num_output'?"),
    ("unknown type", ("type: RELU", "type: RELUX"), [], "RELUX"),
    (
        "unknown bottom",
        ('bottom: "pool1"', 'bottom: "pol1"'),
        [],
        "n.prototxt:43: layer 'conv2' (Convolution): bottom 'pol1' is not produced by any layer "
        "above; did you mean 'pool1'?",
    ),
    ("duplicate top", ('top: "conv2"', 'top: "conv1"'), [], "top 'conv1' is already produced by"),
    ("shape", ("kernel_size: 5", "kernel_size: 50"), [], "layer 'conv1' (Convolution): "),
    ("source", ("mnist-train-leveldb", "nowhere"), [], "'nowhere' does not exist (looked in: "),
    ("override", None, ["base_rl=1"], "a solver has no field 'base_rl'; did you mean 'base_lr'?"),
    ("override value", None, ["base_lr=fast"], "base_lr=fast: "),
    ("override text", None, ["base_lr"], "expected key=value, got 'base_lr'"),
    ("policy", None, ["lr_policy=stp"], "unknown lr_policy 'stp'; did you mean 'step'?"),
    ("solver type", None, ["type=Adm"], "unknown solver type 'Adm'"),
    ("weights", None, ["--weights", "w.caffemodel"], "w.caffemodel"),
    ("state", None, ["--resume", "s.solverstate"], "s.solverstate: cannot be read"),
    ("folder", None, ["--out", "n.prototxt/run"], "n.prototxt/run: the run folder cannot be made"),
]


@pytest.mark.parametrize("edit, args, message", [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS])
def test_errors_are_one_line(cli, small_mnist, edit, args, message):
    text = LENET.read_text()
    if edit:
        assert edit[0] in text
        text = text.replace(*edit, 1)
    (small_mnist / "n.prototxt").write_text(text)
    assert message in cli("train", "n.prototxt", "max_iter=1", *args).error()


def test_no_such_file(cli):
    assert cli("train", "gone.prototxt").error() == "gone.prototxt: no such file"


def test_truncated_weights(cli, small_mnist):
    whole = (REFERENCE / "nets/lenet_init.caffemodel").read_bytes()
    (small_mnist / "w.caffemodel").write_bytes(whole[: len(whole) // 2])
    assert "w.caffemodel" in cli("train", LENET, "--weights", "w.caffemodel").error()


def test_weights_of_other_shapes(cli, small_mnist):
    (small_mnist / "n.prototxt").write_text(
        LENET.read_text().replace("num_output: 500", "num_output: 400")
    )
    error = cli(
        "train", "n.prototxt", "--weights", REFERENCE / "nets/lenet_init.caffemodel"
    ).error()
    assert error.endswith(
        "lenet_init.caffemodel: layer 'ip1' (InnerProduct): parameter 0: expected the shape "
        "(400, 800), got (500, 800)"
    )


def test_label_out_of_range(cli, small_mnist):
    (small_mnist / "n.prototxt").write_text(
        LENET.read_text().replace("num_output: 10", "num_output: 7")
    )
    error = cli("train", "n.prototxt", "max_iter=50").error()
    assert "layer 'loss' (SoftmaxWithLoss): " in error
    assert "label" in error


def test_help_names_what_there_is(cli):
    result = cli("train", "--help")
    assert result.code == 0
    for option in ("--weights", "--resume", "--out", "--threads", "KEY=VALUE"):
        assert option in result.out
