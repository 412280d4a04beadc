"""Convolution, forward and gradients, against plain sums over the kernel's elements."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernels import naive
from kernels.compare import assert_close, for_threads, random
from kernels.naive import Case

from protonet.kernels import (
    correlation_plan,
    cpu,
    direct,
    pooling,
    rows,
    rows_plan,
    weight_gradient_plan,
)
from protonet.kernels.convolution import Convolution2D
from protonet.kernels.convolution_nd import ConvolutionND
from protonet.kernels.finish import PLAIN, Finish

CASES = {
    "lenet_conv1": Case(33, 1, (28, 27), 20, (5, 5)),
    "lenet_conv2": Case(64, 20, (12, 13), 50, (5, 5)),
    "one_image": Case(1, 20, (12, 13), 50, (5, 5), pad=(2, 1)),
    "remainder_image": Case(17, 5, (8, 7), 11, (3, 3), pad=(1, 1)),
    "all_different": Case(3, 4, (9, 11), 6, (3, 2), (2, 1), (1, 2), (1, 2), 2),
    "stride_3": Case(16, 3, (23, 21), 8, (7, 5), (3, 2), (3, 1)),
    "stride_beyond_kernel": Case(5, 3, (13, 17), 7, (2, 3), (3, 4)),
    "dilation": Case(3, 17, (14, 15), 33, (3, 3), pad=(2, 2), dilation=(2, 2)),
    "stride_and_dilation": Case(2, 3, (9, 8), 5, (2, 3), (2, 2), (3, 2), (3, 3)),
    "pad_beyond_kernel": Case(3, 2, (4, 5), 9, (2, 3), pad=(4, 5)),
    "one_by_one": Case(3, 18, (7, 9), 35, (1, 1)),
    "one_by_one_wide": Case(16, 7, (6, 33), 9, (1, 1)),
    "one_by_one_stride": Case(4, 6, (9, 10), 12, (1, 1), (2, 2), group=3),
    "depthwise": Case(5, 8, (9, 10), 8, (3, 3), (2, 2), (1, 1), group=8),
    "depthwise_twice": Case(16, 6, (7, 8), 12, (3, 3), pad=(1, 1), group=6),
    "depthwise_dilated": Case(2, 3, (11, 12), 6, (3, 2), (2, 3), (2, 1), (2, 3), 3),
    "depthwise_sparse": Case(3, 4, (13, 17), 4, (2, 1), (3, 4), group=4),
    "depthwise_wide": Case(1, 5, (6, 140), 5, (5, 7), pad=(2, 3), group=5),
    "depthwise_wide_strided": Case(2, 3, (9, 141), 3, (3, 4), (1, 2), (1, 1), group=3),
    "depthwise_padding": Case(2, 3, (2, 3), 3, (3, 3), (1, 2), (4, 5), group=3),
    "groups": Case(3, 32, (13, 12), 48, (5, 3), pad=(2, 1), group=2),
    "kernel_is_image": Case(3, 19, (4, 6), 21, (4, 6)),
    "one_pixel": Case(17, 33, (1, 1), 5, (1, 1)),
    "one_row": Case(3, 2, (1, 50), 3, (1, 7), (1, 3), (0, 2)),
    "wide": Case(2, 3, (20, 131), 17, (3, 3), pad=(1, 1)),
    "many_channels": Case(2, 130, (5, 6), 70, (3, 3), pad=(1, 1)),
}


def weights_shape(c: Case) -> tuple[int, ...]:
    return (c.num_output, c.C // c.group, *c.kernel)


def inputs(c: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return x, w, bias, dy."""
    return (
        random(c.N, c.C, *c.size, seed=1),
        random(*weights_shape(c), seed=2),
        random(c.num_output, seed=3),
        random(*naive.output_shape(c), seed=4),
    )


