"""Upgrades against what Caffe made of the same files, their purity and idempotence, refusals."""

import json

import pytest
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st
from places import REFERENCE

from protonet.errors import PrototxtError
from protonet.schema import caffe_pb2 as pb
from protonet.schema.read import parse_net, parse_solver, read_net
from protonet.schema.upgrade import SOLVER_TYPES, upgrade_net, upgrade_solver
from protonet.schema.v1 import type_name

CASES = [
    case
    for case in json.loads((REFERENCE / "manifest.json").read_text())["cases"]
    if "upgraded" in case
]
NETS = [case for case in CASES if "net" in case]
SOLVERS = [case for case in CASES if "solver" in case]


def parsed(name, message):
    return text_format.Parse((REFERENCE / name).read_text(), message())


def ids(case):
    return case["name"]


def test_all_cases_are_there():
    assert (len(NETS), len(SOLVERS)) == (13, 7)


@pytest.mark.parametrize("case", NETS, ids=ids)
def test_net(case):
    old = parsed(case["net"], pb.NetParameter)
    before = old.SerializeToString(deterministic=True)
    new, origin = upgrade_net(old)
    assert new == parsed(case["upgraded"], pb.NetParameter)
    assert old.SerializeToString(deterministic=True) == before
    assert len(origin) == len(new.layer)
    again, kept = upgrade_net(new)
    assert again == new
    assert kept == list(range(len(new.layer)))
    assert upgrade_net(old, owned=True)[0] == new


@pytest.mark.parametrize("case", SOLVERS, ids=ids)
def test_solver(case):
    old = parsed(case["solver"], pb.SolverParameter)
    before = old.SerializeToString(deterministic=True)
    new = upgrade_solver(old)
    assert new == parsed(case["upgraded"], pb.SolverParameter)
    assert old.SerializeToString(deterministic=True) == before
    assert upgrade_solver(new) == new


def test_every_v1_type_has_a_name():
    types = pb.V1LayerParameter.LayerType.DESCRIPTOR.values
    names = {type_name(pb.V1LayerParameter(type=value.number)) for value in types}
    assert len(names) == len(types) == 40
    assert {"Im2col", "HDF5Data", "SoftmaxWithLoss", "AbsVal", "BNLL", ""} <= names


def test_every_solver_type_has_a_name():
    assert list(SOLVER_TYPES) == pb.SolverParameter.SolverType.keys()


def test_parts_of_a_net_besides_its_layers_stay():
    net = parse_net(
        "debug_info: true force_backward: true state { phase: TRAIN stage: 's' } name: 'n' "
        "layers { name: 'l' type: SILENCE bottom: 'x' }"
    ).message
    assert net.debug_info
    assert net.force_backward
    assert net.name == "n"
    assert net.state == pb.NetState(phase=pb.TRAIN, stage=["s"])


def test_blobs_move_along():
    old = pb.NetParameter()
    old.layers.add(name="v1", type=pb.V1LayerParameter.INNER_PRODUCT).blobs.add(
        num=1, channels=1, height=2, width=3, data=range(6)
    )
    old.layers.add(layer={"name": "v0", "type": "conv", "blobs": [{"data": [7, 8]}]})
    new, _ = upgrade_net(old)
    assert [layer.name for layer in new.layer] == ["v1", "v0"]
    assert new.layer[0].blobs[0] == old.layers[0].blobs[0]
    assert list(new.layer[1].blobs[0].data) == [7, 8]


def test_v0_types_of_forks_are_kept():
    assert parse_net("layers { layer { name: 'a' type: 'maxout' } }").message.layer[0].type == (
        "maxout"
    )


def test_v0_options_of_other_types_mean_nothing():
    (layer,) = parse_net("layers { layer { name: 'a' type: 'relu' stride: 2 } }").message.layer
    assert layer == pb.LayerParameter(name="a", type="ReLU")


def test_fewer_multipliers_than_names():
    (layer,) = parse_net(
        "layers { type: CONVOLUTION param: 'w' param: 'b' blobs_lr: 3 weight_decay: 0 }"
    ).message.layer
    assert list(layer.param) == [
        pb.ParamSpec(name="w", lr_mult=3, decay_mult=0),
        pb.ParamSpec(name="b"),
    ]


def test_batch_norm_with_other_params_is_left():
    text = "layer { name: 'b' type: 'BatchNorm' param { lr_mult: 2 } }"
    assert parse_net(text).message.layer[0].param[0].lr_mult == 2


