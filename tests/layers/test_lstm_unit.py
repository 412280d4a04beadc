"""LSTMUnit. (Caffe has it for the use of LSTM: no case was recorded for it alone.)"""

import numpy as np
import pytest
from harness import build, check_gradient, forward

from protonet.errors import ProtonetError, ShapeError

SHAPES = [(1, 4, 3), (1, 4, 12), (1, 4)]
CONT = [[1, 0, 1, 1]]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_forward_and_gradient():
    layer, bottom, top = build('type: "LSTMUnit"', SHAPES, values=[None, None, CONT])
    forward(layer, bottom, top)
    i, f, o, g = np.split(bottom[1].data.astype(np.float64), 4, axis=2)
    c = np.reshape(CONT, (1, 4, 1)) * sigmoid(f) * bottom[0].data + sigmoid(i) * np.tanh(g)
    np.testing.assert_allclose(top[0].data, c, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(top[1].data, sigmoid(o) * np.tanh(c), rtol=1e-5, atol=1e-6)
    check_gradient(layer, bottom, top)


@pytest.mark.parametrize("bottoms", [[0], [1]])
def test_gradient_into_one_bottom(bottoms):
    layer, bottom, top = build('type: "LSTMUnit"', SHAPES, values=[None, None, CONT])
    check_gradient(layer, bottom, top, bottoms=bottoms)


@pytest.mark.parametrize(
    "shapes",
    [
        [(1, 4, 3), (1, 4, 9), (1, 4)],
        [(2, 4, 3), (2, 4, 12), (2, 4)],
        [(4, 3), (4, 12), (4,)],
        [(1, 4, 3), (1, 4, 12), (1, 5)],
    ],
)
def test_shapes_that_do_not_fit(shapes):
    with pytest.raises(ShapeError, match=r"\(1, N, H\), \(1, N, 4H\) and \(1, N\), got"):
        build('type: "LSTMUnit"', shapes)


def test_no_gradient_into_cont():
    layer, bottom, top = build('type: "LSTMUnit"', SHAPES)
    with pytest.raises(ProtonetError, match="no gradient can flow into bottom 2"):
        layer.backward(top, [True, True, True], bottom)
