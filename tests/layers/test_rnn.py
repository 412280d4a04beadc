"""RNN."""

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
    Case("plain", text("RNN"), [X, CONT], [(T, N, H)], [(4, 3), (4,), (4, 4), (4, 4), (4,)]),
    Case(
        "static",
        text("RNN"),
        [X, CONT, (N, 2, 3)],
        [(T, N, H)],
        [(4, 3), (4,), (4, 6), (4, 4), (4, 4), (4,)],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradient(case):
    layer, bottom, top = case.build([None, BEGIN])
    check_gradient(layer, bottom, top)


def test_multiply_adds():
    layer, bottom, top = CASES[1].build()
    assert layer.multiply_adds(bottom, top) == 4 * (T * N * (K + H + H) + N * 6)
    back = layer.backward_multiply_adds(bottom, top, [True, False, True])
    assert back == 2 * layer.multiply_adds(bottom, top)


def test_sequences():
    check_state_is_carried("RNN")
    check_beginning_forgets("RNN")
    check_kept_weights("RNN")
    check_exposed("RNN", 1)


def test_refused():
    check_refused("RNN", 1)


@pytest.mark.parametrize("case", reference_cases("RNN"))
def test_reference(case):
    run_reference(case)
