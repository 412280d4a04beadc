"""protonet check: each classic mistake, labels, planted bugs in a backward pass."""

import numpy as np
import pytest
from places import MODELS

import protonet
from protonet.check.checks import check_net
from protonet.check.finding import ERROR, OK, WARNING
from protonet.check.gradients import check_gradient
from protonet.layers import layer_types
from protonet.schema.read import parse_net

HEAD = """
layer { name: "dummy" type: "DummyData" top: "x" top: "label" dummy_data_param {
  shape { dim: 6 dim: 3 dim: 5 dim: 4 } shape { dim: 6 }
  data_filler { type: "gaussian" } data_filler { type: "constant" value: 1 } } }
"""


def layer(name, kind, bottom, more="", top=None):
    bottoms = " ".join(f'bottom: "{b}"' for b in bottom.split())
    return f'layer {{ name: "{name}" type: "{kind}" {bottoms} top: "{top or name}" {more} }}\n'


def inner(name, bottom, outputs=7, filler='weight_filler { type: "xavier" }', more=""):
    settings = f"inner_product_param {{ num_output: {outputs} {filler} }} {more}"
    return layer(name, "InnerProduct", bottom, settings)


LOSS = layer("loss", "SoftmaxWithLoss", "ip label")
GOOD = HEAD + inner("h", "x", 8) + layer("r", "ReLU", "h", top="h") + inner("ip", "h") + LOSS
NORM = "batch_norm_param { use_global_stats: true }"
ZEROS = "param { lr_mult: 0 } " * 3


def check(text, **options):
    return list(check_net(parse_net(text), **options))


def test_the_file_alone(cli):
    """No source is opened, and nothing is run."""
    result = cli("check", "--static", MODELS / "caffenet/train_val.prototxt")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0] == "ok      shapes: 24 layers, 60,965,224 parameters"
    assert "assumed data of shape (256, 3, 227, 227)" in lines[1]
    with open("norm.prototxt", "w") as file:
        file.write(HEAD + layer("bn", "BatchNorm", "x", NORM) + inner("ip", "bn") + LOSS)
    result = cli("check", "--static", "norm.prototxt")
    assert "use_global_stats" in result.out
    assert "first batch" not in result.out


def test_a_net_in_order(cli):
    result = cli("check", MODELS / "lenet.prototxt", "--batches", 2)
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert "labels 'label': 0 to 9 of 10 classes in 128 records" in lines[2]
    assert "guessing among 10 classes gives 2.303" in lines[3]
    assert "8 layers agree with differences" in lines[4]
    assert lines[-1] == "0 errors, 0 warnings"
    assert [f.level for f in check(GOOD)] == [OK] * len(check(GOOD))


