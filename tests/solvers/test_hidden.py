"""Passes that nobody watches leave blobs out; whoever looks finds them as if they had not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from protonet.errors import NotFiniteError
from protonet.random import set_random_seed
from protonet.schema.read import parse_solver
from protonet.solvers import get_solver
from protonet.watch.reporter import Reporter

SIDE = """
  layer { name: "side" type: "InnerProduct" bottom: "p1" top: "side" inner_product_param {
    num_output: 10 weight_filler { type: "xavier" } } }
  layer { name: "l1" type: "SoftmaxWithLoss" bottom: "side" bottom: "t" top: "l1" }
"""
SOLVER = """
base_lr: 0.05 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.001 random_seed: 7 %(more)s
train_net_param {
  layer { name: "d" type: "DummyData" top: "x" top: "t" dummy_data_param {
    data_filler { type: "gaussian" } data_filler { type: "constant" value: 3 }
    shape { dim: 20 dim: 2 dim: %(size)d dim: 18 } shape { dim: 20 } } }
  layer { name: "conv1" type: "Convolution" bottom: "x" top: "c1" convolution_param {
    num_output: 12 kernel_size: 3 weight_filler { type: "xavier" } } }
  layer { name: "pool1" type: "Pooling" bottom: "c1" top: "p1" pooling_param {
    kernel_size: 2 stride: 2 } }
  %(side)s
  layer { name: "conv2" type: "Convolution" bottom: "p1" top: "c2" convolution_param {
    num_output: 10 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }
  layer { name: "pool2" type: "Pooling" bottom: "c2" top: "p2" pooling_param {
    kernel_size: 2 stride: 2 } }
  layer { name: "ip" type: "InnerProduct" bottom: "p2" top: "ip" inner_product_param {
    num_output: 10 weight_filler { type: "xavier" } } }
  layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "t" top: "loss" }
}
"""


def solver(side: bool = False, size: int = 18, more: str = "", reporter: Any = None) -> Any:
    text = SOLVER % {"side": SIDE if side else "", "size": size, "more": more}
    made = get_solver(parse_solver(text), reporter=reporter)
    made.step(1)  # the first iteration always writes everything: it compiles
    return made


def step_by_step(made: Any, count: int) -> Any:
    for _ in range(count):
        made.step(1)
    return made


def spoil(made: Any) -> None:
    """Write into the blobs that may be left out what cannot come from a pass."""
    for name in ("c1", "c2"):
        made.net.blobs[name].data[...] = made.net.blobs[name].diff[...] = 1234.0


def assert_same(one: Any, other: Any) -> None:
    assert one.iter == other.iter
    assert list(one.losses)[-1:] == list(other.losses)[-1:]
    pairs: list[tuple[str, Any, Any]] = [
        (name, blob, other.net.blobs[name]) for name, blob in one.net.blobs.items()
    ]
    for layer, blobs in one.net.params.items():
        pairs += [(layer, *both) for both in zip(blobs, other.net.params[layer], strict=True)]
    for name, a, b in pairs:
        np.testing.assert_array_equal(a.data, b.data, err_msg=name)
        np.testing.assert_array_equal(a.diff, b.diff, err_msg=f"gradient of {name}")


@pytest.mark.parametrize("side", [False, True])
@pytest.mark.parametrize("size", [18, 17])  # with 17 rows windows of pool1 are cut
@pytest.mark.parametrize("more", ["", "iter_size: 2", "type: 'Adam' clip_gradients: 0.5"])
def test_many_iterations_at_once_are_as_one_by_one(side: bool, size: int, more: str) -> None:
    at_once = solver(side, size, more)
    at_once.step(6)
    assert_same(at_once, step_by_step(solver(side, size, more), 6))


def test_blobs_are_left_out_at_all() -> None:
    """Else the tests here test nothing."""
    seen: list[bool] = []

    class Peeks(Reporter):
        def reads_only_outputs(self) -> bool:
            return True

        def iteration(self, solver: Any) -> None:
            seen.append(bool((solver.net.blobs["c1"].values == 1234.0).all()))
            spoil(solver)

    made = solver(reporter=Peeks())
    made.step(3)
    assert seen[1:] == [True, True, False]


def test_a_stop_leaves_nothing_out() -> None:
    """The parameters have changed since the pass: blobs are those of the parameters before."""

    class Stops(Reporter):
        def reads_only_outputs(self) -> bool:
            return True

        def iteration(self, solver: Any) -> None:
            if solver.iter == 4:
                spoil(solver)
                solver.request_stop()

    stopped = solver(side=True, reporter=Stops())
    stopped.step(10)
    assert_same(stopped, step_by_step(solver(side=True), 3))


def test_an_error_leaves_nothing_out() -> None:
    made = solver()

    def fail() -> None:
        if made.iter == 3:
            spoil(made)
            raise KeyboardInterrupt

    made.add_callback(lambda: None, fail, reads_blobs=False)
    with pytest.raises(KeyboardInterrupt):
        made.step(10)
    plain = step_by_step(solver(), 2)
    plain.net.clear_param_diffs()
    plain.net.run_forward()
    plain.net.run_backward()
    plain.losses.append(made.losses[-1])
    plain.iter = made.iter
    assert_same(made, plain)


def test_what_is_not_finite_is_found_where_it_began() -> None:
    made = solver()
    made.add_callback(
        lambda: made.net.params["conv1"][0].data.fill(np.inf if made.iter == 3 else 0.1),
        lambda: None,
        reads_blobs=False,
    )
    with pytest.raises(NotFiniteError, match=r"layer 'conv1' \(Convolution\), blob 'c1'"):
        made.step(10)


def test_callbacks_and_reporters_find_all_blobs() -> None:
    def values(made: Any) -> Any:
        return made.net.blobs["c1"].data.copy(), made.net.blobs["c1"].diff.copy()

    seen: list[Any] = []
    called = solver()
    called.add_callback(lambda: spoil(called), lambda: seen.append(values(called)))
    called.step(4)
    told: list[Any] = []

    class Told(Reporter):
        def iteration(self, solver: Any) -> None:
            told.append(values(solver))
            spoil(solver)

    solver(reporter=Told()).step(4)
    assert len(seen) == 4
    expected = solver()
    for one, other in zip(seen, told[1:], strict=True):
        expected.step(1)
        for a, b, c in zip(one, other, values(expected), strict=True):
            np.testing.assert_array_equal(a, c)
            np.testing.assert_array_equal(b, c)


def test_hooks_find_all_blobs() -> None:
    made = solver()
    seen: list[float] = []
    made.net.before_forward(lambda name: spoil(made) if name == "d" else None)
    made.net.after_backward(
        lambda name: (
            seen.append(float(made.net.blobs["c1"].diff.max())) if name == "pool1" else None
        )
    )
    made.step(3)
    assert len(seen) == 3
    assert max(seen) < 1234


RELU = """
  layer {{ name: "relu_{0}" type: "ReLU" bottom: "{0}" top: "{0}" relu_param {{
    negative_slope: {1} }} }}