def test_nets_within_a_solver():
    source = parse_solver(
        "net_param {\n layers { name: 'r' type: RELU }\n}\n"
        "test_net_param { input: 'x'\ninput_shape { dim: 3 } }\n"
        "test_net_param { layer { name: 'p' type: 'Power' } }"
    )
    assert source.message.net_param.layer[0].type == "ReLU"
    assert not source.message.net_param.layers
    assert source.message.test_net_param[0].layer[0].type == "Input"
    assert source.inline_net("net_param").lines == [2]
    assert source.inline_net("test_net_param").lines == [4]
    assert source.inline_net("test_net_param", 1).lines == [6]


def test_lines_go_along():
    assert read_net(REFERENCE / "legacy/v0_padding.prototxt").lines == [3, 5, 6, 8, 9, 10, 11]


PAD = "layers { layer { name: 'p' type: 'padding' pad: 1 } bottom: 'x' top: 'y' }\n"
REFUSED = {
    "both_forms": (
        "layers { name: 'a' type: RELU }\nlayer { name: 'b' type: 'ReLU' }",
        "<text>:2: expected layers of one form, got 'layer' in line 2 and 'layers' in line 1",
    ),
    "no_layers": ("name: 'x'", "expected a net with layers, found none"),
    "padding_only": (PAD, "expected a net with layers, found padding layers only"),
    "padding_before_relu": (
        PAD + "layers { layer { name: 'r' type: 'relu' } bottom: 'y' top: 'z' }",
        "<text>:2: layer 'r' (relu): expected a conv or pool layer of one bottom behind the "
        "padding layer 'p'",
    ),
    "input_without_shape": (
        "name: 'n'\ninput: 'x'",
        "<text>:2: expected an input_shape, or 4 times input_dim, for each of the 1 inputs, got 0 "
        "times input_dim",
    ),
    "three_dims": (
        "input: 'x'\ninput_dim: [1, 2, 3]",
        "<text>:2: expected an input_shape, or 4 times input_dim, for each of the 1 inputs, got 3 "
        "times input_dim",
    ),
    "too_few_shapes": (
        "input: ['x', 'y']\ninput_shape { dim: 3 }",
        "<text>:2: expected an input_shape for each of the 2 inputs, got 1",
    ),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(text, message):
    with pytest.raises(PrototxtError) as caught:
        parse_net(text)
    assert str(caught.value) == message


def test_both_solver_types():
    with pytest.raises(PrototxtError) as caught:
        parse_solver("net: 'n'\ntype: 'Adam'\nsolver_type: ADAM", "s.prototxt")
    assert str(caught.value) == (
        "s.prototxt:2: expected one of 'solver_type' (old) and 'type', got both"
    )


NAMES = st.sampled_from(["a", "b", "c"])
V1_LAYERS = st.builds(
    pb.V1LayerParameter,
    name=NAMES,
    type=st.sampled_from(pb.V1LayerParameter.LayerType.values()),
    bottom=st.lists(NAMES, max_size=2),
    top=st.lists(NAMES, max_size=2),
    param=st.lists(NAMES, max_size=3),
    blobs_lr=st.lists(st.integers(0, 3), max_size=3),
    weight_decay=st.lists(st.integers(0, 3), max_size=3),
    data_param=st.none() | st.builds(pb.DataParameter, source=NAMES, mirror=st.booleans()),
)
V0_LAYERS = st.builds(
    pb.V1LayerParameter,
    layer=st.builds(
        pb.V0LayerParameter,
        name=NAMES,
        type=st.sampled_from(["conv", "pool", "innerproduct", "data", "relu", "lrn", "images"]),
        pad=st.integers(0, 3),
        stride=st.integers(1, 3),
        source=NAMES,
        scale=st.none() | st.just(0.5),
        blobs_lr=st.lists(st.integers(0, 3), max_size=2),
    ),
    bottom=st.lists(NAMES, max_size=2),
    top=st.lists(NAMES, max_size=2),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(V0_LAYERS, V1_LAYERS), min_size=1, max_size=5), st.booleans())
def test_upgrading_twice_is_upgrading_once(layers, inputs):
    old = pb.NetParameter(layers=layers)
    if inputs:
        old.input.append("x")
        old.input_dim.extend([2, 3, 4, 5])
    before = old.SerializeToString(deterministic=True)
    new, origin = upgrade_net(old)
    assert old.SerializeToString(deterministic=True) == before
    assert origin == [-1] * inputs + list(range(len(layers)))
    assert not (new.layers or new.input or new.input_dim)
    assert upgrade_net(new)[0] == new
