"""Files of forks: read, kept, shown, written back, and run as far as their layers are known."""

import numpy as np
import pytest
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st

import protonet
from protonet.diagram.model import build_diagram
from protonet.errors import GraphError, PrototxtError
from protonet.facts import layer_facts
from protonet.graph import build_graph
from protonet.layer import REGISTRY, TEST, TRAIN, Layer
from protonet.plan import build_plan
from protonet.schema import caffe_pb2 as pb
from protonet.schema import extra
from protonet.schema.read import NetSource, parse_net, parse_solver, parse_weights
from protonet.schema.write import write_text

FIVE = """name: "fork"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [2, 3, 8, 9] } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 engine: MKLDNN } }
layer { name: "norm" type: "Normalize" bottom: "conv" top: "norm"
  norm_param { across_spatial: false scale_filler { type: "constant" value: 20 } } }
layer { name: "perm" type: "Permute" bottom: "norm" top: "perm"
  permute_param { order: [0, 2, 3, 1] } }
layer { name: "prior" type: "PriorBox" bottom: "perm" bottom: "data" top: "prior"
  prior_box_param { min_size: 30.0 step: -1e2 flip: true code_type: CENTER names: 'a' "b\\n" } }
layer { name: "zap" type: "Zap" bottom: "perm" top: "zap" zap_param < deep < deeper { x: 1 } > > }
layer { name: "odd" type: "Oddity" bottom: "zap" top: "odd" flavour: SOUR flavour: SWEET }
layer { name: "ip" type: "InnerProduct" bottom: "odd" top: "ip"
  inner_product_param { num_output: 5 } }
"""


def parse(text):
    return parse_net(text, "f.prototxt")


# --- five unknown types ----------------------------------------------------------------------
def test_running_names_the_first():
    with pytest.raises(GraphError) as caught:
        protonet.Net(parse(FIVE), TEST)
    assert str(caught.value) == (
        "f.prototxt:5: layer 'norm': unknown layer type 'Normalize', a layer of SSD "
        "(weiliu89/caffe)"
    )


def test_round_trip():
    once = write_text(parse(FIVE).message)
    twice = write_text(parse(once).message)
    assert once == twice
    for part in (
        "engine: MKLDNN",
        "  permute_param {\n    order: 0\n    order: 2\n    order: 3\n    order: 1\n  }",
        "    step: -1e2\n    flip: true\n    code_type: CENTER\n    names: 'a' \"b\\n\"\n",
        "  zap_param {\n    deep {\n      deeper {\n        x: 1\n      }\n    }\n  }",
        "  flavour: SOUR\n  flavour: SWEET\n",
    ):
        assert part in once
    binary = pb.NetParameter.FromString(parse(FIVE).message.SerializeToString())
    assert write_text(binary) == once


def test_each_kind_is_reported_once():
    notes = parse(FIVE).notes()
    assert [note.split(": ", 2)[0] for note in notes] == [
        f"f.prototxt:{place}" for place in ("4:60", "6:3", "8:3", "10:3", "11:59", "12:61")
    ]
    assert notes[2] == (
        "f.prototxt:8:3: kept as it is: layer 'perm' (Permute): message LayerParameter has no "
        "field 'permute_param'"
    )
    assert notes[-1].endswith("has no field 'flavour' (and 1 more)")


@pytest.mark.parametrize("tolerant", [False, True])
def test_plans_to_look_at(tolerant):
    plan = build_plan(build_graph(parse(FIVE), TEST), static=True, tolerant=tolerant)
    shapes = {name: shape for fact in layer_facts(plan) for name, shape in fact.tops}
    assert shapes["conv"] == (2, 4, 6, 7)
    assert shapes["norm"] is shapes["ip"] is None
    assert sum(note.startswith("f.prototxt:6:3: kept") for note in plan.assumed) == 1


def test_drawn():
    plan = build_plan(build_graph(parse(FIVE), TEST), static=True, tolerant=True)
    diagram = build_diagram(plan)
    assert [node.name for node in diagram.nodes if node.unknown] == [
        "norm",
        "perm",
        "prior",
        "zap",
        "odd",
    ]


NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,6}", fullmatch=True)
SCALARS = st.sampled_from(["1", "-2", "3.5f", "0x1F", "TRUE_NAME", "-inf", "'a'", "'\\n' \"b\""])
VALUES = st.recursive(
    SCALARS.map(lambda text: f": {text}"),
    lambda inner: st.lists(st.tuples(NAMES, inner), max_size=4).map(
        lambda pairs: "{ " + " ".join(name + value for name, value in pairs) + " }"
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(NAMES, VALUES)
def test_anything_unknown_comes_back(name, value):
    layer = f"layer {{ name: 'a' zz_{name}_param {value} }}"
    once = write_text(parse(layer).message)
    assert write_text(parse(once).message) == once
    theirs = [text_format.Parse("", pb.NetParameter()) for _ in range(2)]
    for message, text in zip(theirs, (layer, once), strict=True):
        text_format.Parse(text, message, allow_unknown_field=True)
    assert theirs[0] == theirs[1]
    kept = extra.extras(parse(layer).message.layer[0])[0]
    assert extra.extras(parse(once).message.layer[0])[0].value == kept.value
    extra.Fields.of(parse(once).message.layer[0]).get(kept.name)


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("layer{}<>[]:,;-'\"\\#\n 019.xfe_ä"), max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        source = parse(text)
    except PrototxtError as error:
        assert "\n" not in str(error)
    else:
        assert write_text(parse(write_text(source.message)).message) == write_text(source.message)


# --- fields and values -----------------------------------------------------------------------
INPUT = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [2, 4, 5, 6] } } }\n'
REFUSED = {
    "field": (
        INPUT + "layer { name: 'r' type: 'ReLU' bottom: 'x' top: 'y' relu_param { slope: 1 } }",
        ":2:66: layer 'r' (ReLU): message ReLUParameter has no field 'slope'; "
        "did you mean 'negative_slope'?",
    ),
    "value": (
        INPUT + "layer { name: 'p' type: 'Pooling' bottom: 'x' top: 'y' "
        "pooling_param { kernel_size: 2 pool: MEDIAN } }",
        ":2:93: layer 'p' (Pooling): expected a value of PoolMethod for 'pool', found 'MEDIAN'; "
        "known: MAX, AVE, STOCHASTIC",
    ),
    "options_of_another": (
        INPUT + "layer { name: 'r' type: 'ReLU' bottom: 'x' top: 'y' zap_param { a: 1 } }",
        ":2:53: layer 'r' (ReLU): message LayerParameter has no field 'zap_param'; "
        "did you mean 'spp_param'?",
    ),
    "of_the_net": ("nmae: 'n'\n" + INPUT, ":1:1: message NetParameter has no field 'nmae'; "
                   "did you mean 'name'?"),
    "old_type": (
        "input: 'x' input_dim: [2, 3, 4, 5]\nlayers { name: 'c' bottom: 'x' top: 'y' "
        "type: CONVOLUTON }",
        ":2:47: layer 'c': expected a value of LayerType for 'type', found 'CONVOLUTON'; "
        "did you mean 'CONVOLUTION'?",
    ),
    "old_type_of_a_fork": (
        "input: 'x' input_dim: [2, 3, 4, 5]\nlayers { name: 'c' bottom: 'x' top: 'y' "
        "type: ROI_POOLING roi_pooling_param { pooled_h: 7 } }",
        ":2: layer 'c': unknown layer type 'ROIPooling', a layer of Fast R-CNN "
        "(rbgirshick/caffe-fast-rcnn)",
    ),
    "oldest_form": (
        "input: 'x' input_dim: [2, 3, 4, 5]\nlayers { layer { name: 'c' type: 'relu' slope: 1 } "
        "bottom: 'x' top: 'y' }",
        ":2:41: layer 'c' (relu): message V0LayerParameter has no field 'slope'",
    ),
    "nothing_known": ("a { b: 1 }", ":1:1: message NetParameter has no field 'a'"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_what_must_run_is_refused(text, message):
    with pytest.raises((PrototxtError, GraphError)) as caught:
        protonet.Net(parse(text), TEST)
    assert str(caught.value).startswith("f.prototxt" + message)


def test_layers_of_another_phase_need_not_be_known():
    text = (
        INPUT + "layer { name: 'r' type: 'Zap' bottom: 'x' top: 'y' include { phase: TRAIN } z: 1 }"
    )
    protonet.Net(parse(text), TEST)
    with pytest.raises(PrototxtError, match="has no field 'z'"):
        protonet.Net(parse(text), TRAIN)


def test_solvers():
    source = parse_solver("net: 'n'\nbase_rl: 0.1\nnet_param { zip: 1 layer { name: 'a' } }", "s")
    assert "base_rl: 0.1" in write_text(source.message)
    with pytest.raises(
        PrototxtError, match=r"^s:2:1: .* no field 'base_rl'; did you mean 'base_lr"
    ):
        protonet.get_solver(source)


def test_upgraded_files_say_all_that_they_said():
    old = (
        "layers { name: 'c' type: ROI_POOLING top: 'y' roi_pooling_param { pooled_h: 7 } }\nodd: 1"
    )
    assert write_text(parse(old).message) == (
        'layer {\n  name: "c"\n  type: "ROIPooling"\n  top: "y"\n'
        "  roi_pooling_param {\n    pooled_h: 7\n  }\n}\nodd: 1\n"
    )


# --- spellings -------------------------------------------------------------------------------
@pytest.mark.parametrize(("mode", "size"), [("true", 3), ("false", 2)])
def test_ceil_mode(mode, size):
    pool = f"pooling_param {{ kernel_size: 2 stride: 2 ceil_mode: {mode} }}"
    net = protonet.Net(
        parse(INPUT + f"layer {{ name: 'p' type: 'Pooling' bottom: 'x' top: 'y' {pool} }}"), TEST
    )
    assert net.blobs["y"].shape == (2, 4, size, 3)


@pytest.mark.parametrize("type_name", ["DepthwiseConvolution", "ConvolutionDepthwise"])
@pytest.mark.parametrize("group", ["", "group: 4"])
def test_depthwise_convolution(type_name, group):
    param = "num_output: 8 kernel_size: 3 pad: 1 weight_filler { type: 'gaussian' std: 1 }"
    layer = "layer {{ name: 'c' type: '{}' bottom: 'x' top: 'y' convolution_param {{ {} }} }}"
    ours = protonet.Net(parse(INPUT + layer.format(type_name, f"{param} {group}")), TEST)
    theirs = protonet.Net(parse(INPUT + layer.format("Convolution", f"{param} group: 4")), TEST)
    values = np.random.default_rng(3).standard_normal((2, 4, 5, 6))
    for net in (ours, theirs):
        net.blobs["x"].data[...] = values
    ours.share_with(theirs)
    assert ours.params["c"][0].shape == (8, 1, 3, 3)
    np.testing.assert_array_equal(ours.forward()["y"], theirs.forward()["y"])


@pytest.mark.parametrize("top", ["x", "y"])
def test_relu6(top):
    text = (
        INPUT + f"layer {{ name: 'r' type: 'ReLU6' bottom: 'x' top: '{top}' }} force_backward: true"
    )
    net = protonet.Net(parse(text), TEST)
    x = 5 * np.random.default_rng(3).standard_normal((2, 4, 5, 6)).astype(np.float32)
    net.blobs["x"].data[...] = x
    np.testing.assert_array_equal(net.forward()[top], np.clip(x, 0, 6))
    net.blobs[top].diff[...] = 1
    net.backward()
    np.testing.assert_array_equal(net.blobs["x"].diff, (x > 0) & (x < 6))


# --- types of one's own ----------------------------------------------------------------------
class Amplify(Layer):
    in_place = True

    def setup(self, bottom, top):
        param = self.extra.amplify_param
        self.factor = param.factor * param.get("unit", 1)
        self.options = param

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom, top):
        np.multiply(bottom[0].data, self.factor, out=top[0].data)


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(REGISTRY, "Amplify", None)
    protonet.register("Amplify")(Amplify)


def amplify(inside, rest=""):
    layer = f"name: 'a' type: 'Amplify' bottom: 'x' top: 'y' amplify_param {{ {inside} }} {rest}"
    return protonet.Net(parse(INPUT + "layer {" + layer + "}"), TEST)


def test_a_registered_type(registered):
    inside = (
        "factor: 2.5f on: true off: false name: 'b' \"\\t'\" mode: FAST "
        "at: [1, 0x10, -017] a { b { c: 1 } }"
    )
    net = amplify(inside)
    net.blobs["x"].data[...] = 2
    assert (net.forward()["y"] == 5).all()
    options = net.layers[1].options
    assert (options.on, options.off, options.name, options.mode) == (True, False, "b\t'", "FAST")
    assert options.at == [1, 16, -17]
    assert options.a.b.c == 1
    assert list(options) == ["factor", "on", "off", "name", "mode", "at", "a"]
    with pytest.raises(AttributeError, match="no field 'nmae' is given; there are: factor, on"):
        _ = options.nmae


def test_a_registered_type_still_refuses_other_fields(registered):
    with pytest.raises(PrototxtError, match=r"layer 'a' \(Amplify\): .* no field 'botom'"):
        amplify("factor: 1", "botom: 'x'")


def test_options_survive_the_messages_of_protobuf(registered):
    source = parse(INPUT + "layer { type: 'Amplify' amplify_param { factor: 3 } }")
    message = pb.NetParameter()
    message.MergeFrom(source.message)
    assert extra.Fields.of(NetSource.of(message).message.layer[1]).amplify_param.factor == 3
    assert text_format.MessageToString(message)  # protobuf's own printer leaves them out


FALSE = [
    "",
    "{}",
    "[1]",
    "[" * 100_000,
    '["a", "1", 1, 2, "", "", 3, 4]',
    '["a", 1, 1, 2, "", "", 1]',
]
FALSE += ['["a", "1\\n", 1, 2, "", "", 1]', '["a b", "1", 1, 2, "", "", 1]', "\udcff"]
FALSE += ['["a", "1", 1, 2, "", "\\n", 1]', '["a", [["b"]], 1, 2, "", "", 1]']


@pytest.mark.parametrize("payload", FALSE, ids=range(len(FALSE)))
def test_what_others_put_in_that_place_of_a_binary_file(payload):
    data = payload.encode("utf-8", "surrogateescape")
    raw = extra._TAG + extra.encode_varint(len(data)) + data
    net = pb.NetParameter.FromString(raw + pb.NetParameter(name="n").SerializeToString())
    assert extra.extras(net) == []
    assert write_text(net) == 'name: "n"\n'
    varint = extra.encode_varint(extra.NUMBER << 3) + b"\x05"
    assert extra.extras(pb.NetParameter.FromString(varint)) == []


# --- weights ---------------------------------------------------------------------------------
def fork_bytes(number, content):
    """A net whose layer has something of its own at a field number of Caffe's."""
    layer = pb.LayerParameter(
        name="c", type="Fork", blobs=[{"data": [1, 2, 3], "shape": {"dim": [3]}}]
    )
    raw = layer.SerializeToString() + bytes([number << 3 & 127 | 2 | 128, number >> 4]) + content
    return pb.NetParameter(name="n").SerializeToString() + b"\xa2\x06" + bytes([len(raw)]) + raw


@pytest.mark.parametrize("content", [b"\x03\x0a\x7f\x01", b"\x02\xff\xff"])
def test_weights_by_structure(content):
    number = pb.LayerParameter.CONVOLUTION_PARAM_FIELD_NUMBER
    net = parse_weights(fork_bytes(number, content))
    assert (net.layer[0].name, list(net.layer[0].blobs[0].data)) == ("c", [1, 2, 3])


def test_weights_of_layers_with_one_name(tmp_path):
    ip = "layer {{ name: 'ip' type: 'InnerProduct' bottom: '{}' top: '{}' {} }}\n"
    param = "inner_product_param {{ num_output: {} weight_filler {{ type: 'xavier' }} }}"
    text = INPUT + ip.format("x", "y", param.format(7)) + ip.format("y", "z", param.format(3))
    net = protonet.Net(parse(text), TEST)
    net.save(tmp_path / "w.caffemodel")
    other = protonet.Net(parse(text), TEST, weights=tmp_path / "w.caffemodel")
    for one, two in zip(net.layers, other.layers, strict=True):
        for a, b in zip(one.blobs, two.blobs, strict=True):
            np.testing.assert_array_equal(a.data, b.data)
    assert [layer.blobs[0].shape for layer in net.layers[1:]] == [(7, 120), (3, 7)]