"""


def rectified(slope: float, frozen: bool = False) -> Any:
    """Return a solver of a net with ReLUs between convolutions and pooling."""
    text = SOLVER % {"side": "", "size": 18, "more": ""}
    for blob, pool in (("c1", "pool1"), ("c2", "pool2")):
        pooling = f'layer {{ name: "{pool}"'
        text = text.replace(pooling, RELU.format(blob, slope) + pooling)
    if frozen:
        text = text.replace('bottom: "x" top: "c1"', 'bottom: "x" top: "c1" param { lr_mult: 0 }')
    made = get_solver(parse_solver(text))
    made.step(1)
    return made


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("slope", [0, 0.1, -0.5])
def test_relu_before_the_pooling(slope: float, frozen: bool) -> None:
    at_once = rectified(slope, frozen)
    chains = [[s.layer.type for s in chain.steps] for chain in at_once.net.hidden_chains]
    assert chains.count(["Convolution", "ReLU", "Pooling"]) == 2
    at_once.step(6)
    assert_same(at_once, step_by_step(rectified(slope, frozen), 6))


@pytest.mark.parametrize("slope", [0, 0.1])
def test_relu_before_the_pooling_is_completed(slope: float) -> None:
    hidden, plain = rectified(slope), rectified(slope)
    for made, hides in ((hidden, True), (plain, False)):
        set_random_seed(11)  # of the images
        made.net.run_forward(hidden=hides)
        made.net.run_backward(hidden=hides)
    spoil(hidden)
    hidden.net.complete()
    assert_same(hidden, plain)
