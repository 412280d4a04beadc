"""protonet test: means as training reports them, as Caffe prints them, and its errors."""

import json
import re

import pytest
from places import MODELS, REFERENCE

TRAIN_TEST = MODELS / "lenet_train_test.prototxt"
DSN = MODELS / "lenet_dsn.prototxt"
WEIGHTS = REFERENCE / "nets/lenet_init.caffemodel"

LOG = re.compile(r"I\d{4} [\d:.]+ +\d+ (\S+):\d+\] (.*)")


def logged(result, file="caffe.cpp"):
    lines = [LOG.fullmatch(line) for line in result.err.splitlines()]
    return [line[2] for line in lines if line[1] == file]


def scored(result):
    assert result.code == 0, result.err
    return {o["name"]: o["mean"] for o in json.loads(result.out)["outputs"]}


def test_the_accuracy_that_training_reported_on_all_test_images(cli):
    """The bundled test set, 10,000 images."""
    trained = cli(
        "train", TRAIN_TEST, "max_iter=12", "random_seed=1", "test_iter=100", "--out", "run"
    )
    assert trained.code == 0, trained.err
    reported = [m for m in logged(trained, "solver.cpp") if "Test net output" in m]
    weights = "run/lenet_train_test_iter_12.caffemodel"
    result = cli("test", TRAIN_TEST, "--weights", weights)
    assert result.code == 0, result.err
    found = logged(result)
    assert found[0] == "Running for 100 iterations."
    assert [f"    Test net output #{i}: {m}" for i, m in enumerate(found[-len(reported) :])] == (
        reported
    )
    accuracy = re.search(r"accuracy = (\S+)", " ".join(found[-2:]))[1]
    assert re.search(rf"^\s*accuracy\s+{accuracy}\s*$", result.out, re.MULTILINE), result.out


def test_a_test_net_is_derived_as_in_training(cli, small_mnist):
    trained = cli("train", DSN, "max_iter=5", "random_seed=1", "--out", "run")
    assert trained.code == 0, trained.err
    result = cli("test", DSN, "--weights", "run/lenet_dsn_iter_5.caffemodel", "--json")
    means = scored(result)
    assert set(means) == {"l1", "l1_accuracy", "loss", "loss_accuracy"}
    reported = [m for m in logged(trained, "solver.cpp") if "Test net output" in m]
    for name, mean in means.items():
        assert any(re.search(rf": {name} = {mean:g}( |$)", line) for line in reported)
    answer = json.loads(result.out)
    assert (answer["records"], answer["batches"]) == (1024, 16)
    assert answer["loss"] == pytest.approx(means["l1"] + means["loss"], rel=1e-5)
    assert "no TEST part: testing on the 1,024 records" in result.err


def test_caffes_flags_and_a_number_of_batches(cli, small_mnist):
    result = cli(
        "test", f"-model={DSN}", "-weights", WEIGHTS, "-iterations", 2, "-gpu", 0, "-phase", "TEST"
    )
    assert result.code == 0, result.err
    lines = logged(result)
    assert lines[0] == "Running for 2 iterations."
    assert len([line for line in lines if line.startswith("Batch 1, ")]) == 4
    assert any(re.fullmatch(r"l1 = \S+ \(\* 1 = \S+ loss\)", line) for line in lines)
    assert "--gpu 0: there is no code for GPUs here, all runs on the CPU" in result.err
    assert "total" in result.out


def test_later_weights_win(cli, small_mnist):
    assert cli("train", DSN, "max_iter=3", "--out", "run").code == 0
    trained = "run/lenet_dsn_iter_3.caffemodel"
    both, first, second = (
        scored(cli("test", DSN, "--weights", files, "--iterations", 1, "--json"))
        for files in (f"{trained},{WEIGHTS}", trained, f"{WEIGHTS},{trained}")
    )
    assert first == second
    assert both["loss"] != first["loss"]
    # the recorded weights lack the side branch, which keeps what it was trained to
    assert both["l1"] != pytest.approx(first["l1"], rel=1e-9)


def test_batches_that_do_not_cover_the_source_evenly(cli, small_mnist):
    (small_mnist / "n.prototxt").write_text(
        'layer { name: "d" type: "Data" top: "data" top: "label" data_param { source: '
        '"mnist-test-leveldb" batch_size: 100 } }\n'
        'layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" '
        "inner_product_param { num_output: 10 } }\n"
        'layer { name: "a" type: "Accuracy" bottom: "ip" bottom: "label" top: "accuracy" top: '
        '"per_class" }\n'
    )
    result = cli("test", "n.prototxt", "--weights", WEIGHTS, "--json")
    assert "11 batches of 100 read 76 of the 1024 records twice" in result.err
    answer = json.loads(result.out)
    assert answer["batches"] == 11
    assert [o["name"] for o in answer["outputs"]] == ["accuracy"] + ["per_class"] * 10
    assert "the net has no layer 'conv1', ignored" in result.err


DEPLOY = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }\n'
MUTE = (
    'layer { name: "d" type: "Data" top: "x" data_param { source: "mnist-test-leveldb" '
    'batch_size: 4 } }\nlayer { name: "s" type: "Silence" bottom: "x" }\n'
)

READ = MUTE[: MUTE.index("\n")]

ERRORS = [  # id, text of the net, arguments, what the one line says
    ("no data", DEPLOY, ["--weights", WEIGHTS], "no data layer in the TEST phase; inputs: 'x'"),
    ("no outputs", MUTE, ["--weights", WEIGHTS], "n.prototxt: the net has no outputs to score"),
    ("no file", DEPLOY, ["--weights", "w.caffemodel"], "w.caffemodel: no such file"),
    ("one of two", DEPLOY, ["--weights", f"{WEIGHTS}, w.h5"], "w.h5: no such file"),
    ("no names", DEPLOY, ["--weights", ","], "--weights: expected names of files, got ','"),
    ("not weights", READ, ["--weights", "n.prototxt"], "n.prototxt: expected the binary weights"),
    ("a solver", "base_lr: 1\n", ["--weights", WEIGHTS], "n.prototxt:1:1: "),
    ("no source", MUTE.replace("mnist-", "no-"), ["--weights", WEIGHTS], "'no-test-leveldb' does"),
]


@pytest.mark.parametrize("text, args, message", [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS])
def test_errors_are_one_line(cli, small_mnist, text, args, message):
    (small_mnist / "n.prototxt").write_text(text)
    assert message in cli("test", "n.prototxt", *args).error()


def test_weights_are_needed(cli):
    assert cli("test", "n.prototxt").error() == "missing option '--weights'"


def test_help(cli):
    out = cli("test", "--help").out
    for option in (
        "--weights",
        "--iterations",
        "--phase",
        "--level",
        "--stage",
        "--json",
        "--model",
    ):
        assert option in out
