"""Products of matrices, and the inner product layer's maths, against NumPy in double precision."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import numpy as np
import pytest
from kernels.compare import assert_close, for_threads, random

from protonet.kernels import cpu, inner_product
from protonet.kernels import gemm as gemm_module
from protonet.kernels.gemm import (
    SIDE_BY_SIDE,
    gemm,
    multiply,
    multiply_by_lanes,
    multiply_side_by_side,
)

SIZES = [  # M, N, K
    (1, 1, 1),
    (3, 5, 7),
    (64, 50, 80),
    (17, 33, 65),
    (10, 32, 5),
    (8, 48, 64),
    (9, 49, 1030),  # K beyond one packed stretch
    (2, 3, 2050),
    (100, 1, 50),
    (1, 100, 50),
    (4, 300, 129),
    (130, 7, 40),
    (3, 500, 77),
    (7, 450, 33),
    (5, 6, 0),
    (2, 6, 0),
    (300, 290, 310),  # A transposed is laid straight, all of it or what a tile takes
    (150, 60, 260),
    (15, 33, 700),
    (31, 9, 300),
    (200, 300, 257),  # of which threads share out panels instead of rows
    (4, 30, 9001),  # few rows of A with a large B
    (11, 270, 1030),
    (8, 4097, 65),
    (16, 14, 18800),
    (1, 403, 3001),
]


def operand(rows: int, columns: int, transposed: bool, seed: int) -> np.ndarray:
    return random(*((columns, rows) if transposed else (rows, columns)), seed=seed)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_product(size: tuple[int, int, int]) -> None:
    M, N, K = size
    old = random(M, N, seed=3)
    for trans_a, trans_b in itertools.product((False, True), repeat=2):
        a, b = operand(M, K, trans_a, 1), operand(K, N, trans_b, 2)
        exact = (a.T if trans_a else a).astype(np.float64) @ (b.T if trans_b else b)
        for alpha, beta in ((1.0, 0.0), (1.0, 1.0), (-0.5, 0.25)):
            (c,) = for_threads(partial(multiplied, a, b, old, trans_a, trans_b, alpha, beta))
            assert_close(c, alpha * exact + beta * old)


def multiplied(a: np.ndarray, b: np.ndarray, old: np.ndarray, *options: float) -> list[np.ndarray]:
    c = old.copy() if options[-1] else np.full_like(old, np.nan)  # beta 0: c may hold anything
    gemm(a, b, c, *options)
    return [c]


@pytest.mark.parametrize("way", [multiply_by_lanes, multiply_side_by_side])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("rows", [1, 4, cpu.lanes(), cpu.lanes() + 3, 2 * cpu.lanes()])
def test_few_rows_with_a_matrix_as_it_lies(way: Any, keep: bool, rows: int) -> None:
    """Each way, also that which this processor does not take."""
    if way is multiply_by_lanes and rows > cpu.lanes():
        return
    for N, K in ((14, 70), (117, 1100)):
        a, b, bias, old = random(rows, K), random(N, K, seed=1), random(N, seed=2), random(rows, N)

        def compute(a: Any = a, b: Any = b, bias: Any = bias, old: Any = old) -> list[np.ndarray]:
            c = old.copy() if keep else np.full_like(old, np.nan)
            way(a, b, c, keep, None if keep else bias)
            return [c]

        (c,) = for_threads(compute)
        assert_close(c, a.astype(np.float64) @ b.T + (old if keep else bias))


@pytest.mark.parametrize("registers", [16, 32])
@pytest.mark.parametrize("vectors", [1, 2])
def test_rows_side_by_side_for_other_processors(
    registers: int, vectors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gemm_module, "SIDE_BY_SIDE", {cpu.registers(): SIDE_BY_SIDE[registers]})
    a, b = random(vectors * cpu.lanes(), 70), random(33, 70, seed=1)
    c = np.empty((len(a), len(b)), np.float32)
    multiply_side_by_side(a, b, c, False, None)
    assert_close(c, a.astype(np.float64) @ b.T)


def test_rows_are_side_by_side_only_if_the_first_cache_holds_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[str] = []
    for name in ("multiply_by_lanes", "multiply_side_by_side", "_multiply_panels"):
        monkeypatch.setattr(gemm_module, name, lambda *args, name=name: taken.append(name))
    a, b, c = random(16, 1024), random(256, 1024), random(16, 256)
    monkeypatch.setattr(cpu, "lanes", lambda: 16)
    for registers, ways in ((32, 12), (32, 8), (16, 8), (16, 4)):
        monkeypatch.setattr(cpu, "registers", lambda registers=registers: registers)
        monkeypatch.setattr(cpu, "ways", lambda ways=ways: ways)
        multiply(a, b, c, False, True)
    side, lanes, panels = "multiply_side_by_side", "multiply_by_lanes", "_multiply_panels"
    assert taken == [side, lanes, side, panels]


def test_nothing_to_do() -> None:
    c = np.zeros((0, 4), np.float32)
    gemm(random(0, 3), random(3, 4), c)
    c = np.zeros((4, 0), np.float32)
    gemm(random(4, 3), random(3, 0), c)


def test_other_numbers_are_not_touched() -> None:
    for M, N, K in SIZES[:6]:
        room = np.full(M * N + 64, 7.0, np.float32)
        c = room[32 : 32 + M * N].reshape(M, N)
        a, b = random(M, K, seed=1), random(K, N, seed=2)
        gemm(a, b, c)
        assert (room[:32] == 7).all() and (room[32 + M * N :] == 7).all()
        assert_close(c, a.astype(np.float64) @ b)


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("size", [(1, 7, 5), (3, 10, 50), (64, 50, 80), (17, 33, 49)], ids=str)
def test_inner_product(size: tuple[int, int, int], transpose: bool) -> None:
    N, M, K = size
    x, bias, dy = random(N, K, seed=1), random(M, seed=2), random(N, M, seed=3)
    w = operand(M, K, transpose, 4)
    exact = (w.T if transpose else w).astype(np.float64)

    def compute() -> list[np.ndarray]:
        y, plain, dx = np.full_like(dy, np.nan), np.full_like(dy, np.nan), np.full_like(x, np.nan)
        dw, db = np.ones_like(w), np.ones_like(bias)
        inner_product.forward(x, w, bias, y, transpose)
        inner_product.forward(x, w, None, plain, transpose)
        inner_product.backward_data(dy, w, dx, transpose)
        inner_product.backward_weights(x, dy, dw, transpose)
        inner_product.backward_bias(dy, db)
        return [y, plain, dx, dw, db]

    y, plain, dx, dw, db = for_threads(compute)
    assert_close(y, x @ exact.T + bias)
    assert_close(plain, x @ exact.T)
    assert_close(dx, dy @ exact)
    exact_dw = dy.T.astype(np.float64) @ x
    assert_close(dw, 1 + (exact_dw.T if transpose else exact_dw))
    assert_close(db, 1 + dy.sum(axis=0, dtype=np.float64))
