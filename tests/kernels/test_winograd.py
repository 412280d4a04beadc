"""Winograd's convolution against plain sums in float64: values, gradients, rounding, threads."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from kernels import naive
from kernels.compare import for_threads, random
from kernels.naive import Case

from protonet.kernels import cpu, direct, pooling, winograd, winograd_plan, winograd_tiles
from protonet.kernels.convolution import Convolution2D
from protonet.kernels.finish import Finish
from protonet.kernels.weight_gradient_plan import Geometry

TILES = direct.TILES[cpu.registers()]

# Sizes that tiles divide and do not, one image and several blocks of images with some missing.
CASES = {
    "lenet_conv2": Case(64, 20, (12, 12), 50, (5, 5)),
    "one_image": Case(1, 3, (9, 8), 5, (3, 3), pad=(1, 1)),
    "remainder_image": Case(33, 5, (7, 10), 11, (3, 3), pad=(1, 1)),
    "groups": Case(18, 8, (9, 13), 12, (3, 3), pad=(0, 2), group=2),
    "five": Case(16, 4, (6, 11), 16, (5, 5), pad=(2, 1)),
    "five_groups": Case(20, 6, (9, 9), 9, (5, 5), pad=(4, 4), group=3),
    "smaller_than_a_tile": Case(17, 3, (2, 3), 4, (3, 3), pad=(1, 1)),
    "one_position": Case(16, 7, (3, 3), 6, (3, 3)),
    "many_channels": Case(16, 70, (8, 9), 33, (3, 3), pad=(1, 1)),
    "wide": Case(3, 2, (5, 97), 3, (3, 3), pad=(1, 1)),
}


def geometry(c: Case) -> Geometry:
    return Convolution2D(*c.arguments())._geometry


def inputs(c: Case) -> tuple[np.ndarray, ...]:
    """Return x, w, bias and dy."""
    return (
        random(c.N, c.C, *c.size, seed=1),
        random(c.num_output, c.C // c.group, *c.kernel, seed=2),
        random(c.num_output, seed=3),
        random(*naive.output_shape(c), seed=4),
    )


def run(way: Any, source: np.ndarray, w: np.ndarray, bias: Any, shape: Any, *args: Any) -> Any:
    packed = np.full(way.weights, np.nan, np.float32)
    way.pack(w, packed)
    target = np.full(shape, np.nan, np.float32)
    way.run(source, packed, bias, target, *args)
    return target


def check(got: np.ndarray, want: np.ndarray) -> None:
    """Rounding is measured by the largest result: a tile's outputs come from the same products."""
    np.testing.assert_allclose(got, want, rtol=0, atol=4e-6 * np.abs(want).max())


def test_matrices_give_the_convolution_exactly() -> None:
    from protonet.kernels.simd_winograd import matrices

    for m, r in ((2, 5), (4, 3)):
        A, G, B = matrices(m)
        g, d = (
            [Fraction(k * k - 3) for k in range(r)],
            [Fraction(7 - k**3) for k in range(m + r - 1)],
        )

        def times(matrix: Any, values: list[Fraction]) -> list[Fraction]:
            return [sum(a * b for a, b in zip(row, values, strict=True)) for row in matrix]

        products = [a * b for a, b in zip(times(G, g), times(B, d), strict=True)]
        got = times(list(zip(*A, strict=True)), products)
        assert got == [sum(g[k] * d[i + k] for k in range(r)) for i in range(m)]


@pytest.mark.parametrize("c", CASES.values(), ids=CASES)
def test_values_and_gradients(c: Case) -> None:
    g, (x, w, bias, dy) = geometry(c), inputs(c)
    forward, back, sums = winograd.find(g, False), winograd.find(g, True), winograd.find_sums(g)
    assert forward and back and sums

    def compute() -> list[np.ndarray]:
        dw, db = np.ones_like(w), np.ones_like(bias)
        sums.add(x, dy, dw, db, None)
        return [
            run(forward, x, w, bias, dy.shape), run(back, dy, w, None, x.shape), dw, db
        ]  # fmt: skip

    y, dx, dw, db = for_threads(compute)
    check(y, naive.convolution(c, x, w, bias))
    check(dx, naive.convolution_dx(c, dy, w))
    check(dw - 1, naive.convolution_dw(c, x, dy))
    check(db - 1, dy.sum(axis=(0, 2, 3), dtype=np.float64))


def turned(g: Geometry) -> Geometry:
    """Return the convolution of dy that the gradient of the data is."""
    pad = (g.kernel[0] - 1 - g.pad[0], g.kernel[0] - 1 - g.pad[1])
    return g._replace(C=g.O, O=g.C, size=g.output, output=g.size, pad=pad)


