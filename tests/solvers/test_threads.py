"""Training gives the same bits on any number of threads, and from run to run."""

from __future__ import annotations

from typing import Any

import numpy as np

from protonet.kernels import threads
from protonet.schema.read import parse_solver
from protonet.solvers import get_solver

SOLVER = """
base_lr: 0.05 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.001 random_seed: 7
train_net_param {
  layer { name: "d" type: "DummyData" top: "x" top: "t" dummy_data_param {
    data_filler { type: "gaussian" } data_filler { type: "constant" value: 3 }
    shape { dim: 37 dim: 3 dim: 28 dim: 26 } shape { dim: 37 } } }
  layer { name: "conv1" type: "Convolution" bottom: "x" top: "c1" convolution_param {
    num_output: 20 kernel_size: 5 weight_filler { type: "xavier" } } }
  layer { name: "pool1" type: "Pooling" bottom: "c1" top: "p1" pooling_param {
    kernel_size: 2 stride: 2 } }
  layer { name: "side" type: "InnerProduct" bottom: "p1" top: "side" inner_product_param {
    num_output: 10 weight_filler { type: "xavier" } } }
  layer { name: "l1" type: "SoftmaxWithLoss" bottom: "side" bottom: "t" top: "l1" }
  layer { name: "conv2" type: "Convolution" bottom: "p1" top: "c2" convolution_param {
    num_output: 50 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }
  layer { name: "norm" type: "BatchNorm" bottom: "c2" top: "n2" }
  layer { name: "relu" type: "ReLU" bottom: "n2" top: "n2" }
  layer { name: "drop" type: "Dropout" bottom: "n2" top: "n2" }
  layer { name: "pool2" type: "Pooling" bottom: "n2" top: "p2" pooling_param {
    pool: AVE kernel_size: 3 stride: 2 } }
  layer { name: "ip" type: "InnerProduct" bottom: "p2" top: "ip" inner_product_param {
    num_output: 300 weight_filler { type: "xavier" } } }
  layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "t" top: "loss" }
}
"""


def trained() -> list[Any]:
    solver = get_solver(parse_solver(SOLVER))
    solver.step(3)
    return [solver.net.param_data.copy(), np.array(list(solver.losses), np.float32)]


def test_training_gives_the_same_bits() -> None:
    before = threads.count()
    try:
        results = []
        for count in (1, 2, 2, 3, 5):
            threads.set_count(count)
            results.append(trained())
    finally:
        threads.set_count(before)
    assert np.isfinite(results[0][1]).all() and np.ptp(results[0][0]) > 0
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)
