"""Filter."""

import numpy as np
import pytest
from harness import build, check_gradient, forward, reference_cases, run_reference

from protonet.errors import GraphError, ProtonetError

TEXT = 'type: "Filter"'


@pytest.mark.parametrize("keep", [[1, 0, 2, 0], [0, 0, 0, 0.5], [1, 1, 1, 1], [0, 0, 0, 0]])
def test_forward_and_gradient(keep):
    layer, bottom, top = build(
        TEXT, [(4, 3), (4, 2, 5), (4, 1)], tops=2, values=[None, None, np.reshape(keep, (4, 1))]
    )
    assert [blob.shape for blob in top] == [(4, 3), (4, 2, 5)]
    forward(layer, bottom, top)
    chosen = np.flatnonzero(keep)
    for y, x in zip(top, bottom, strict=False):
        np.testing.assert_array_equal(y.data, x.data[chosen])
    check_gradient(layer, bottom, top)


def test_another_choice_each_time():
    layer, bottom, top = build(TEXT, [(3, 2), (3,)])
    for keep in ([1, 0, 0], [0, 1, 1], [1, 1, 1]):
        bottom[1].data[...] = keep
        forward(layer, bottom, top)
        np.testing.assert_array_equal(top[0].data, bottom[0].data[np.flatnonzero(keep)])


@pytest.mark.parametrize("case", reference_cases("Filter"))
def test_reference(case):
    run_reference(case)


@pytest.mark.parametrize(
    ("bottoms", "tops", "message"),
    [
        ([(3, 2), (3, 2)], 1, r"a selector of one value an item, .* got \(3, 2\)"),
        ([(3, 2), ()], 1, r"a selector of one value an item, .* got \(\)"),
        ([(3, 2), (4,)], 1, r"as in the selector, 4; bottom 0 has shape \(3, 2\)"),
        ([(3, 2), (3,)], 2, r"a top for each bottom but the last, .* got 2 bottoms and 2 tops"),
    ],
)
def test_refused(bottoms, tops, message):
    with pytest.raises(ProtonetError, match=rf"layer 'under_test' \(Filter\): .*{message}"):
        build(TEXT, bottoms, tops=tops)


def test_no_gradient_into_the_selector():
    layer, bottom, top = build(TEXT, [(3, 2), (3,)])
    forward(layer, bottom, top)
    with pytest.raises(GraphError, match="no gradient can flow into the selector, bottom 1"):
        layer.backward(top, [True, True], bottom)