@pytest.mark.parametrize("c", CASES.values(), ids=CASES)
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("band", [1, 20_000, 2**30])  # bytes: one row of tiles, some, all
def test_vectors_over_tiles(c: Case, band: int, own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd_tiles, "OWN_BANDS", 0 if own else 2**30)
    monkeypatch.setattr(winograd_tiles, "OWN_TILES", 1 + band // 1000)
    monkeypatch.setattr(winograd_tiles, "MOST_BAND_BYTES", band)
    monkeypatch.setattr(winograd_tiles, "BAND_BYTES", band)
    monkeypatch.setattr(winograd_tiles, "SUMMED", 3)
    g, (x, w, bias, dy) = geometry(c), inputs(c)

    def compute() -> list[np.ndarray]:
        monkeypatch.setattr(winograd_tiles, "PART_WORK", 1)
        forward, back = winograd.ways(g)[0], winograd.ways(turned(g), turned=True)[0]
        return [run(forward, x, w, bias, dy.shape), run(back, dy, w, None, x.shape)]

    y, dx = for_threads(compute)
    check(y, naive.convolution(c, x, w, bias))
    check(dx, naive.convolution_dx(c, dy, w))


@pytest.mark.parametrize("name", ["remainder_image", "groups", "five"])
def test_bits_do_not_depend_on_who_does_a_band(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    c = CASES[name]
    g, (x, w, bias, dy) = geometry(c), inputs(c)
    results = []
    for own in (0, 2**30):
        monkeypatch.setattr(winograd_tiles, "OWN_BANDS", own)
        results.append(run(winograd.ways(g)[0], x, w, bias, dy.shape))
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("which", [0, 1], ids=["tiles", "images"])
def test_images_of_the_target_may_lie_apart(which: int) -> None:
    c = CASES["remainder_image"]
    g, (x, w, bias, dy) = geometry(c), inputs(c)
    way = winograd.ways(g)[which]
    packed = np.zeros(way.weights, np.float32)
    way.pack(w, packed)
    whole = np.full((c.N, 3 + c.num_output + 2, *dy.shape[2:]), 7, np.float32)
    way.run(x, packed, bias, whole[:, 3:-2])
    check(whole[:, 3:-2], naive.convolution(c, x, w, bias))
    assert (whole[:, :3] == 7).all() and (whole[:, -2:] == 7).all()


@pytest.mark.parametrize("name", ["lenet_conv2", "remainder_image", "groups", "five"])
@pytest.mark.parametrize("tile", TILES, ids=str)
def test_every_tile(tile: tuple[int, int], name: str) -> None:
    """The tiles of products that would not be chosen are right as well; both ways to dx, too."""
    c, lanes = CASES[name], cpu.lanes()
    g, (x, w, bias, dy) = geometry(c), inputs(c)
    way = winograd.Winograd(g, winograd_plan.forward(g, lanes, (tile,)))
    check(run(way, x, w, bias, dy.shape), naive.convolution(c, x, w, bias))
    g = g._replace(N=g.N * 4)  # then there are enough items of work
    dy = np.concatenate([dy] * 4)
    plan = winograd_plan.backward(g, lanes, (tile,))
    assert plan is not None
    dx = run(winograd.Winograd(g, plan), dy, w, None, (g.N, *x.shape[1:]))
    check(dx[: c.N], naive.convolution_dx(c, dy[: c.N], w))
    np.testing.assert_array_equal(dx[-c.N :], dx[: c.N]) if c.N % lanes == 0 else None


@pytest.mark.parametrize("slices", [1, 2, 4])
def test_slices_and_parts_of_the_weight_gradient(slices: int) -> None:
    for N in (5, 16, 70):
        c = Case(N, 6, (9, 10), 32, (3, 3), pad=(1, 1), group=2)
        g, (x, w, _, dy) = geometry(c), inputs(c)
        plan = winograd_plan._sums(g, cpu.lanes(), slices)
        assert plan is not None
        dw = np.zeros_like(w)
        winograd.WinogradSums(g, plan).add(x, dy, dw, None, None)
        check(dw, naive.convolution_dw(c, x, dy))


def test_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images are worked on in bands, chunks and steps where the scratch memory is small."""
    for name, size in (("CACHED_BYTES", 40_000), ("SUMMED_BYTES", 60_000)):
        monkeypatch.setattr(winograd_plan, name, size)
    for name in ("lenet_conv2", "remainder_image", "groups", "wide"):
        test_values_and_gradients(CASES[name])


@pytest.mark.parametrize("name", ["lenet_conv2", "groups_even", "five_even"])
def test_pooling_before_results_are_written(name: str) -> None:
    """The same to the bit as pooling what was written."""
    c = {
        "groups_even": Case(18, 8, (10, 14), 12, (3, 3), pad=(1, 0), group=2),
        "five_even": Case(16, 4, (6, 14), 16, (5, 5), pad=(2, 1)),
    }.get(name) or CASES[name]
    g, (x, w, bias, dy) = geometry(c), inputs(c)
    way = winograd.find(g, False)
    assert way is not None and way.can_pool()
    finish = Finish(random(c.num_output, seed=5), random(c.num_output, seed=6), 0.1)
    y = run(way, x, w, bias, dy.shape, finish)
    smaller = (*dy.shape[:2], dy.shape[2] // 2, dy.shape[3] // 2)
    values, mask = np.empty(smaller, np.float32), np.empty(smaller, np.int32)
    pooling.max_forward(y, pooling.SQUARES, values, mask)
    places = np.full(smaller, -7, np.int32)
    np.testing.assert_array_equal(run(way, x, w, bias, smaller, finish, places), values)
    np.testing.assert_array_equal(places, mask)


@pytest.mark.parametrize("which", [0, 1], ids=["tiles", "images"])
def test_results_are_finished(which: int) -> None:
    c = CASES["remainder_image"]
    g, (x, w, bias, dy) = geometry(c), inputs(c)
    way = winograd.ways(g)[which]
    factor, shift = random(c.num_output, seed=5), random(c.num_output, seed=6)
    z = naive.convolution(c, x, w, bias) * factor[:, None, None] + shift[:, None, None]
    check(run(way, x, w, bias, dy.shape, Finish(factor, shift, 0.1)), np.where(z > 0, z, 0.1 * z))
    z = naive.convolution(c, x, w, np.zeros(1))
    check(run(way, x, w, None, dy.shape, Finish(slope=0.0)), np.maximum(z, 0))


@pytest.mark.parametrize(
    "arguments",
    [
        (64, 20, 12, 12, 50, (4, 4)),
        (64, 20, 12, 12, 50, (5, 3)),
        (64, 20, 12, 12, 50, (5, 5), (2, 2)),
        (64, 20, 12, 12, 50, (5, 5), (1, 1), (0, 0), (2, 2)),
        (64, 20, 12, 12, 50, (3, 3), (1, 1), (3, 3)),
        (0, 20, 12, 12, 50, (3, 3)),
    ],
)
def test_what_is_computed_otherwise(arguments: Any) -> None:
    g = Convolution2D(*arguments)._geometry
    assert winograd.find(g, False) is None and winograd.find(g, True) is None


def test_it_is_chosen_where_it_is_less_work() -> None:
    def ways(*arguments: Any, plain: bool = False) -> list[str]:
        maths = Convolution2D(*arguments, plain=plain)
        return [type(way).__name__ for way in (maths._forward, maths._backward, maths._sums)]

    lenet = (4 * cpu.lanes(), 20, 12, 12, 50, (5, 5))
    assert ways(*lenet) == ["Winograd", "Winograd", "WinogradSums"]
    wide = (cpu.lanes(), 300, 28, 28, 300, (3, 3), (1, 1), (1, 1))
    assert ways(*wide)[:2] == ["WinogradTiles", "WinogradTiles"]
    assert ways(*lenet, plain=True) == ["Direct", "Direct", "DirectSums"]
    assert ways(1, 64, 56, 56, 64, (3, 3), (1, 1), (1, 1))[0] == "WinogradTiles"
    assert ways(1, 64, 7, 7, 64, (3, 3), (1, 1), (1, 1))[0] == "Direct"
    assert ways(64, 1, 28, 28, 20, (5, 5))[0] in ("Direct", "Rows")


def test_many_channels_are_summed_up_in_parts() -> None:
    c = Case(2, 300, (9, 10), 6, (3, 3), pad=(1, 1))
    g, (x, w, bias, dy) = geometry(c), inputs(c)
    (way,) = winograd.ways(g)  # not over images, where rounding errors would grow
    assert isinstance(way, winograd.WinogradTiles)
    check(run(way, x, w, bias, dy.shape), naive.convolution(c, x, w, bias))


def test_rounding(record_property: Any) -> None:
    """As winograd.py says: some times what plain sums lose, and below 1e-5."""
    for channels, size in ((64, 3), (256, 3), (512, 3), (20, 5)):
        c = Case(16, channels, (12, 12), 16, (size, size), pad=(size // 2, size // 2))
        x, w, bias, _ = inputs(c)
        want = naive.convolution(c, x, w, bias)

        def error(way: Any, x: Any = x, w: Any = w, bias: Any = bias, want: Any = want) -> float:
            got = run(way, x, w, bias, want.shape)
            return float(np.sqrt(np.mean((got - want) ** 2)) / want.std())

        g = geometry(c)
        plain = error(direct.Direct(g, False))
        fast = max(map(error, winograd.ways(g)))
        record_property(f"{channels}x{size}", f"{plain:.1e} {fast:.1e}")
        assert fast < 10 * plain and fast < 3e-6
