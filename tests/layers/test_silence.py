"""Silence."""

import pytest
from harness import build, reference_cases, run_reference


def test_gradient_is_zero_where_asked():
    layer, bottom, top = build('type: "Silence"', [(2, 3), (4,)])
    assert top == []
    layer.forward(bottom, top)
    for blob in bottom:
        blob.diff[...] = 7
    layer.backward(top, [False, True], bottom)
    assert (bottom[0].diff == 7).all()
    assert (bottom[1].diff == 0).all()


@pytest.mark.parametrize("case", reference_cases("Silence"))
def test_reference(case):
    run_reference(case)
