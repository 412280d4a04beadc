"""A backward pass before any forward pass gives zeros or finite numbers, as in Caffe."""

import numpy as np
import pytest
from harness import build

from protonet.layer import TRAIN

CASES = [
    ('type: "Pooling" pooling_param { kernel_size: 2 }', [(2, 3, 5, 4)]),
    ('type: "Pooling" pooling_param { kernel_size: 2 pool: STOCHASTIC }', [(2, 3, 5, 4)]),
    ('type: "SPP" spp_param { pyramid_height: 2 }', [(2, 3, 5, 4)]),
    ('type: "LRN"', [(2, 3, 5, 4)]),
    ('type: "Dropout"', [(2, 3)]),
    ('type: "SoftmaxWithLoss"', [(2, 3), (2,)]),
    ('type: "SigmoidCrossEntropyLoss"', [(2, 3), (2, 3)]),
    ('type: "LSTM" recurrent_param { num_output: 2 }', [(4, 2, 3), (4, 2)]),
    ('type: "RNN" recurrent_param { num_output: 2 }', [(4, 2, 3), (4, 2)]),
]


@pytest.mark.parametrize(("prototxt", "shapes"), CASES)
def test_backward_first(prototxt, shapes):
    values = [None, *[np.zeros(s) for s in shapes[1:]]]
    layer, bottom, top = build(prototxt, shapes, TRAIN, values=values)
    for blob in top:
        blob.diff[...] = 1
    layer.backward(top, [i == 0 for i in range(len(bottom))], bottom)
    assert np.isfinite(bottom[0].diff).all()
