"""Plan to diagram: what is folded, what is connected, what counts as deep supervision."""

import pytest
from places import MODELS

from protonet.diagram.drawing import draw
from protonet.diagram.model import unread_tops
from protonet.layer import TEST, TRAIN
from protonet.net import Net

from .make import diagram, lines, node
from .nets import NETS, Writer

DATA = (
    'layer { name: "d" type: "DummyData" top: "x" top: "label" dummy_data_param { '
    "shape { dim: 2 dim: 3 } shape { dim: 2 } } }\n"
)


def ip(name, bottom, rest=""):
    return (
        f'layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}" {rest} '
        "inner_product_param { num_output: 4 } }\n"
    )


def one(type_name, name, bottoms, tops, rest=""):
    ends = "".join(f' bottom: "{b}"' for b in bottoms.split())
    ends += "".join(f' top: "{t}"' for t in tops.split())
    return f'layer {{ name: "{name}" type: "{type_name}"{ends} {rest} }}\n'


def test_in_place_layers_fold_into_their_producer():
    built = diagram(
        DATA
        + ip("a", "x")
        + one("BatchNorm", "bn", "a", "a")
        + one("Scale", "sc", "a", "a", "scale_param { bias_term: true }")
        + one("ReLU", "r", "a", "a")
        + ip("b", "a")
    )
    assert [n.name for n in built.nodes] == ["d", "a", "b"]
    assert [f.facts.name for f in node(built, "a").folded] == ["bn", "sc", "r"]
    assert node(built, "a").parameters == 4 * 3 + 4 + sum(
        f.facts.parameters for f in node(built, "a").folded
    )
    assert lines(built) == [("d", "a", "x"), ("a", "b", "a")]


def test_in_place_layer_whose_bottom_others_read_stands_alone():
    built = diagram(DATA + ip("a", "x") + ip("b", "a") + one("ReLU", "r", "a", "a") + ip("c", "a"))
    assert [n.name for n in built.nodes] == ["d", "a", "b", "r", "c"]
    assert lines(built)[-2:] == [("a", "r", "a"), ("r", "c", "a")]


def test_splits_become_edges_and_keep_loss_weights():
    built = diagram(DATA + ip("a", "x", "loss_weight: 0.5") + ip("b", "a") + ip("c", "a"))
    assert [n.name for n in built.nodes] == ["d", "a", "b", "c"]
    assert lines(built)[1:] == [("a", "b", "a"), ("a", "c", "a")]
    assert node(built, "a").loss_weight == 0.5


def test_gradients_stop_where_no_parameter_is_below():
    built = diagram(
        DATA
        + one("Power", "p", "x", "p")
        + ip("a", "p")
        + one("SoftmaxWithLoss", "l", "a label", "l")
    )
    assert [edge.gradient for edge in built.edges] == [False, False, True, False]


def test_names_may_repeat():
    built = diagram(DATA + ip("a", "x") + one("ReLU", "a", "a", "y") + one("ReLU", "a", "y", "z"))
    assert [n.key for n in built.nodes] == ["d", "a", "a#2", "a#3"]
    assert unread_tops(built, 3) == [0]
    assert unread_tops(built, 0) == [1]


def test_unknown_layers_keep_their_place():
    built = diagram(NETS["fork"]())
    assert node(built, "attend").kind == "unknown"
    assert node(built, "attend").facts.tops == (("attend", None),)
    assert node(built, "fc").facts.trouble == "the shape of its bottom 'attend' is not known"
    assert all(edge.gradient for edge in built.edges if edge.blob in ("conv1", "attend", "fc"))
    assert any("unknown layer type 'SpatialPyramidAttention'" in note for note in built.notes)


def test_blobs_that_no_layer_makes():
    built = diagram(ip("a", "x") + one("ReLU", "r", "a", "a") + ip("b", "x") + ip("c", "a"))
    assert lines(built) == [("x", "a", "x"), ("x", "b", "x"), ("a", "c", "a")]
    missing = node(built, "x")
    assert (missing.facts.type, missing.kind) == ("produced by no layer", "unknown")
    assert [f.facts.name for f in node(built, "a").folded] == ["r"]
    assert built.notes[0] == (
        "net.prototxt:1: layer 'a' (InnerProduct): bottom 'x' is not produced by any layer above"
    )


def test_python_layer_that_raises_is_drawn(tmp_path, monkeypatch):
    (tmp_path / "broken_layer.py").write_text(
        "from protonet import Layer\n"
        "class Broken(Layer):\n"
        "    def setup(self, bottom, top):\n"
        "        raise RuntimeError('no luck')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    text = DATA + one(
        "Python", "p", "x", "p", 'python_param { module: "broken_layer" layer: "Broken" }'
    )
    built = diagram(text)
    assert "no luck" in node(built, "p").facts.trouble
    assert node(built, "p").settings == ("broken_layer.Broken",)


# --- deep supervision -------------------------------------------------------------------------
def sides(built):
    return [n.name for n in built.nodes if n.side]


def test_side_branch_of_the_deeply_supervised_lenet():
    built = draw(MODELS / "lenet_dsn.prototxt").diagram
    assert sides(built) == ["ip1_side", "l1"]
    assert [(e.blob, built.nodes[e.target].name) for e in built.edges if e.side] == [
        ("pool1", "ip1_side"),
        ("ip1_side", "l1"),
    ]


def test_side_branches_of_googlenet():
    built = diagram(NETS["googlenet"]())
    assert {name.split("/")[0] for name in sides(built)} == {"loss1", "loss2"}
    assert node(built, "loss1/loss").loss_weight == pytest.approx(0.3)


def test_heads_side_by_side_are_no_side_branches():
    heads = Writer("heads")
    x = heads.conv("conv", heads.data((2, 3, 17, 17)), 5, 3)
    heads.loss("class", heads.ip("a", x, 4))
    heads.loss("box", heads.ip("b", x, 6))
    assert sides(diagram(heads.text())) == []


def test_diagram_of_a_net_is_that_of_its_file():
    net = Net(MODELS / "lenet_dsn.prototxt", TRAIN)
    of_net, of_file = draw(net), draw(MODELS / "lenet_dsn.prototxt", phase=TRAIN)
    assert of_net.render("svg") == of_file.render("svg")
    assert net._repr_svg_().startswith("<svg ")
    net.close()


def test_phase():
    text = DATA + ip("a", "x") + one("Accuracy", "acc", "a label", "acc", "include { phase: TEST }")
    assert "acc" not in [n.name for n in diagram(text, TRAIN).nodes]
    assert node(diagram(text, TEST), "acc").kind == "measure"
