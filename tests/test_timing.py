"""Timing: whose work counts, what stands in for missing sources, shapes from outside."""

import numpy as np
import pytest

from protonet.errors import DataError
from protonet.layer import TEST, TRAIN
from protonet.schema.read import parse_net
from protonet.timing import Pass, net_to_time, time_net

GONE = """
layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  data_param { source: "gone" batch_size: 4 } transform_param { crop_size: 9 } }
layer { name: "d" type: "Input" top: "data" top: "label" include { phase: TEST }
  input_param { shape { dim: 2 dim: 3 dim: 9 dim: 8 } shape { dim: 2 } } }
layer { name: "c" type: "Convolution" bottom: "data" top: "c"
  convolution_param { num_output: 5 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
layer { name: "ip" type: "InnerProduct" bottom: "c" top: "ip"
  param { lr_mult: 0 } param { lr_mult: 1 } inner_product_param { num_output: 6 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
layer { name: "acc" type: "Accuracy" bottom: "ip" bottom: "label" top: "acc" }
"""


def by_name(timing):
    return {layer.name: layer for layer in timing.layers}


def test_random_values_stand_in_for_a_source():
    timed = net_to_time(parse_net(GONE, "n.prototxt"), TRAIN)
    net = timed.net
    assert net.blobs["data"].shape == (4, 3, 9, 9)
    assert 0.5 < net.blobs["data"].data.std() < 2
    np.testing.assert_array_equal(net.blobs["label"].data, np.zeros(4))
    assert len(timed.notes) == 1
    assert timed.notes[0].startswith("n.prototxt:2: layer 'd' (Data): source 'gone' does not exist")
    assert timed.notes[0].endswith("; assumed data of shape (4, 3, 9, 9)")


def test_work_of_each_layer():
    net = net_to_time(parse_net(GONE), TRAIN).net
    ticks = []
    timing = time_net(net, 3, lambda: ticks.append(1))
    assert len(ticks) == 4
    layers = by_name(timing)
    conv, ip = 4 * 5 * 7 * 7 * 3 * 3 * 3, 4 * 6 * 5 * 7 * 7
    assert layers["c"].forward.multiply_adds == conv
    # no gradient flows into the data, and none into the frozen weights
    assert layers["c"].backward.multiply_adds == conv
    assert layers["ip"].backward.multiply_adds == ip
    assert layers["acc"].backward is None
    assert timing.forward.multiply_adds == conv + ip
    assert timing.backward.multiply_adds == conv + ip
    assert sum(layer.share for layer in timing.layers) == pytest.approx(1)
    for layer in timing.layers:
        assert 0 < layer.forward.least <= layer.forward.mean
    assert timing.forward.mean == pytest.approx(sum(la.forward.mean for la in timing.layers))
    assert timing.seconds >= 3 * (timing.forward.least + timing.backward.least)


def test_inputs_and_shapes_from_outside():
    net = net_to_time(parse_net(GONE), TEST).net
    assert net.blobs["data"].shape == (2, 3, 9, 8)
    assert net.blobs["data"].data.any()
    assert not net.blobs["label"].data.any()
    shapes = {"data": (7, 3, 6, 5), "label": (7,)}
    for phase in (TRAIN, TEST):
        timed = net_to_time(parse_net(GONE), phase, shapes=shapes)
        assert timed.net.blobs["c"].shape == (7, 5, 4, 3)
        assert not timed.notes


def test_a_source_of_unknown_shape():
    text = GONE.replace("transform_param { crop_size: 9 }", "")
    with pytest.raises(DataError, match="source 'gone' does not exist"):
        net_to_time(parse_net(text), TRAIN)


def test_speed():
    assert Pass(0.5, 0.25, 10**9).gflops == 4
    assert Pass(0.0, 0.0, 10).gflops == 0
