"""debug_info: Caffe's lines for every blob and parameter, of nets by themselves too."""

import logging

import numpy as np
import pytest

import protonet
from protonet.layer import TRAIN
from protonet.schema.read import parse_net, parse_solver
from protonet.watch.reporter import Reporter

NET = """
layer { name: "x" type: "DummyData" top: "x" dummy_data_param { shape { dim: 2 dim: 3 }
  data_filler { value: -4 } } }
layer { name: "a" type: "InnerProduct" bottom: "x" top: "a" param { name: "w" }
  inner_product_param { num_output: 3 bias_term: false
  weight_filler { type: "constant" value: 1 } } }
layer { name: "b" type: "InnerProduct" bottom: "a" top: "b" param { name: "w" }
  inner_product_param { num_output: 3 bias_term: false } }
layer { name: "p" type: "PReLU" bottom: "b" top: "b" param { lr_mult: 0 } }
layer { name: "loss" type: "EuclideanLoss" bottom: "b" bottom: "x" }
"""

FORWARD = [
    "[Forward] Layer x, top blob x data: 4",
    "[Forward] Layer x_x_0_split, top blob x_x_0_split_0 data: 4",
    "[Forward] Layer x_x_0_split, top blob x_x_0_split_1 data: 4",
    "[Forward] Layer a, top blob a data: 12",
    "[Forward] Layer a, param blob w data: 1",
    "[Forward] Layer b, top blob b data: 36",
    "[Forward] Layer b, param blob w data: 1",
    "[Forward] Layer p, top blob b data: 9",
    "[Forward] Layer p, param blob 0 data: 0.25",
    "[Forward] Layer loss, top blob (automatic) data: 37.5",
]
# d loss / d b = (b - x) / 2 = -2.5; through the slope 0.25, -0.625
BACKWARD = [
    "[Backward] Layer loss, bottom blob b diff: 2.5",
    "[Backward] Layer p, bottom blob b diff: 0.625",
    "[Backward] Layer b, bottom blob a diff: 1.875",
    "[Backward] Layer b, param blob 0 diff: 15",
    "[Backward] Layer a, param blob 0 diff: 30",
]
NORMS = "[Backward] All net params (data, diff): L1 norm = (9.75, 270); L2 norm = (3.03109, 90)"


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "protonet")

    def taken():
        found = [m.strip() for m in caplog.messages if m.startswith("    [")]
        caplog.clear()
        return found

    return taken


def test_a_net_by_itself(lines):
    net = protonet.Net(parse_net("debug_info: true\n" + NET), TRAIN)
    net.forward()
    assert lines() == FORWARD
    net.run_backward()
    assert lines() == [*BACKWARD, NORMS]
    np.testing.assert_array_equal(net.params["b"][0].diff, np.full((3, 3), 30))


def test_silent_by_default(lines):
    net = protonet.Net(parse_net(NET), TRAIN)
    net.forward()
    net.backward()
    assert lines() == []


class Told(Reporter):
    def __init__(self):
        self.lines = []

    def debug_info(self, line):
        self.lines.append(line.strip())


@pytest.mark.parametrize("net_says", [True, False])
def test_a_solver(lines, net_says):
    """The net's own wish holds in every iteration, the solver's where it displays."""
    net = ("debug_info: true " if net_says else "") + NET
    wish = "" if net_says else "debug_info: true"
    told = Told()
    solver = protonet.get_solver(
        parse_solver(
            f'base_lr: 0.5 lr_policy: "fixed" display: 2 snapshot_after_train: false {wish} '
            f"net_param {{ {net} }}"
        ),
        reporter=told,
    )
    solver.step(2)
    count = len(FORWARD) + len(BACKWARD) + 1
    updates = ["[Update] Layer a, param w data: 1; diff: 15"]
    updates.append("[Update] Layer p, param 0 data: 0.25; diff: 0")
    assert told.lines[: count + 2] == [*FORWARD, *BACKWARD, NORMS, *updates]
    assert len(told.lines) == (count + 2) * (2 if net_says else 1)
    assert lines() == []
