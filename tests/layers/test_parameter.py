"""Parameter."""

import numpy as np
import pytest
from harness import Case, build, check_gradient, forward, reference_cases, run_reference

from protonet.errors import ShapeError

TEXT = 'type: "Parameter" parameter_param { shape { dim: 2 dim: 3 } }'


def test_the_top_is_the_parameter():
    layer, bottom, top = Case("", TEXT, [], [(2, 3)], [(2, 3)]).build()
    forward(layer, bottom, top)
    assert np.shares_memory(top[0].data, layer.blobs[0].data)
    check_gradient(layer, bottom, top)


@pytest.mark.parametrize("case", reference_cases("Parameter"))
def test_reference(case):
    run_reference(case)


def test_refused():
    with pytest.raises(ShapeError, match=r"\(Parameter\): a blob cannot have the shape \(-2,\)"):
        build('type: "Parameter" parameter_param { shape { dim: -2 } }', [])
