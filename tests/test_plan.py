"""build_plan: shapes without memory, who needs a gradient, which parameters are shared."""

import pytest

from protonet.errors import GraphError, ProtonetError, ShapeError
from protonet.facts import layer_facts
from protonet.graph import build_graph
from protonet.layer import TEST, TRAIN
from protonet.plan import build_plan
from protonet.schema.read import parse_net

INPUT = 'layer {{ name: "{0}" type: "Input" top: "{0}" input_param {{ shape {{ {1} }} }} }}\n'


def data(name, *shape):
    return INPUT.format(name, " ".join(f"dim: {n}" for n in shape))


def ip(name, bottom, num_output, rest=""):
    return (
        f'layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}" {rest} '
        f"inner_product_param {{ num_output: {num_output} }} }}\n"
    )


def one(type_name, name, bottom, top, rest=""):
    ends = "".join(f' bottom: "{b}"' for b in bottom.split())
    ends += "".join(f' top: "{t}"' for t in top.split())
    return f'layer {{ name: "{name}" type: "{type_name}"{ends} {rest} }}\n'


def plan(text, phase=TEST, **options):
    return build_plan(build_graph(parse_net(text, "net.prototxt"), phase), **options)


def backward(built):
    """Return layer -> propagate_down for the layers that take part in the backward pass."""
    return {s.layer.name: s.propagate_down for s in built.steps if s.backward}


LENET = (
    data("data", 5, 1, 28, 28)
    + data("label", 5)
    + """
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 20 kernel_size: 5 } }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
  pooling_param { kernel_size: 2 stride: 2 } }
"""
    + ip("ip1", "pool1", 10)
    + one("ReLU", "relu1", "ip1", "ip1")
    + one("SoftmaxWithLoss", "loss", "ip1 label", "loss")
)


def test_shapes_and_costs_without_memory():
    built = plan(LENET, TRAIN)
    facts = {f.name: f for f in layer_facts(built)}
    assert facts["conv1"].tops == (("conv1", (5, 20, 24, 24)),)
    assert facts["pool1"].tops == (("pool1", (5, 20, 12, 12)),)
    assert facts["ip1"].parameters == 10 * 2880 + 10
    assert facts["conv1"].multiply_adds == 5 * 20 * 24 * 24 * 25
    assert facts["ip1"].multiply_adds == 5 * 10 * 2880
    assert facts["loss"].tops == (("loss", ()),)
    assert facts["relu1"].memory == 0  # in place
    for blob in built.blobs.values():
        assert blob._data is None
    for param in built.params:
        assert param.blob._data is None


def test_gradients_stop_at_data_and_labels():
    assert backward(plan(LENET, TRAIN)) == {
        "conv1": [False],
        "pool1": [True],
        "ip1": [True],
        "relu1": [True],
        "loss": [True, False],
    }


def test_no_loss_no_backward():
    assert backward(plan(data("x", 2, 3) + ip("a", "x", 4))) == {}


def test_frozen_layers_below_need_no_gradient():
    frozen = "param { lr_mult: 0 } param { lr_mult: 0 }"
    text = data("x", 2, 3) + data("t", 2, 5) + ip("a", "x", 4, frozen) + ip("b", "a", 5)
    built = plan(text + one("EuclideanLoss", "loss", "b t", "loss"))
    assert backward(built) == {"b": [False], "loss": [True, False]}
    assert built.steps[2].layer.param_propagate_down == [False, False]


def test_propagate_down_false_cuts_the_branch():
    text = data("x", 2, 3) + data("t", 2, 5) + ip("a", "x", 4)
    text += ip("b", "a", 5, "propagate_down: false")
    built = plan(text + one("EuclideanLoss", "loss", "b t", "loss"))
    assert backward(built) == {"b": [False], "loss": [True, False]}


def test_branch_without_a_loss_is_left_out():
    text = data("x", 2, 3) + data("t", 2, 5) + ip("a", "x", 5) + ip("side", "a", 4)
    built = plan(text + one("EuclideanLoss", "loss", "a t", "loss"))
    assert "side" not in backward(built)


def test_force_backward_reaches_the_input_but_not_the_labels():
    built = plan("force_backward: true\n" + LENET)
    flows = backward(built)
    assert flows["conv1"] == [True]
    assert flows["loss"] == [True, False]


def test_in_place_shares_storage_only_where_the_layer_can():
    built = plan(LENET)
    by_name = {s.layer.name: s for s in built.steps}
    assert by_name["relu1"].top[0] is by_name["ip1"].top[0]
    text = data("x", 2, 3, 4, 4) + one("LRN", "n", "x", "x")
    step = plan(text).steps[1]
    assert step.top[0] is not step.bottom[0]


def test_loss_without_a_top_still_counts():
    text = data("x", 2, 3) + data("t", 2, 3) + one("EuclideanLoss", "loss", "x t", "")
    step = plan(text).steps[2]
    assert len(step.top) == 1
    assert step.layer.loss_weights == [1.0]


def test_shared_parameters():
    shared = 'param { name: "w" lr_mult: 2 } param { name: "b" }'
    text = data("x", 2, 3) + ip("a", "x", 3, shared)
    built = plan(text + ip("c", "a", 3, 'param { name: "w" } param { name: "b" decay_mult: 0 }'))
    assert [(p.layer, p.index) for p in built.learnable()] == [("a", 0), ("a", 1)]
    assert [p.owner for p in built.params] == [0, 1, 0, 1]
    assert built.params[0].lr_mult == 2
    assert built.params[1].decay_mult == 0


