"""Repeated blocks are drawn once: which count as alike, and what becomes of the lines."""

import pytest

from protonet.diagram.fold import fold_repeats

from .make import diagram, lines
from .nets import NETS, Writer, resnet


def panels(built):
    return [(p.count, p.names, [built.nodes[i].name for i in p.nodes]) for p in built.panels]


@pytest.mark.parametrize(
    "depths, counts", [((3, 4, 6, 3), [2, 3, 5, 2]), ((3, 8, 36, 3), [2, 7, 35, 2])]
)
def test_resnet(depths, counts):
    whole = diagram(resnet(depths))
    folded = fold_repeats(whole)
    assert [panel.count for panel in folded.panels] == counts
    hidden = sum((panel.count - 1) * len(panel.nodes) for panel in folded.panels)
    assert len(folded.nodes) + hidden == len(whole.nodes)
    assert folded.parameters == whole.parameters
    assert len(whole.panels) == 0, "the diagram that was given is left as it was"


def test_lines_go_on_from_the_block_that_stands_for_the_rest():
    folded = fold_repeats(diagram(resnet((3, 1, 1, 1))))
    assert panels(folded)[0] == (
        2,
        ("res2b", "res2c"),
        ["res2b_branch2a", "res2b_branch2b", "res2b_branch2c", "res2b"],
    )
    assert ("res2b", "res3a_branch1", "res2c") in lines(folded)


def chain(widths):
    net = Writer("chain")
    x = net.data((2, 3, 21, 23))
    for i, width in enumerate(widths):
        x = net.conv(f"c{i}", x, width, 3, "pad: 1")
    net.loss("loss", net.ip("fc", x, 5))
    return diagram(net.text())


def test_chain_of_alike_layers():
    assert panels(fold_repeats(chain([4, 4, 4, 4]))) == [(3, ("c1", "c3"), ["c1"])]


def test_pairs():
    assert panels(fold_repeats(chain([4, 6, 4, 6, 4, 6]))) == [(2, ("c2", "c4"), ["c1", "c2"])]


def test_what_would_hide_a_single_layer_stays():
    assert fold_repeats(chain([4, 4, 4])).panels == []


@pytest.mark.parametrize("name", ["googlenet", "fcn", "alexnet", "lstm"])
def test_nets_without_repeats_stay(name):
    built = diagram(NETS[name]())
    assert fold_repeats(built) is built
