"""One net against another: what is called added, dropped, changed."""

import pytest
from places import MODELS

from protonet.diagram.compare import compare

from .make import diagram, lines, node
from .nets import NETS

LENET = (MODELS / "lenet.prototxt").read_text()
DSN = (MODELS / "lenet_dsn.prototxt").read_text()


def against(before, after):
    return compare(diagram(before), diagram(after))


def status(built):
    return {n.key: n.status for n in built.nodes if n.status}


def test_deep_supervision_lights_up():
    built = against(LENET, DSN)
    assert status(built) == {"ip1_side": "added", "l1": "added"}
    added = [(built.nodes[e.target].name, e.blob) for e in built.edges if e.status == "added"]
    assert added == [("ip1_side", "pool1"), ("l1", "ip1_side"), ("l1", "label")]
    assert built.compared == "LeNet"
    assert built.before is not None and built.before[0] == 431_080
    assert built.parameters == 459_890
    assert not any(n.side for n in built.nodes)


def test_dropped():
    built = against(DSN, LENET)
    assert status(built) == {"ip1_side": "dropped", "l1": "dropped"}
    assert {e.status for e in built.edges} == {"", "dropped"}
    names = [n.name for n in built.nodes]
    assert names.index("pool1") < names.index("ip1_side") < names.index("conv2")


def test_a_net_against_itself():
    built = against(DSN, DSN)
    assert status(built) == {}
    assert {e.status for e in built.edges} == {""}


CHANGES = [
    (
        "setting",
        "num_output: 50\n",
        "num_output: 60\n",
        {"conv2": ["convolution.num_output 50 → 60"]},
    ),
    (
        "unset",
        "blobs_lr: 2\n  convolution_param {\n    num_output: 50",
        "blobs_lr: 3\n  convolution_param {\n    num_output: 50",
        {"conv2": ["param[1].lr_mult 2 → 3"]},
    ),
    (
        "in place",
        '  type: RELU\n  bottom: "ip1"',
        '  type: TANH\n  bottom: "ip1"',
        {"ip1": ["in place ReLU → TanH"]},
    ),
    (
        "type",
        "type: SOFTMAX_LOSS",
        "type: EUCLIDEAN_LOSS",
        {"loss": ["type SoftmaxWithLoss → EuclideanLoss"]},
    ),
    (
        "loss weight",
        '  top: "loss"',
        '  top: "loss"\n  loss_weight: 0.25',
        {"loss": ["loss weight 1 → 0.25"]},
    ),
    ("input", 'bottom: "pool1"', 'bottom: "data"', {"conv2": ["reads pool1 → data"]}),
    (
        "name",
        'name: "conv2"',
        'name: "convB"',
        {"convB": ["name conv2 → convB"]},
    ),
]


@pytest.mark.parametrize("old, new, changed", [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES])
def test_changes(old, new, changed):
    assert old in LENET
    built = against(LENET, LENET.replace(old, new))
    assert {n.name: n.changes for n in built.nodes if n.changes} == changed
    assert set(status(built).values()) == {"changed"}


def test_renamed_blob_is_no_change_of_its_readers():
    built = against(LENET, LENET.replace('"conv2"', '"convB"'))
    assert status(built) == {"convB": "changed"}
    assert {e.status for e in built.edges} == {""}


def test_rewired_edge():
    built = against(LENET, LENET.replace('bottom: "pool1"', 'bottom: "data"'))
    nodes = built.nodes
    marked = [
        (nodes[e.source].name, nodes[e.target].name, e.status) for e in built.edges if e.status
    ]
    assert marked == [("mnist", "conv2", "added"), ("pool1", "conv2", "dropped")]


def test_same_name_for_another_layer():
    built = against(NETS["lstm"](), NETS["alexnet"]())
    assert node(built, "data").status == "changed"
    assert node(built, "lstm1").status == "dropped"
    assert node(built, "conv1").status == "added"
    assert len(lines(built)) == len(set(built.edges))
