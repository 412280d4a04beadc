"""Clip."""

import numpy as np
import pytest
from harness import build, check_gradient, forward, reference_cases, run_reference

from protonet.errors import ShapeError

CLIP = 'type: "Clip" clip_param { min: -0.5 max: 0.75 }'


def test_forward_and_gradient():
    layer, bottom, top = build(CLIP, [(2, 3, 4, 5)])
    forward(layer, bottom, top)
    np.testing.assert_array_equal(top[0].data, np.clip(bottom[0].data, -0.5, 0.75))
    check_gradient(layer, bottom, top)


def test_the_gradient_passes_at_the_bounds():
    layer, bottom, top = build(CLIP, [(4,)], values=[[-0.6, -0.5, 0.75, 0.8]])
    forward(layer, bottom, top)
    top[0].diff[...] = [3, 4, 5, 6]
    layer.backward(top, [True], bottom)
    np.testing.assert_array_equal(bottom[0].diff, [0, 4, 5, 0])


def test_in_place_the_gradient_passes_everywhere():
    layer, blob, _ = build(CLIP, [(4,)], values=[[-3, 0.5, 3, 4]])
    forward(layer, blob, blob)
    np.testing.assert_array_equal(blob[0].data, [-0.5, 0.5, 0.75, 0.75])
    blob[0].diff[...] = [3, 4, 5, 6]
    layer.backward(blob, [True], blob)
    np.testing.assert_array_equal(blob[0].diff, [3, 4, 5, 6])


@pytest.mark.parametrize("case", reference_cases("Clip"))
def test_reference(case):
    run_reference(case)


@pytest.mark.parametrize("missing", ["min", "max"])
def test_refused(missing):
    from google.protobuf import text_format

    from protonet.layers.clip import Clip
    from protonet.schema import caffe_pb2 as pb

    param = text_format.Parse(f'name: "under_test" {CLIP}', pb.LayerParameter())
    param.clip_param.ClearField(missing)
    with pytest.raises(ShapeError, match=rf"layer 'under_test' \(Clip\): .*{missing} is missing"):
        Clip(param).setup([], [])
