"""BatchReindex."""

import numpy as np
import pytest
from harness import Case, build, check_gradient, forward, reference_cases, run_reference

from protonet.errors import DataError, GraphError, ShapeError

TEXT = 'type: "BatchReindex"'
CASES = [
    (Case("repeat", TEXT, [(3, 2, 5), (4,)], [(4, 2, 5)]), [2, 0, 0, 1]),
    (Case("drop", TEXT, [(4, 3), (2,)], [(2, 3)]), [3, 1]),
    (Case("none", TEXT, [(4, 3), (0,)], [(0, 3)]), []),
]


@pytest.mark.parametrize(("case", "index"), CASES, ids=[str(case) for case, _ in CASES])
def test_forward_and_gradient(case, index):
    layer, bottom, top = case.build([None, index])
    forward(layer, bottom, top)
    np.testing.assert_array_equal(top[0].data, bottom[0].data[np.array(index, int)])
    check_gradient(layer, bottom, top)


@pytest.mark.parametrize("case", reference_cases("BatchReindex"))
def test_reference(case):
    run_reference(case)


@pytest.mark.parametrize(
    ("bottoms", "message"),
    [
        ([(2, 3), (2, 1)], r"indices with exactly one, got shapes \(2, 3\) and \(2, 1\)"),
        ([(), (2,)], r"got shapes \(\) and \(2,\)"),
    ],
)
def test_refused(bottoms, message):
    with pytest.raises(ShapeError, match=rf"layer 'under_test' \(BatchReindex\): .*{message}"):
        build(TEXT, bottoms)


@pytest.mark.parametrize("wrong", [-1, 4])
def test_an_index_that_is_no_item(wrong):
    layer, bottom, top = build(TEXT, [(4, 3), (2,)], values=[None, [1, wrong]])
    with pytest.raises(DataError, match=rf"expected indices from 0 to 3, got {wrong} at 1"):
        layer.forward(bottom, top)


def test_no_gradient_into_the_indices():
    layer, bottom, top = build(TEXT, [(4, 3), (2,)], values=[None, [1, 2]])
    with pytest.raises(GraphError, match="no gradient can flow into the indices"):
        layer.backward(top, [True, True], bottom)
