"""caffe.coord_map: where pixels of one blob lie in another."""

import numpy as np
import pytest

from protonet.caffe import layers as L  # noqa: N812
from protonet.caffe.coord_map import (
    AxisMismatchException,
    UndefinedMapException,
    coord_map,
    coord_map_from_to,
    crop,
)
from protonet.errors import GraphError


def data():
    return L.Input(shape=dict(dim=[2, 1, 100, 100]))


MAPS = {  # what is made of the data: (layers, scale, shift)
    "conv": (lambda x: L.Convolution(x, kernel_size=5, stride=2, pad=0), 2, -(-4 / 2) / 1),
    "pad": (lambda x: L.Convolution(x, kernel_size=3, pad=1), 1, 0),
    "rf": (lambda x: L.Convolution(x, kernel_size=9), 1, 4),
    "dilated": (lambda x: L.Convolution(x, kernel_size=3, dilation=4), 1, 4),
    "pool": (lambda x: L.Pooling(x, kernel_size=2, stride=2), 2, 0.5),
    "pool_in_its_message": (
        lambda x: L.Pooling(x, pooling_param=dict(kernel_size=2, stride=2)),
        2,
        0.5,
    ),
    "up": (
        lambda x: L.Deconvolution(x, convolution_param=dict(kernel_size=4, stride=2, pad=1)),
        0.5,
        -0.25,
    ),
    "pass": (lambda x: L.ReLU(L.Dropout(x)), 1, 0),
    "there_and_back": (
        lambda x: L.Deconvolution(
            L.Convolution(x, kernel_size=3, pad=1, stride=2),
            convolution_param=dict(kernel_size=3, pad=1, stride=2),
        ),
        1,
        0,
    ),
    "crop": (lambda x: L.Crop(x, data(), axis=2, offset=3), 1, 3),
}


@pytest.mark.parametrize(("make", "scale", "shift"), MAPS.values(), ids=MAPS)
def test_maps(make, scale, shift):
    x = data()
    _, a, b = coord_map_from_to(make(x), x)
    assert np.ravel(a) == pytest.approx(scale)
    assert np.ravel(b) == pytest.approx(shift)


def test_crop_of_branches():
    x = data()
    small = L.Convolution(x, kernel_size=5)
    made = crop(x, small)
    assert made.fn.type_name == "Crop"
    assert made.fn.params["crop_param"] == {"axis": 2, "offset": [2]}
    net = made.to_proto()
    assert list(net.layer[-1].crop_param.offset) == [2]


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda x: crop(L.Convolution(x, kernel_size=5), x), GraphError, "an offset of 0 or more"),
        (lambda x: crop(x, L.Pooling(x, kernel_size=2, stride=2)), GraphError, "of one scale"),
        (lambda x: crop(x, L.Pooling(x, kernel_size=2, stride=1)), GraphError, "whole pixels"),
        (lambda x: coord_map_from_to(x, data()), RuntimeError, "no spatial layers connect"),
        (lambda x: coord_map(L.InnerProduct(x).fn), UndefinedMapException, "InnerProduct layer"),
        (
            lambda x: coord_map_from_to(
                L.Convolution(L.Convolution(x, kernel_size=3), kernel_size=3, axis=2), x
            ),
            AxisMismatchException,
            "the axes 2 and 1",
        ),
        (lambda x: coord_map(L.Convolution(x, kernel_h=3, kernel_w=2).fn), GraphError, "kernel_h"),
    ],
)
def test_refused(make, kind, message):
    with pytest.raises(kind, match=message):
        make(data())
