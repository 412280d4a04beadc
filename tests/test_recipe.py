"""The classic recipe, overrides, and test nets made from training nets."""

import pytest
from places import MODELS

from protonet.errors import PrototxtError
from protonet.recipe import (
    classic_solver,
    derive_test_net,
    has_test_part,
    largest_divisor,
    override,
    sibling_test_source,
)
from protonet.schema.read import parse_net, read_net


def test_the_recipe():
    solver = classic_solver()
    assert solver.base_lr == pytest.approx(0.01)
    assert (solver.lr_policy, solver.max_iter, solver.test_interval) == ("inv", 10000, 1000)


@pytest.mark.parametrize(
    "text, field, value",
    [
        ("base_lr=0.5", "base_lr", 0.5),
        ("max_iter=7", "max_iter", 7),
        ("lr_policy=step", "lr_policy", "step"),
        ('lr_policy="step"', "lr_policy", "step"),
        ("snapshot_prefix=a b/c", "snapshot_prefix", "a b/c"),
        ("stepvalue=10,20", "stepvalue", [10, 20]),
        ("solver_mode=CPU", "solver_mode", 0),
        ("debug_info=true", "debug_info", True),
    ],
)
def test_override(text, field, value):
    solver = classic_solver()
    override(solver, [text])
    got = getattr(solver, field)
    assert (list(got) if isinstance(value, list) else got) == value


def test_override_replaces_a_repeated_field():
    solver = classic_solver()
    solver.test_iter.append(3)
    override(solver, ["test_iter=5"])
    assert list(solver.test_iter) == [5]


@pytest.mark.parametrize(
    "text, message",
    [
        ("max_iter", "expected key=value, got 'max_iter'"),
        ("max_itr=3", "max_itr=3: a solver has no field 'max_itr'; did you mean 'max_iter'?"),
        ("max_iter=3.5", "max_iter=3.5: "),
        ("net_param=x", "net_param=x: 'net_param' holds a message and can only be set in a file"),
    ],
)
def test_override_errors(text, message):
    with pytest.raises(PrototxtError) as caught:
        override(classic_solver(), [text])
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "source, sibling",
    [
        ("mnist-train-leveldb", "mnist-test-leveldb"),
        ("train/mnist_train_lmdb", "train/mnist_test_lmdb"),
        ("digits", None),
    ],
)
def test_sibling(source, sibling):
    assert sibling_test_source(source) == sibling


@pytest.mark.parametrize("count, batch", [(10000, 100), (1024, 64), (97, 97), (1009, 100), (7, 7)])
def test_batches_cover_the_source(count, batch):
    assert largest_divisor(count, 100) == batch


def test_test_net_of_the_deeply_supervised_lenet():
    source = read_net(MODELS / "lenet_dsn.prototxt")
    net = source.message
    before = net.SerializeToString()
    assert not has_test_part(net)
    test = derive_test_net(source)
    assert (test.batches, test.records) == (100, 10000)
    added = [la for la in test.message.layer if la.type == "Accuracy"]
    assert [(la.name, list(la.bottom)) for la in added] == [
        ("l1_accuracy", ["ip1_side", "label"]),
        ("loss_accuracy", ["ip2", "label"]),
    ]
    assert net.SerializeToString() == before


def test_ignored_labels_are_ignored_by_the_score():
    text = (MODELS / "lenet.prototxt").read_text()
    source = parse_net(text)
    source.message.layer[-1].loss_param.ignore_label = 3
    scored = derive_test_net(source).message.layer[-1]
    assert scored.accuracy_param.ignore_label == 3


def test_a_test_part_is_noticed():
    text = 'layer { name: "d" type: "Input" top: "x" include { phase: TEST } }'
    assert has_test_part(parse_net(text).message)