@pytest.mark.parametrize("c", CASES.values(), ids=CASES.keys())
def test_values_and_gradients(c: Case) -> None:
    x, w, bias, dy = inputs(c)
    maths = Convolution2D(*c.arguments())
    assert maths.y_shape == naive.output_shape(c)

    def compute() -> list[np.ndarray]:
        y, dx = np.full_like(dy, np.nan), np.full_like(x, np.nan)
        dw, db = np.ones_like(w), np.ones_like(bias)
        maths.forward(x, w, bias, y)
        maths.backward_data(dy, w, dx)
        maths.backward_weights(x, dy, dw)
        maths.backward_bias(dy, db)
        both = np.ones_like(w), np.ones_like(bias)
        maths.backward_weights(x, dy, *both)
        return [y, dx, dw, db, *both]

    y, dx, dw, db, *both = for_threads(compute)
    np.testing.assert_array_equal(both[0], dw)
    assert_close(both[1], db)
    assert_close(y, naive.convolution(c, x, w, bias))
    assert_close(dx, naive.convolution_dx(c, dy, w))
    assert_close(dw, 1 + naive.convolution_dw(c, x, dy))
    assert_close(db, 1 + dy.sum(axis=(0, 2, 3), dtype=np.float64))


def run(way: Any, source: Any, w: Any, bias: Any, shape: Any, finish: Finish = PLAIN) -> Any:
    """Return what a way of computing it writes."""
    packed, target = np.empty(way.weights, np.float32), np.full(shape, np.nan, np.float32)
    way.pack(w, packed)
    way.run(source, packed, bias, target, finish)
    return target


def rows_are_like_direct(c: Case) -> None:
    """Along rows, sums are the same to the bit, forward and of the data's gradient."""
    x, w, bias, dy = inputs(c)
    g = Convolution2D(*c.arguments())._geometry
    finish = Finish(random(c.num_output, seed=5), random(c.num_output, seed=6), 0.1)
    other = rows.turned(g)

    def results(forward: Any, back: Any) -> list[np.ndarray]:
        got = [
            run(forward, x, w, None, dy.shape),
            run(forward, x, w, bias, dy.shape, Finish(slope=0.1)),
            run(forward, x, w, bias, dy.shape, finish),
        ]
        return got if back is None else [*got, run(back, dy, w, None, x.shape)]

    def compute() -> list[np.ndarray]:
        return results(rows.Rows(g), None if other is None else rows.Rows(other, turned=True))

    got = for_threads(compute)
    back = None if other is None else direct.Direct(g, backward=True)
    expected = results(direct.Direct(g, backward=False), back)
    for one, two in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, two)
    assert_close(got[0], naive.convolution(c, x, w, np.zeros(1)))


@pytest.mark.parametrize("c", CASES.values(), ids=CASES.keys())
def test_along_rows(c: Case) -> None:
    rows_are_like_direct(c)


LAYOUT_CASES = ("all_different", "remainder_image", "stride_3", "stride_and_dilation", "one_row")
TILES = direct.TILES[cpu.registers()]


