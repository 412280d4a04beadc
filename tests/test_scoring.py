"""Means over batches, whole passes, and stopping in between."""

import numpy as np
import pytest

import protonet
from protonet.schema.read import parse_net
from protonet.scoring import WholePass, score

TEXT = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "half" type: "Power" bottom: "x" top: "half" power_param { scale: 0.5 } }
layer { name: "sum" type: "Reduction" bottom: "x" top: "sum" loss_weight: 4 }
"""


@pytest.fixture
def net():
    net = protonet.Net(parse_net(TEXT), protonet.TEST)
    net.blobs["x"].data[...] = np.arange(6).reshape(2, 3)
    return net


def test_means_of_every_value(net):
    def change(index, outputs):
        assert [name for name, _, _ in outputs] == ["half"] * 6 + ["sum"]
        net.blobs["x"].data[...] += 1

    scores = score(net, 3, change)
    assert scores.batches == 3
    assert scores.by_name() == {"half": [0.5, 1, 1.5, 2, 2.5, 3], "sum": [21]}
    assert scores.outputs[-1] == ("sum", 21, 4)
    assert scores.loss == 84


def test_stopping(net):
    done = []
    assert score(net, 5, lambda i, _: done.append(i), lambda: len(done) == 2) is None
    assert done == [0, 1]


def test_whole_pass():
    assert (WholePass(10, 4).batches, WholePass(10, 4).repeated) == (3, 2)
    assert (WholePass(8, 4).batches, WholePass(8, 4).repeated) == (2, 0)
