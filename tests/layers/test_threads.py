"""Layers compute the same, to the last bit, on any number of threads."""

import numpy as np
import pytest
from harness import build, forward, labels

from protonet.kernels import threads
from protonet.layer import TRAIN

W = 'weight_filler { type: "xavier" } bias_filler { type: "uniform" }'
CASES = [  # prototxt, shapes of the bottoms, classes if the second bottom holds labels
    ('type: "ReLU"', [(3, 41_111)], 0),
    ('type: "Sigmoid"', [(3, 21_111)], 0),
    ('type: "TanH"', [(3, 21_111)], 0),
    ('type: "ELU"', [(3, 21_111)], 0),
    ('type: "PReLU"', [(5, 7, 31, 33)], 0),
    ('type: "Dropout"', [(3, 41_111)], 0),
    ('type: "Softmax"', [(9, 21, 13, 17)], 0),
    ('type: "SoftmaxWithLoss"', [(9, 21, 13, 17), (9, 13, 17)], 21),
    ('type: "SigmoidCrossEntropyLoss"', [(3, 21_111), (3, 21_111)], 2),
    ('type: "EuclideanLoss"', [(3, 41_111), (3, 41_111)], 0),
    ('type: "LRN"', [(3, 17, 13, 29)], 0),
    ('type: "LRN" lrn_param { norm_region: WITHIN_CHANNEL }', [(3, 17, 13, 29)], 0),
    ('type: "Pooling" pooling_param { kernel_size: 3 stride: 2 }', [(3, 17, 27, 29)], 0),
    ('type: "Pooling" pooling_param { pool: AVE kernel_size: 3 }', [(3, 17, 27, 29)], 0),
    ('type: "Pooling" pooling_param { pool: STOCHASTIC kernel_size: 3 }', [(3, 17, 27, 29)], 0),
    ('type: "SPP" spp_param { pyramid_height: 2 }', [(3, 17, 27, 29)], 0),
    ('type: "Split"', [(3, 41_111)], 0),
    (f'type: "InnerProduct" inner_product_param {{ num_output: 70 {W} }}', [(37, 130)], 0),
    (
        f'type: "Convolution" convolution_param {{ num_output: 20 kernel_size: 5 {W} }}',
        [(18, 3, 20, 17)],
        0,
    ),
    (
        f'type: "Convolution" convolution_param {{ num_output: 6 kernel_size: 3 group: 3 {W} }}',
        [(2, 3, 20, 17)],
        0,
    ),
    (
        f'type: "Deconvolution" convolution_param {{ num_output: 6 kernel_size: 3 stride: 2 {W} }}',
        [(3, 4, 20, 17)],
        0,
    ),
    (f'type: "LSTM" recurrent_param {{ num_output: 70 {W} }}', [(5, 130, 3), (5, 130)], 2),
    (f'type: "RNN" recurrent_param {{ num_output: 70 {W} }}', [(5, 130, 3), (5, 130)], 2),
    (
        f'type: "Embed" embed_param {{ num_output: 130 input_dim: 11 {W} }}',
        [(900,)],
        11,
    ),
]


def compute(prototxt, shapes, classes):
    """Return all that a forward and a backward pass write."""
    values = [
        labels(s, classes) if classes and i == len(shapes) - 1 else None
        for i, s in enumerate(shapes)
    ]
    layer, bottom, top = build(
        prototxt, shapes, TRAIN, tops=2 if "Split" in prototxt else None, values=values
    )
    forward(layer, bottom, top)
    rng = np.random.default_rng(3)
    for blob in top:
        blob.diff[...] = rng.standard_normal(blob.shape)
    wanted = [i == 0 and i not in layer.not_differentiable for i in range(len(bottom))]
    layer.backward(top, wanted, bottom)
    diffs = [b.diff for b, down in zip(bottom, wanted, strict=True) if down]
    return [*(b.data for b in top), *diffs, *(b.diff for b in layer.blobs)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0].replace('"', "")[6:60])
def test_bits_do_not_depend_on_threads(case):
    before = threads.count()
    try:
        results = []
        for n in (1, 2, 3, 5):
            threads.set_count(n)
            results.append([array.copy() for array in compute(*case)])
    finally:
        threads.set_count(before)
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)
