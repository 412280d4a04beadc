"""Means over batches, whole passes, and stopping in between."""

import numpy as np
import pytest

import protonet
from protonet.graph import build_graph
from protonet.layer import TEST, TRAIN
from protonet.schema.read import parse_net
from protonet.scoring import WholePass, net_to_score, score

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


TRAIN_ONLY = """
layer { name: "d" type: "Data" top: "x" top: "label" include { phase: TRAIN }
  data_param { source: "mnist_train_lmdb" batch_size: 64 rand_skip: 7 } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
  inner_product_param { num_output: 10 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


def test_the_net_that_scores(tmp_path):
    path = tmp_path / "n.prototxt"
    path.write_text(TRAIN_ONLY)
    derived = net_to_score(path)
    assert "no TEST part: testing on the 10,000 records" in derived.note
    graph = build_graph(derived.source, TEST)
    assert [la.name for la in graph.layers if not la.inserted] == [
        *("d", "ip", "loss", "loss_accuracy")
    ]
    data = graph.layers[0].param.data_param
    assert (data.source, data.batch_size, data.rand_skip) == ("mnist_test_lmdb", 100, 0)
    as_it_is = net_to_score(path, TRAIN)
    assert (as_it_is.note, len(as_it_is.source.message.layer)) == ("", 3)
    path.write_text(TRAIN_ONLY.replace("mnist_train", "digits"))
    assert "taken as it is" in net_to_score(path).note
