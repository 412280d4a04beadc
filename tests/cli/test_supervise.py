"""protonet supervise, --strip, and companion weights on a schedule."""

import json
from pathlib import Path

import numpy as np
import pytest
from places import MODELS

import protonet
from protonet import companions
from protonet.errors import PrototxtError
from protonet.schema.read import NetSource, parse_net, read_net
from protonet.schema.write import write_text
from protonet.supervise import strip, supervise

LENET, DSN = MODELS / "lenet.prototxt", MODELS / "lenet_dsn.prototxt"


def test_lenet_supervised_at_pool1_is_the_lectures_net(cli):
    result = cli("supervise", LENET, "--at", "pool1")
    assert result.code == 0, result.err
    assert write_text(parse_net(result.out).message) == write_text(read_net(DSN).message)
    assert cli("supervise", LENET, "d.prototxt", "--at", "pool1").out == ""
    assert read_net("d.prototxt").message == read_net(DSN).message


def test_strip_gives_the_plain_net_back(cli):
    result = cli("supervise", DSN, "--strip")
    assert result.err == "removed: ip1_side, l1\n"
    assert parse_net(result.out).message == read_net(LENET).message


def test_side_heads_behind_in_place_layers_and_with_scores():
    source = read_net(MODELS / "lenet_train_test.prototxt")
    net = supervise(source, ["pool1", "ip1"], "hinge", 0.25)
    names = [la.name for la in net.layer]
    at = names.index("relu1")
    assert names[at + 1 : at + 4] == ["ip2_side", "l2", "l2_accuracy"]
    judge = net.layer[at + 2]
    assert (judge.type, list(judge.loss_weight)) == ("HingeLoss", [0.25])
    assert judge.hinge_loss_param.norm == 2
    assert [rule.phase for rule in net.layer[at + 3].include] == [protonet.TEST]
    assert list(net.layer[at + 1].bottom) == ["ip1"]
    train, test = (protonet.Net(NetSource.of(net), phase) for phase in (0, 1))
    assert train.outputs == ["l1", "l2", "loss"]
    assert set(test.outputs) == {"l1", "l2", "loss", "accuracy", "l1_accuracy", "l2_accuracy"}
    plain, removed = strip(NetSource.of(net))
    assert plain == source.message
    assert removed == ["ip1_side", "l1", "l1_accuracy", "ip2_side", "l2", "l2_accuracy"]


def test_the_next_free_number_is_taken():
    net = supervise(read_net(DSN), ["conv2"])
    assert [la.name for la in net.layer if la.name.endswith("_side")] == ["ip1_side", "ip2_side"]


def test_googlenet_loses_its_two_side_towers():
    net, removed = strip(read_net(MODELS / "googlenet/train_val.prototxt"))
    assert len(removed) == 20
    assert all(name.startswith(("loss1/", "loss2/")) for name in removed)
    assert [la.name for la in net.layer if la.type == "SoftmaxWithLoss"] == ["loss3/loss3"]


def test_losses_that_judge_the_same_stay():
    source = read_net(MODELS / "mnist_autoencoder/train_val.prototxt")
    assert strip(source) == (source.message, [])


def test_another_loss_may_be_the_main_one():
    net, removed = strip(read_net(DSN), keep="l1")
    assert [la.name for la in net.layer] == ["mnist", "conv1", "pool1", "ip1_side", "l1"]
    assert "ip2" in removed


ERRORS = [
    (
        ["--at", "pol1"],
        "lenet.prototxt: the net has no layer 'pol1'; did you mean 'pool1'?",
    ),
    (
        ["--at", "mnist"],
        "lenet.prototxt: layer 'mnist' (Data): expected a hidden layer to supervise",
    ),
    (
        ["--at", "loss"],
        "lenet.prototxt: layer 'loss' (SoftmaxWithLoss): expected a hidden layer to supervise",
    ),
    (
        ["--strip", "--keep", "los"],
        "lenet.prototxt: the net has no loss 'los'; did you mean 'loss'?",
    ),
]


@pytest.mark.parametrize("args, message", ERRORS, ids=[" ".join(e[0]) for e in ERRORS])
def test_errors(cli, args, message):
    assert cli("supervise", LENET, *args).error().endswith(message)


def test_a_net_without_a_loss(cli):
    deploy = MODELS / "lenet_deploy.prototxt"
    message = cli("supervise", deploy, "--at", "pool1").error()
    assert message.endswith("the net has no loss that judges by labels")
    assert cli("supervise", deploy, "--strip").error().endswith("the net has no loss")


@pytest.mark.parametrize("args", [[], ["--at", "pool1", "--strip"], ["--at", "a", "--keep", "b"]])
def test_what_does_not_go_together(cli, args):
    assert cli("supervise", LENET, *args).code == 2


# --- companion weights ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text, shares",
    [
        ("constant", [1, 1, 1, 1, 1]),
        ("linear", [1, 0.75, 0.5, 0.25, 0]),
        ("drop@50", [1, 1, 0, 0, 0]),
        # epochs of 25 iterations: N = 4
        ("decay", [1, 0.1 * 0.75, 0.1**2 * 0.75 * 0.5, 0.1**3 * 0.75 * 0.5 * 0.25, 0]),
    ],
)
def test_schedules(text, shares):
    schedule = companions.parse(text, lambda: 25.0)
    assert [schedule(t, 100) for t in (0, 25, 50, 75, 100)] == pytest.approx(shares)


@pytest.mark.parametrize("text", ["lineer", "drop", "drop@", "drop@x", "linear@3", ""])
def test_no_such_schedule(text):
    with pytest.raises(PrototxtError, match=f"^companion weights '{text}': expected one of const"):
        companions.parse(text, lambda: 1.0)


def test_weights_fall_while_training(cli, small_mnist):
    args = ("max_iter=4", "display=2", "--companion-weights", "linear", "--out", "r")
    result = cli("train", DSN, *args)
    assert result.code == 0, result.err
    told = [line for line in result.err.splitlines() if "Train net output #0: l1 = " in line]
    assert ["(* 1 = " in told[0], "(* 0.5 = " in told[1]] == [True, True]
    records = [json.loads(line) for line in Path("r/metrics.jsonl").read_text().splitlines()]
    train = [r for r in records if r["event"] == "train"]
    for r, share in zip(train, (1, 0.75, 0.5, 0.25), strict=True):
        outputs = r["outputs"]
        assert r["loss"] == pytest.approx(outputs["loss"] + share * outputs["l1"], rel=1e-5)


def test_a_dropped_companion_no_longer_teaches(cli, small_mnist):
    args = ("max_iter=3", "random_seed=4", "weight_decay=0", "momentum=0")
    for name, schedule in (("a", "drop@0"), ("b", "constant")):
        result = cli("train", DSN, *args, "--companion-weights", schedule, "--out", name)
        assert result.code == 0, result.err
    first, taught = (
        protonet.Net(DSN, weights=f"{name}/lenet_dsn_iter_3.caffemodel").params["ip1_side"][1].data
        for name in "ab"
    )
    assert np.abs(first).max() == 0
    assert np.abs(taught).max() > 0


def test_schedule_errors(cli, small_mnist):
    message = cli("train", LENET, "--companion-weights", "linear").error()
    assert message.startswith("net 'LeNet' has no companion loss to weigh")
    message = cli("train", DSN, "--companion-weights", "lineer").error()
    assert message.startswith("companion weights 'lineer': expected one of constant, linear, drop@")
    assert message.endswith("did you mean 'linear'?")
