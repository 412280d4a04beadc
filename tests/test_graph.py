"""build_graph: which layers take part, how names resolve, where Splits go."""

import pytest

from protonet.errors import GraphError
from protonet.graph import BlobRef, build_graph
from protonet.layer import TEST, TRAIN
from protonet.schema.read import parse_net

DATA = 'layer { name: "data" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }\n'


def graph(text, phase=TEST, **state):
    return build_graph(parse_net(text, "net.prototxt"), phase, **state)


def layer(name, bottom, top, rest="", type_name="ReLU"):
    ends = "".join(f' bottom: "{b}"' for b in bottom.split())
    ends += "".join(f' top: "{t}"' for t in top.split())
    return f'layer {{ name: "{name}" type: "{type_name}"{ends} {rest} }}\n'


RULES = [  # id, rules of the layer, state, whether it takes part
    ("no rule", "", {}, True),
    ("phase", "include { phase: TEST }", {}, True),
    ("other phase", "include { phase: TRAIN }", {}, False),
    ("any include", "include { phase: TRAIN } include { phase: TEST }", {}, True),
    ("exclude", "exclude { phase: TEST }", {}, False),
    ("exclude other", "exclude { phase: TRAIN }", {}, True),
    ("level too low", "include { min_level: 2 }", {"level": 1}, False),
    ("level", "include { min_level: 2 }", {"level": 2}, True),
    ("level too high", "include { max_level: 2 }", {"level": 3}, False),
    ("no stage", "include { stage: 'deploy' }", {}, False),
    ("stage", "include { stage: 'deploy' }", {"stages": ["deploy", "b"]}, True),
    ("all stages", "include { stage: 'a' stage: 'b' }", {"stages": ["a"]}, False),
    ("not_stage", "include { not_stage: 'deploy' }", {"stages": ["deploy"]}, False),
    ("not_stage absent", "include { not_stage: 'deploy' }", {}, True),
    ("phase and stage", "include { phase: TEST stage: 'a' }", {"stages": ["b"]}, False),
]


@pytest.mark.parametrize("rules, state, kept", [c[1:] for c in RULES], ids=[c[0] for c in RULES])
def test_rules(rules, state, kept):
    built = graph(DATA + layer("r", "x", "y", rules), **state)
    assert [la.name for la in built.layers] == ["data", "r"][: 1 + kept]


def test_state_of_the_file():
    text = "state { phase: TRAIN level: 3 stage: 'a' }\n" + DATA
    text += layer("r", "x", "y", "include { phase: TRAIN min_level: 3 stage: 'a' stage: 'b' }")
    built = build_graph(parse_net(text), stages=["b"])
    assert built.phase == TRAIN
    assert [la.name for la in built.layers] == ["data", "r"]


def test_in_place_makes_versions():
    built = graph(DATA + layer("a", "x", "x") + layer("b", "x", "x") + layer("c", "x", "y"))
    assert [la.tops[0] for la in built.layers] == [
        BlobRef("x"),
        BlobRef("x", 1),
        BlobRef("x", 2),
        BlobRef("y"),
    ]
    assert built.layers[3].bottoms == (BlobRef("x", 2),)
    assert not any(la.inserted for la in built.layers)
    assert built.inputs == ["x"]
    assert built.outputs == ["y"]


def test_split_after_the_blob_that_two_read():
    built = graph(DATA + layer("a", "x", "h") + layer("b", "h", "p") + layer("c", "h", "q"))
    split = built.layers[2]
    assert (split.name, split.type, split.inserted) == ("h_a_0_split", "Split", True)
    assert [t.name for t in split.tops] == ["h_a_0_split_0", "h_a_0_split_1"]
    assert [la.bottoms[0].name for la in built.layers[3:]] == ["h_a_0_split_0", "h_a_0_split_1"]
    assert built.outputs == ["p", "q"]


def test_split_of_a_version():
    built = graph(
        DATA + layer("a", "x", "h") + layer("r", "h", "h") + layer("e", "h h", "y", "", "Eltwise")
    )
    assert built.layers[3].name == "h_r_0_split"
    assert built.layers[3].bottoms == (BlobRef("h", 1),)


def test_loss_weight_counts_as_a_reader():
    built = graph(DATA + layer("a", "x", "h", "loss_weight: 0.5") + layer("b", "h", "y"))
    made, split, reader = built.layers[1:]
    assert not made.param.loss_weight
    assert list(split.param.loss_weight) == [0.5, 0]
    assert reader.bottoms[0].name == "h_a_0_split_1"
    assert built.outputs == ["h_a_0_split_0", "y"]


def test_source_is_not_changed():
    source = parse_net(DATA + layer("a", "x", "h", "loss_weight: 1") + layer("b", "h", "y"))
    before = source.message.SerializeToString()
    build_graph(source, TEST)
    assert source.message.SerializeToString() == before


ERRORS = [
    (
        "unknown bottom",
        layer("a", "x", "pool3") + layer("b", "pool9", "y"),
        "net.prototxt:3: layer 'b' (ReLU): bottom 'pool9' is not produced by any layer above; "
        "did you mean 'pool3'?",
    ),
    (
        "bottom from below",
        layer("a", "later", "y") + layer("b", "x", "later"),
        "net.prototxt:2: layer 'a' (ReLU): bottom 'later' is not produced by any layer above; "
        "layer 'b' below produces it",
    ),
    (
        "cycle",
        layer("a", "x back", "y", "", "Eltwise") + layer("b", "y", "z") + layer("c", "z", "back"),
        "net.prototxt:2: layer 'a' (Eltwise): bottom 'back' is not produced by any layer above; "
        "layer 'c' below produces it, from what this layer makes: the net has a cycle",
    ),
    (
        "top made twice",
        layer("a", "x", "y") + layer("b", "x", "y"),
        "net.prototxt:3: layer 'b' (ReLU): top 'y' is already produced by layer 'a'; only an "
        "in-place layer, which has it as the bottom at the same place, may write it again",
    ),
    (
        "include and exclude",
        layer("a", "x", "y", "include { phase: TEST } exclude { phase: TRAIN }"),
        "net.prototxt:2: layer 'a' (ReLU): expected include or exclude rules, got both",
    ),
    (
        "propagate_down",
        layer("a", "x", "y", "propagate_down: true propagate_down: false"),
        "net.prototxt:2: layer 'a' (ReLU): expected propagate_down for none or all of its 1 "
        "bottoms, got 2",
    ),
]


@pytest.mark.parametrize("text, message", [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS])
def test_errors(text, message):
    with pytest.raises(GraphError) as caught:
        graph(DATA + text)
    assert str(caught.value) == message
