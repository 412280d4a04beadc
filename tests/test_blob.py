"""When the values of a blob can have changed, and what may be kept of them; its gradient."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import numpy as np
import pytest

from protonet import Net
from protonet.blob import ALIGNMENT, CHUNK, Blob, aligned_zeros
from protonet.schema.read import parse_net

NET = """
layer { name: "x" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 7 dim: 5 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "y"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
"""


@pytest.fixture
def blob() -> Blob:
    made, arena = Blob((2, 3)), aligned_zeros(32)
    made.use(arena[:6], aligned_zeros(6))
    return made


def test_values_that_nobody_can_reach_keep_their_version(blob: Blob) -> None:
    version = blob.version()
    assert version is not None
    assert blob.values.sum() == 0
    assert blob.version() == version


def test_a_look_makes_a_new_version(blob: Blob) -> None:
    version = blob.version()
    assert blob.data.shape == (2, 3)
    assert blob.version() not in (None, version)


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a,
        lambda a: a[1:],
        lambda a: a.reshape(-1)[2:].T,
        lambda a: memoryview(a),
        lambda a: np.frombuffer(a, np.uint8),
    ],
    ids=["itself", "part", "part of a view", "memoryview", "bytes"],
)
def test_who_holds_a_view_may_write_at_any_time(blob: Blob, view: Callable) -> None:
    held = view(blob.data)
    assert blob.version() is None
    assert blob.version() is None
    del held
    assert blob.version() is not None


def test_shared_values_have_no_version(blob: Blob) -> None:
    other = Blob((6,))
    other.share_data(blob)
    assert blob.version() is other.version() is None


def test_values_without_an_arena_have_no_version() -> None:
    assert Blob((2, 3)).version() is None


def test_another_shape_of_as_many_values_is_fine(blob: Blob) -> None:
    assert blob.version() is not None
    blob.reshape(3, 2)
    blob.data[2, 1] = 5
    assert blob.version() is not None
    blob.reshape(7)
    assert blob.version() is None


def plain(net: Net, x: np.ndarray) -> np.ndarray:
    """Return the convolution of x with the net's weights, by its definition."""
    w, b = (p.data for p in net.params["conv"])
    y = np.zeros((1, 4, 5, 3))
    for i in range(3):
        for j in range(3):
            y += np.einsum("nchw,oc->nohw", x[:, :, i : i + 5, j : j + 3], w[:, :, i, j])
    return y + b.reshape(-1, 1, 1)


def write_by_name(net: Net) -> None:
    net.params["conv"][0].data[...] *= 2


def write_bias(net: Net) -> None:
    net.params["conv"][1].data[...] = 3


def write_arena(net: Net) -> None:
    net.param_data[...] *= 3


def share(net: Net) -> None:
    net.share_with(Net(parse_net(NET)))


@pytest.mark.parametrize("write", [write_by_name, write_bias, write_arena, share])
def test_what_is_written_counts_at_the_next_forward(write: Callable[[Net], None]) -> None:
    net, x = Net(parse_net(NET)), np.random.default_rng(1).random((1, 3, 7, 5), np.float32)
    for _ in range(3):
        before = net.forward(data=x)["y"].copy()
    write(net)
    for _ in range(3):
        after = net.forward(data=x)["y"].copy()
        np.testing.assert_allclose(after, plain(net, x), atol=1e-5)
    assert not np.allclose(before, after)


@pytest.mark.parametrize(
    "reach",
    [
        lambda net: net.params["conv"][0].data[1:],
        lambda net: net.layers[1].blobs[0].data,
        lambda net: net.param_data[:20],
    ],
    ids=["part", "layer's", "arena's"],
)
def test_what_is_written_by_a_view_from_earlier_counts(reach: Callable) -> None:
    net, x = Net(parse_net(NET)), np.random.default_rng(1).random((1, 3, 7, 5), np.float32)
    view = reach(net)
    for factor in (1, 2, 3):
        net.forward(data=x)
        view[...] *= factor
        np.testing.assert_allclose(net.forward(data=x)["y"], plain(net, x), atol=1e-5)


def test_a_net_tested_with_a_training_nets_parameters_sees_their_updates() -> None:
    trained, x = Net(parse_net(NET), 0), np.ones((1, 3, 7, 5), np.float32)
    tested = Net(parse_net(NET), 1, share_with=trained)
    for _ in range(3):
        tested.forward(data=x)
    trained.param_data[...] *= 2
    np.testing.assert_allclose(tested.forward(data=x)["y"], plain(trained, x), atol=1e-5)


def test_weights_are_kept_from_the_second_pass_on() -> None:
    net = Net(parse_net(NET))
    maths = net.layers[1]._maths.maths
    kept = []
    for _ in range(3):
        net.run_forward()
        kept.append(maths._kept._values)
    assert kept[0] is None
    assert kept[1] is kept[2] is not None


def test_a_gradient_that_is_forgotten_is_zero() -> None:
    blob = Blob([2, 3])
    blob.diff[...] = 5
    view = blob.diff
    blob.forget_diff()
    assert (view == 5).all()
    assert (blob.diff == 0).all()
    assert blob.diff is view
    blob.diff[...] = 5
    blob.forget_diff()
    taken, keep = blob.take_diff()
    assert taken is view
    assert not keep
    assert blob.take_diff()[1]


def test_a_forgotten_gradient_of_another_count_is_zero() -> None:
    blob = Blob([2, 3])
    blob.diff[...] = 5
    blob.forget_diff()
    blob.reshape(4)
    diff, keep = blob.take_diff()
    assert keep
    assert (diff == 0).all()


@pytest.mark.parametrize("count", [0, 1, 900, 1100, 40_000, 2_000_000, 2_200_000])
def test_zeros_of_any_size_share_no_memory(count: int) -> None:
    arrays = [aligned_zeros(count) for _ in range(3)]
    for i, array in enumerate(arrays):
        assert array.size == count
        assert array.dtype == np.float32
        assert not array.any()
        assert array.ctypes.data % ALIGNMENT == 0
        array.fill(i + 1)
    starts = sorted(array.ctypes.data for array in arrays)
    if count:
        assert min(np.diff(starts)) >= 4 * count
        assert [array[-1] for array in arrays] == [1, 2, 3]


def test_memory_of_arrays_that_are_let_go_is_let_go() -> None:
    def root(array: np.ndarray) -> np.ndarray:
        return array if array.base is None else root(array.base)

    arrays = [aligned_zeros(100_000) for _ in range(2 * CHUNK // 400_000)]
    whole = weakref.ref(root(arrays[len(arrays) // 2]))
    del arrays[1:]
    assert whole() is None
    assert not arrays[0].any()