MISTAKES = [  # id, net, layer, what the warning says
    (
        "BatchNorm without Scale",
        HEAD + layer("bn", "BatchNorm", "x") + inner("ip", "bn") + LOSS,
        "bn",
        "no Scale layer reads its top",
    ),
    (
        "global statistics",
        HEAD + layer("bn", "BatchNorm", "x", NORM) + layer("s", "Scale", "bn") + inner("ip", "s")
        + LOSS,
        "bn",
        "use_global_stats: true in phase TRAIN",
    ),
    ("softmax twice", HEAD + inner("h", "x") + layer("ip", "Softmax", "h") + LOSS, "loss",
     "applies a softmax itself, and its bottom comes from 'ip' (Softmax)"),
    (
        "sigmoid twice",
        HEAD + inner("ip", "x", 1) + layer("s", "Sigmoid", "ip")
        + layer("loss", "SigmoidCrossEntropyLoss", "s label"),
        "loss",
        "applies a sigmoid itself",
    ),
    ("no softmax", HEAD + inner("ip", "x") + layer("l", "MultinomialLogisticLoss", "ip label"),
     "l", "it expects probabilities, of a Softmax"),
    ("ReLU on scores", HEAD + inner("h", "x") + layer("ip", "ReLU", "h") + LOSS, "loss",
     "none can be below zero"),
    ("no filler", HEAD + inner("h", "x", 8, "") + layer("r", "ReLU", "h", top="h")
     + inner("ip", "h") + LOSS, "h", "all weights start at 0"),
    ("linear twice", HEAD + inner("h", "x", 80) + inner("ip", "h") + LOSS, "ip",
     "without a non-linearity between"),
    ("unread", GOOD + inner("side", "h"), "side", "it is computed for nothing"),
    ("nothing below", HEAD + layer("l", "EuclideanLoss", "x x", top="l"), "l",
     "no gradient flows from this loss: nothing below it is learned"),
    (
        "blocked",
        HEAD + inner("h", "x") + layer("ip", "Threshold", "h", "propagate_down: false")
        + layer("l", "EuclideanLoss", "ip ip"),
        "l",
        "no gradient flows from this loss: gradients are blocked on the way",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    "text, name, message", [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES]
)
def test_classic_mistakes(text, name, message):
    warnings = [f.message for f in check(text) if f.level == WARNING]
    assert any(f"layer '{name}' (" in w and message in w for w in warnings), warnings


def test_learned_statistics_are_an_error():
    text = HEAD + layer("bn", "BatchNorm", "x", "param { lr_mult: 1 }") + layer("s", "Scale", "bn")
    with pytest.raises(protonet.GraphError, match=r"'bn' .*: expected an lr_mult of 0"):
        check(text + inner("ip", "s") + LOSS)


def test_nets_that_learn_nothing():
    frozen = GOOD.replace('xavier" } }', 'xavier" } } param { lr_mult: 0 } param { lr_mult: 0 }')
    assert any("lr_mult is 0 for every parameter" in f.message for f in check(frozen))
    assert any("has no loss in phase TRAIN" in f.message for f in check(HEAD + inner("i", "x")))


@pytest.mark.parametrize(
    "outputs, message",
    [
        (9, "layer 'loss' (SoftmaxWithLoss): labels 'label': expected 0 to 8 for 9 classes, got 9"),
        (10, None),
    ],
)
def test_labels_out_of_range(cli, small_mnist, outputs, message):
    text = (
        (MODELS / "lenet.prototxt").read_text().replace("num_output: 10", f"num_output: {outputs}")
    )
    (small_mnist / "n.prototxt").write_text(text)
    result = cli("check", "n.prototxt")
    assert result.code == (1 if message else 0)
    assert (message or "0 errors") in result.out


def test_unscaled_data(cli, small_mnist):
    text = (MODELS / "lenet.prototxt").read_text().replace("scale: 0.00390625", "")
    (small_mnist / "n.prototxt").write_text(text)
    assert "values from 0 to 255: neither scaled" in cli("check", "n.prototxt").out


def test_a_test_phase_that_does_not_fit():
    text = GOOD + layer("a", "Accuracy", "h2 label", "include { phase: TEST }")
    errors = [f.message for f in check(text) if f.level == ERROR]
    assert len(errors) == 1
    assert errors[0].startswith("in phase TEST: layer 'a' (Accuracy): bottom 'h2' is not produced")


@pytest.mark.parametrize("what", ["bottom", "weights", "bias"])
def test_a_wrong_backward_is_found(monkeypatch, what):
    cls = layer_types()["InnerProduct"]
    right = cls.backward

    def wrong(self, top, propagate_down, bottom):
        right(self, top, propagate_down, bottom)
        array = {"bottom": bottom[0], "weights": self.blobs[0], "bias": self.blobs[1]}[what].diff
        array *= 1.05

    monkeypatch.setattr(cls, "backward", wrong)
    errors = [f.message for f in check(GOOD) if f.level == ERROR]
    place = {"bottom": "bottom '", "weights": "parameter 0", "bias": "parameter 1"}[what]
    assert errors, "the wrong factor passed"
    assert all(f" of {place}" in e and "differences say" in e for e in errors)


@pytest.mark.parametrize(
    "text",
    [
        layer("p", "Pooling", "x", "pooling_param { pool: MAX kernel_size: 2 stride: 2 }"),
        layer("n", "LRN", "x"),
        layer("b", "BatchNorm", "x"),
        layer("d", "Dropout", "x"),
        layer("e", "Eltwise", "x x", "eltwise_param { operation: PROD }"),
        layer("c", "Concat", "x x"),
    ],
    ids=lambda text: text.split('"')[3],
)
def test_layers_of_many_kinds_agree(text):
    name = text.split('"')[1]
    net = protonet.Net(
        parse_net("force_backward: true " + HEAD + text + inner("ip", name) + LOSS), 0
    )
    net.forward()
    step = next(s for s in net.steps if s.node.name == name)
    result = check_gradient(step, np.random.default_rng(3))
    assert result.compared > 0
    assert not result.wrong
