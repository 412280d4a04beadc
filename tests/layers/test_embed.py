"""Embed."""

import numpy as np
import pytest
from harness import Case, build, check_gradient, forward, labels, reference_cases, run_reference

from protonet.errors import DataError, ProtonetError

FILL = 'weight_filler { type: "gaussian" } bias_filler { type: "gaussian" }'
CASES = [
    Case(
        "bias",
        f'type: "Embed" embed_param {{ {FILL} num_output: 5 input_dim: 6 }}',
        [(2, 4)],
        [(2, 4, 5)],
        [(6, 5), (5,)],
    ),
    Case(
        "no_bias",
        f'type: "Embed" embed_param {{ {FILL} num_output: 40 input_dim: 3 bias_term: false }}',
        [(7,)],
        [(7, 40)],
        [(3, 40)],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_forward_and_gradient(case):
    rows = case.params[0][0]
    layer, bottom, top = case.build([labels(case.bottoms[0], rows)])
    forward(layer, bottom, top)
    bias = layer.blobs[1].data if len(layer.blobs) > 1 else 0
    want = layer.blobs[0].data[bottom[0].data.astype(int)] + bias
    np.testing.assert_allclose(top[0].data, want, rtol=1e-6)
    check_gradient(layer, bottom, top)


@pytest.mark.parametrize("value", [6, -1, np.nan])
def test_number_out_of_range(value):
    layer, bottom, top = CASES[0].build([[[0, 1, 2, 3], [4, 5, value, 0]]])
    message = r"\(Embed\): value .* at \(1, 2\) of the bottom .* input_dim is 6, so 0 to 5"
    with pytest.raises(DataError, match=message):
        forward(layer, bottom, top)


def test_refused():
    with pytest.raises(ProtonetError, match="num_output must be at least 1, got 0"):
        build('type: "Embed"', [(2, 4)])
    with pytest.raises(ProtonetError, match="input_dim must be at least 1, got 0"):
        build('type: "Embed" embed_param { num_output: 2 }', [(2, 4)])
    layer, bottom, top = CASES[0].build([labels((2, 4), 6)])
    with pytest.raises(ProtonetError, match="no gradient can flow into the numbers"):
        layer.backward(top, [True], bottom)


@pytest.mark.parametrize("case", reference_cases("Embed"))
def test_reference(case):
    run_reference(case)