@pytest.mark.parametrize("images", [True, False], ids=["images", "channels"])
@pytest.mark.parametrize("tile", TILES, ids=str)
def test_every_layout(tile: tuple[int, int], images: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The layout that would not be chosen is right as well."""
    layout = correlation_plan.Layout(cpu.lanes(), *tile, images)
    monkeypatch.setattr(direct, "_choose", lambda shape: layout)
    for name in LAYOUT_CASES:
        c = CASES[name]
        x, w, _, dy = inputs(c)
        g = Convolution2D(*c.arguments())._geometry
        y = run(direct.Direct(g, backward=False), x, w, None, dy.shape)
        dx = run(direct.Direct(g, backward=True), dy, w, None, x.shape)
        assert_close(y, naive.convolution(c, x, w, np.zeros(1)))
        assert_close(dx, naive.convolution_dx(c, dy, w))


@pytest.mark.parametrize("tile", TILES, ids=str)
def test_every_tile_along_rows(tile: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "TILES", {cpu.registers(): (tile,)})
    monkeypatch.setattr(rows_plan, "STAGED_BYTES", 4096)
    for name in (*LAYOUT_CASES, "one_by_one", "one_by_one_stride", "groups"):
        rows_are_like_direct(CASES[name])


@pytest.mark.parametrize("join", [True, False], ids=["joined", "apart"])
@pytest.mark.parametrize("tile", TILES, ids=str)
def test_every_tile_of_the_weight_gradient(tile: tuple[int, int], join: bool) -> None:
    for name in LAYOUT_CASES:
        c = CASES[name]
        if join and c.dilation[1] > 1:
            continue
        x, w, _, dy = inputs(c)
        sums = direct.DirectSums(Convolution2D(*c.arguments())._geometry)
        sums.__dict__["plan"] = weight_gradient_plan.make(sums._geometry, cpu.lanes(), *tile, join)
        dw = np.zeros_like(w)
        sums.add(x, dy, dw, None, None)
        assert_close(dw, naive.convolution_dw(c, x, dy))


def test_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images larger than the scratch memory are done in bands."""
    monkeypatch.setattr(correlation_plan, "STAGED_LIMIT", 4096)
    monkeypatch.setattr(correlation_plan, "STAGED_BYTES", 1024)
    monkeypatch.setattr(correlation_plan, "RESULT_BYTES", 2048)
    monkeypatch.setattr(weight_gradient_plan, "STAGED_BYTES", 4096)
    monkeypatch.setattr(rows_plan, "STAGED_BYTES", 4096)
    for name in ("remainder_image", "stride_3", "dilation", "stride_and_dilation", "wide"):
        test_values_and_gradients(CASES[name])


def test_other_numbers_are_not_touched() -> None:
    """Results stay inside y and dx, also where vectors reach past the end."""
    c = CASES["all_different"]
    x, w, bias, dy = inputs(c)
    maths = Convolution2D(*c.arguments())
    for shape, write in (
        (dy.shape, lambda out: maths.forward(x, w, bias, out)),
        (x.shape, lambda out: maths.backward_data(dy, w, out)),
        (w.shape, lambda out: maths.backward_weights(x, dy, out)),
    ):
        count = int(np.prod(shape))
        room = np.full(count + 64, 7.0, np.float32)
        write(room[32 : 32 + count].reshape(shape))
        assert (room[:32] == 7).all() and (room[32 + count :] == 7).all()


@pytest.mark.parametrize("group", [1, 3])
def test_no_images(group: int) -> None:
    maths = Convolution2D(0, 3, 8, 7, 6, (3, 3), group=group)
    x, dy = np.zeros((0, 3, 8, 7), np.float32), np.zeros((0, 6, 6, 5), np.float32)
    w, bias = np.ones((6, 3 // group, 3, 3), np.float32), np.ones(6, np.float32)
    maths.forward(x, w, bias, dy)
    maths.backward_data(dy, w, x)
    maths.backward_weights(x, dy, w)
    maths.backward_bias(dy, bias)
    assert (w == 1).all() and (bias == 1).all()


def test_shapes_of_the_moment() -> None:
    """One convolution after another in the same scratch memory, larger and smaller."""
    for name in ("wide", "one_pixel", "lenet_conv1", "one_row", "wide"):
        c = CASES[name]
        x, w, bias, dy = inputs(c)
        y = np.empty_like(dy)
        Convolution2D(*c.arguments()).forward(x, w, bias, y)
        assert_close(y, naive.convolution(c, x, w, bias))


ND_CASES = {
    "one_axis": ((3, 4, 11), 6, (3,), (2,), (1,), (2,), 2),
    "three_axes": ((2, 3, 5, 7, 6), 4, (2, 3, 1), (1, 2, 3), (0, 1, 2), (2, 1, 1), 1),
}


@pytest.mark.parametrize("case", ND_CASES.values(), ids=ND_CASES.keys())
def test_any_number_of_axes(case: tuple) -> None:
    """Sums over kernel elements, one output at a time."""
    shape, O, kernel, stride, pad, dilation, group = case  # noqa: E741
    maths = ConvolutionND(*case)
    x, w = random(*shape, seed=1), random(O, shape[1] // group, *kernel, seed=2)
    dy, bias = random(*maths.y_shape, seed=3), random(O, seed=4)
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), *((p, p) for p in pad)))
    y, dw = np.zeros(maths.y_shape), np.zeros(w.shape)
    dpadded = np.zeros_like(padded)
    channels, outputs = shape[1] // group, O // group
    for place in np.ndindex(*maths.y_shape[2:]):
        window = tuple(
            slice(i * s, i * s + d * (k - 1) + 1, d)
            for i, s, d, k in zip(place, stride, dilation, kernel, strict=True)
        )
        for o in range(O):
            g = slice(o // outputs * channels, (o // outputs + 1) * channels)
            seen = padded[(slice(None), g, *window)]
            y[(slice(None), o, *place)] = (seen * w[o]).reshape(shape[0], -1).sum(1) + bias[o]
            factor = dy[(slice(None), o, *place)].reshape(-1, *[1] * (len(kernel) + 1))
            dw[o] += (factor * seen).sum(0)
            dpadded[(slice(None), g, *window)] += factor * w[o]
    inner = tuple(slice(p, p + n) for p, n in zip(pad, shape[2:], strict=True))
    got_y, got_dx = np.empty(maths.y_shape, np.float32), np.empty_like(x)
    got_dw, got_db = np.zeros_like(w), np.zeros_like(bias)
    maths.forward(x, w, bias, got_y)
    maths.backward_data(dy, w, got_dx)
    maths.backward_weights(x, dy, got_dw)
    maths.backward_bias(dy, got_db)
    assert_close(got_y, y)
    assert_close(got_dx, dpadded[(slice(None), slice(None), *inner)])
    assert_close(got_dw, dw)
    assert_close(got_db, dy.sum(axis=(0, *range(2, dy.ndim)), dtype=np.float64))


POOLED = [  # N, C, H, W, num_output, kernel, stride, pad, dilation, group
    (37, 1, 28, 28, 20, (5, 5)),
    (16, 20, 12, 12, 50, (5, 5)),
    (31, 6, 20, 36, 14, (3, 5), (2, 1), (1, 2), (1, 1), 2),
    (30, 3, 12, 70, 7, (3, 3), (1, 1), (0, 1), (2, 1), 1),
]


def values_with_ties(shape: tuple[int, ...]) -> np.ndarray:
    """Few different values, so that many of a window are equal, and some that are not numbers."""
    values = np.random.default_rng(4).integers(-2, 3, shape).astype(np.float32)
    values.reshape(-1)[:: values.size // 3] = np.nan
    return values


@pytest.mark.parametrize("arguments", POOLED, ids=str)
@pytest.mark.parametrize("make", [lambda shape: random(*shape), values_with_ties])
def test_pooling_before_results_are_written(arguments: Any, make: Any) -> None:
    """The same to the bit as pooling what was written, and the gradients, too."""
    maths = Convolution2D(*arguments)
    assert maths.can_pool
    x, w, bias = make(maths.x_shape), random(*maths.w_shape, seed=1), random(arguments[4])
    N, outputs, height, width = maths.y_shape
    finish = Finish(random(outputs, seed=2), random(outputs, seed=3), 0.1)
    smaller = (N, outputs, height // 2, width // 2)

    def compute() -> list[np.ndarray]:
        y, values = np.full(maths.y_shape, np.nan, np.float32), np.full(smaller, np.nan, np.float32)
        mask, places = np.full(smaller, -7, np.int32), np.full(smaller, -7, np.int32)
        maths.forward(x, w, bias, y, None, finish)
        pooling.max_forward(y, pooling.SQUARES, values, mask)
        later = np.full_like(values, np.nan)
        maths.forward_pooled(x, w, bias, later, finish, places)
        np.testing.assert_array_equal(later, values)
        np.testing.assert_array_equal(places, mask)
        completed = np.full_like(y, np.nan)
        changed_w, changed_bias = w.copy(), bias.copy()
        maths.complete(x, completed, finish)
        np.testing.assert_array_equal(completed, y)
        # parameters of then, whatever became of them
        maths.forward_pooled(x, changed_w, changed_bias, later, finish, places)
        changed_w += 1
        changed_bias += 1
        maths.complete(x, completed, finish)
        np.testing.assert_array_equal(completed, y)
        return [values, mask]

    _, mask = for_threads(compute)
    assert (mask >= 0).sum() > mask.size // 2


@pytest.mark.parametrize("arguments", POOLED, ids=str)
def test_weight_gradient_of_what_was_pooled(arguments: Any) -> None:
    maths = Convolution2D(*arguments, plain=True)
    x, N, outputs = random(*maths.x_shape), maths.y_shape[0], arguments[4]
    y, smaller = random(*maths.y_shape, seed=1), (N, outputs, *(n // 2 for n in maths.y_shape[2:]))
    values, mask = np.empty(smaller, np.float32), np.empty(smaller, np.int32)
    pooling.max_forward(y, pooling.SQUARES, values, mask)
    dy, dense = random(*smaller, seed=2), np.empty_like(y)
    pooling.max_backward(dy, mask, pooling.SQUARES, dense)
    assert maths.can_spread

    def compute() -> list[np.ndarray]:
        expected = np.ones(maths.w_shape, np.float32), np.ones(outputs, np.float32)
        maths.backward_weights(x, dense, *expected)
        got = np.ones(maths.w_shape, np.float32), np.ones(outputs, np.float32)
        maths.backward_weights(x, dy, *got, mask=mask)
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_array_equal(one, other)
        return list(got)

    for_threads(compute)


@pytest.mark.parametrize(
    "arguments",
    [
        (16, 1, 29, 28, 20, (5, 5)),  # 25 rows: windows would be cut
        (16, 4, 8, 8, 4, (3, 3), (1, 1), (1, 1), (1, 1), 4),  # depthwise
        (1, 3, 8, 8, 32, (3, 3), (1, 1), (1, 1)),  # one image: lanes are channels
        (0, 3, 8, 8, 32, (3, 3), (1, 1), (1, 1)),
    ],
)
def test_what_cannot_be_pooled(arguments: Any) -> None:
    assert not Convolution2D(*arguments).can_pool


def test_images_that_lie_far_apart_are_not_written_together() -> None:
    def images_together(*arguments: Any) -> bool:
        layout = direct.Direct(Convolution2D(*arguments)._geometry, backward=False)._layout
        return bool(layout.images)

    assert images_together(64, 1, 28, 28, 20, (5, 5))
    assert not images_together(16, 3, 227, 227, 64, (3, 3), (2, 2))


def test_what_is_convolved_along_rows() -> None:
    """What takes less time so; and not what is pooled before results are written."""

    def along_rows(maths: Convolution2D) -> bool:
        return isinstance(maths._forward, rows.Rows)

    assert along_rows(Convolution2D(16, 3, 227, 227, 64, (3, 3), (2, 2)))
    assert not along_rows(Convolution2D(16, 1024, 7, 7, 2048, (1, 1), (2, 2)))
    lenet = Convolution2D(64, 1, 28, 28, 20, (5, 5))
    assert lenet.can_pool and not isinstance(lenet._pooling, rows.Rows)
    squeeze = Convolution2D(16, 64, 56, 56, 16, (1, 1))
    assert isinstance(squeeze._backward, rows.Rows)
    few_registers = cpu.registers() == 16
    assert along_rows(squeeze) != few_registers
    assert along_rows(Convolution2D(16, 512, 14, 14, 512, (1, 1))) != few_registers
    assert not along_rows(Convolution2D(1, 512, 14, 14, 512, (1, 1)))


@pytest.mark.parametrize("images", [1, 3, 16])
def test_positions_of_all_images_follow_each_other(images: int) -> None:
    """Rows end within images, and images within tiles; images of y may lie apart."""
    for size, channels in (((7, 7), 33), ((1, 5), 3), ((20, 37), 4)):
        x, w = random(images, channels, *size), random(30, channels, 1, 1, seed=1)
        g = Convolution2D(*x.shape, 30, (1, 1))._geometry
        wide = np.full((images, 40, *size), 7.0, np.float32)

        def compute(x: Any = x, w: Any = w, g: Any = g, wide: Any = wide) -> list[np.ndarray]:
            way, y = rows.Rows(g), wide.copy()
            packed = np.empty(way.weights, np.float32)
            way.pack(w, packed)
            way.run(x, packed, None, y[:, 5:35])
            return [y]

        (y,) = for_threads(compute)
        assert_close(y[:, 5:35], np.einsum("oc,nchw->nohw", w[:, :, 0, 0].astype(np.float64), x))
        assert (y[:, :5] == 7).all() and (y[:, 35:] == 7).all()


@pytest.mark.parametrize("positions", [2, 3])
def test_rows_are_cut_so_that_edges_are_done_alone(positions: int) -> None:
    axis = correlation_plan.Axis(8, 12, 5, 1, 0, 1, backward=True)  # LeNet's conv2, backward
    starts, sizes, taps, _ = correlation_plan._cut_row(axis, positions, singles=True)
    covered = sorted(
        p for start, n in zip(starts, sizes, strict=True) for p in range(start, start + n)
    )
    assert covered[:12] == list(range(12))
    assert sum(n * len(t) for n, (_, t) in zip(sizes, taps, strict=True)) == sum(
        len(axis.taps(p)) for p in range(12)
    )
    assert set(correlation_plan._cut_row(axis, positions, singles=False)[1]) == {positions}
