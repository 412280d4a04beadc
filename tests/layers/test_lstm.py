"""LSTM."""

import pytest
from harness import Case, check_gradient, reference_cases, run_reference
from recurrent import (
    BEGIN,
    CONT,
    H,
    K,
    N,
    T,
    X,
    check_beginning_forgets,
    check_exposed,
    check_kept_weights,
    check_refused,
    check_state_is_carried,
    text,
)

CASES = [
    Case("plain", text("LSTM"), [X, CONT], [(T, N, H)], [(16, 3), (16,), (16, 4)]),
    Case(
        "static",
        text("LSTM"),
        [X, CONT, (N, 2, 3)],
        [(T, N, H)],
        [(16, 3), (16,), (16, 6), (16, 4)],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradient(case):
    layer, bottom, top = case.build([None, BEGIN])
    check_gradient(layer, bottom, top)


def test_multiply_adds():
    layer, bottom, top = CASES[1].build()
    assert layer.multiply_adds(bottom, top) == 16 * (T * N * (K + H) + N * 6)
    # h goes back whatever is wanted; its weights, x and its weights, the static values and theirs
    for propagate_down, x, static in (([True, False, True], 2, 2), ([False] * 3, 1, 1)):
        expected = 16 * (T * N * (x * K + 2 * H) + N * static * 6)
        assert layer.backward_multiply_adds(bottom, top, propagate_down) == expected
    layer.param_propagate_down = [False, True, False, False]
    assert layer.backward_multiply_adds(bottom, top, [False] * 3) == 16 * T * N * H


def test_sequences():
    check_state_is_carried("LSTM")
    check_beginning_forgets("LSTM")
    check_kept_weights("LSTM")
    check_exposed("LSTM", 2)


def test_refused():
    check_refused("LSTM", 2)


@pytest.mark.parametrize("case", reference_cases("LSTM"))
def test_reference(case):
    run_reference(case)