def test_permissive_sharing_asks_only_for_the_count():
    text = data("x", 2, 6) + ip("a", "x", 4, 'param { name: "w" }')
    rest = 'param { name: "w" share_mode: PERMISSIVE }'
    built = plan(text + ip("c", "a", 6, rest))
    assert built.params[2].owner == 0


def test_shapes_given_from_outside():
    text = (
        'layer { name: "d" type: "Data" top: "data" data_param { source: "gone" batch_size: 2 } }'
    )
    built = plan(text, shapes={"data": (7, 3, 8, 9)})
    assert built.blobs["data"].shape == (7, 3, 8, 9)


def test_static_assumes_the_crop():
    text = (
        'layer { name: "d" type: "Data" top: "data" top: "label" data_param { source: "gone" '
        "batch_size: 6 } transform_param { crop_size: 227 mean_value: 1 mean_value: 2 "
        "mean_value: 3 } }"
    )
    built = plan(text, static=True)
    assert built.blobs["data"].shape == (6, 3, 227, 227)
    assert built.blobs["label"].shape == (6,)
    assert "gone" in built.assumed[0]
    assert "assumed data of shape (6, 3, 227, 227)" in built.assumed[0]
    with pytest.raises(ProtonetError, match="gone"):
        plan(text)


def test_tolerant_plan_goes_on_behind_what_it_does_not_know():
    text = (
        data("x", 2, 3)
        + data("label", 2)
        + ip("a", "x", 4)
        + one("Qwertz", "q", "a", "q")
        + ip("b", "q", 5)
        + ip("c", "a", 6)
        + one("SoftmaxWithLoss", "loss", "b label", "loss", "loss_weight: 0.3")
    )
    built = plan(text, TRAIN, tolerant=True)
    facts = {f.name: f for f in layer_facts(built)}
    assert facts["q"].tops == (("q", None),)
    assert "unknown layer type 'Qwertz'" in facts["q"].trouble
    assert facts["b"].tops == (("b", None),)
    assert facts["b"].trouble == "the shape of its bottom 'q' is not known"
    assert facts["b"].parameters == facts["b"].multiply_adds == 0
    assert facts["c"].tops == (("c", (2, 6)),)
    assert facts["loss"].loss_weights == pytest.approx((0.3,))
    assert facts["b"].gradient == facts["q"].gradient == (True,)
    assert facts["c"].gradient == (False,)


def test_tolerant_plan_keeps_no_parameter_of_a_layer_that_does_not_fit():
    text = (
        data("x", 2, 3)
        + ip("a", "x", 4, 'param { name: "w" }')
        + ip("b", "a", 4, 'param { name: "w" }')
    )
    built = plan(text, tolerant=True)
    assert [p.layer for p in built.params] == ["a", "a"]
    assert "shared with layer 'a'" in built.steps[-1].trouble


ERRORS = [
    (
        "unknown type",
        data("x", 2, 3) + one("Qwertz", "r", "x", "y"),
        GraphError,
        "net.prototxt:2: layer 'r': unknown layer type 'Qwertz'; known types: AbsVal, ",
    ),
    (
        "misspelt type",
        data("x", 2, 3) + one("Convolutoin", "r", "x", "y"),
        GraphError,
        "unknown layer type 'Convolutoin'; did you mean 'Convolution'?",
    ),
    (
        "too few bottoms",
        data("x", 2, 3) + one("EuclideanLoss", "r", "x", "y"),
        GraphError,
        "net.prototxt:2: layer 'r' (EuclideanLoss): expected 2 bottoms, got 1",
    ),
    (
        "too few tops",
        data("x", 2, 3) + one("Sigmoid", "r", "x", ""),
        GraphError,
        "net.prototxt:2: layer 'r' (Sigmoid): expected 1 top, got 0",
    ),
    (
        "too many params",
        data("x", 2, 3) + ip("a", "x", 4, "param { } param { } param { }"),
        GraphError,
        "expected at most 2 param entries, as many as it has parameter blobs, got 3",
    ),
    (
        "loss weights",
        data("x", 2, 3) + one("ReLU", "r", "x", "y", "loss_weight: 1 loss_weight: 2"),
        GraphError,
        "net.prototxt:2: layer 'r' (ReLU): expected loss_weight for each of 1 tops, got 2",
    ),
    (
        "shared shape",
        data("x", 2, 3)
        + ip("a", "x", 4, 'param { name: "w" }')
        + ip("b", "a", 4, 'param { name: "w" }'),
        ShapeError,
        "net.prototxt:3: layer 'b' (InnerProduct): parameter 'w' is shared with layer 'a': "
        "expected the shape (4, 3), got (4, 4)",
    ),
    (
        "shared lr_mult",
        data("x", 2, 4)
        + ip("a", "x", 4, 'param { name: "w" lr_mult: 1 }')
        + ip("b", "a", 4, 'param { name: "w" lr_mult: 2 }'),
        GraphError,
        "net.prototxt:3: layer 'b' (InnerProduct): shared parameter 'w' has lr_mult 2 here and 1 "
        "in layer 'a'",
    ),
    (
        "too large",
        data("x", 65536, 65536),
        ShapeError,
        "net.prototxt:1: layer 'x' (Input): ",
    ),
]


@pytest.mark.parametrize("text, kind, message", [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS])
def test_errors(text, kind, message):
    with pytest.raises(kind) as caught:
        plan(text)
    assert message in str(caught.value)


def test_shape_for_a_blob_that_is_not_there():
    with pytest.raises(ShapeError, match="'dta', which is not in the net; did you mean 'data'"):
        plan(LENET, shapes={"dta": (1, 2)})
