"""report.html, its charts, and the search for misclassified records."""

import math
import re

import numpy as np
import pytest

import protonet
from protonet.schema.read import parse_net
from protonet.watch.chart import Series, chart, log_ticks, nice_ticks
from protonet.watch.history import History
from protonet.watch.mistakes import find_mistakes, picture
from protonet.watch.report import curves


@pytest.mark.parametrize(
    "low, high, ticks",
    [
        (0, 300, [0, 50, 100, 150, 200, 250, 300]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-1.5, 1, [-1.5, -1, -0.5, 0, 0.5, 1]),
    ],
)
def test_ticks(low, high, ticks):
    assert nice_ticks(low, high, 6 if high == 300 else 5) == pytest.approx(ticks)


def test_ticks_of_a_logarithmic_scale():
    assert log_ticks(-0.1, 1.01) == pytest.approx([1, 2, 5, 10])
    assert log_ticks(-3.2, 0.1) == pytest.approx([1e-3, 1e-2, 1e-1, 1])


def test_a_chart():
    svg = chart("a < b", [Series("one", [0, 10], [1.0, math.nan], 0), Series("", [5], [3.0], 1)])
    assert "a &lt; b" in svg
    assert svg.count("<polyline") == 2
    assert "nan" not in svg
    assert chart("none", [Series("x", [1], [math.nan], 0)]) == ""
    assert chart("no logarithm", [Series("x", [1], [0.0], 0)], log=True) == ""
    flat = chart("flat", [Series("x", [0, 1], [2.0, 2.0], 0)])
    heights = re.search(r'points="([^"]+)"', flat)[1].split()
    assert heights[0].split(",")[1] == heights[1].split(",")[1]


def test_curves_of_a_log_without_heads():
    history = History("x", train=[{"iter": 0, "lr": None, "loss": 2.0, "outputs": {}}])
    assert len(curves(history)) == 1


NET = """
layer { name: "d" type: "Input" top: "data" input_param { shape { dim: 3 dim: 1 dim: 4 dim: 5 } } }
layer { name: "l" type: "Input" top: "label" input_param { shape { dim: 3 } } }
layer { name: "s" type: "Reduction" bottom: "data" top: "s" reduction_param { axis: 2 } }
layer { name: "ip" type: "InnerProduct" bottom: "s" top: "ip" 
  inner_product_param { num_output: 7 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
layer { name: "acc" type: "Accuracy" bottom: "ip" bottom: "label" top: "acc" }
"""


def test_mistakes(monkeypatch):
    net = protonet.Net(parse_net(NET), protonet.TEST)
    monkeypatch.setattr(type(net.layers[0]), "is_data", True)
    net.params["ip"][1].data[2] = 1.0
    net.blobs["label"].data[...] = (2, 0, 6)
    net.blobs["data"].data[1, 0, 2, 3] = 8.0
    found = find_mistakes(net, 4, examples=3)
    assert (found.scored, found.records, found.wrong) == ("ip", 12, 8)
    assert found.confusions == {(0, 2): 4, (6, 2): 4}
    assert [(m.label, m.guess) for m in found.examples] == [(0, 2), (6, 2), (0, 2)]
    assert found.examples[0].image[2, 3] == 255
    assert found.examples[0].image.sum() == 255


def test_a_net_that_does_not_classify_images_has_none():
    text = NET[: NET.index('layer { name: "s"')]
    assert find_mistakes(protonet.Net(parse_net(text), protonet.TEST), 1) is None


def test_colours_are_turned_from_caffes_order():
    values = np.zeros((3, 2, 4), np.float32)
    values[0] = 1  # blue
    assert picture(values)[0, 0].tolist() == [0, 0, 255]
