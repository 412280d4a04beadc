"""Bias: y = x + b, where b spans some axes of x and repeats along the others.

The gradient of b is the sum of dy over the axes that it repeats along. As BVLC Caffe 1.0.
"""

from __future__ import annotations

import numpy as np

from protonet.blob import Blob
from protonet.kernels.affine import affine, channel_sums
from protonet.layer import register
from protonet.layers._span import Spanning


@register("Bias")
class Bias(Spanning):
    """bias_param: axis (1), num_axes (1; -1 for all from axis on, 0 for a scalar), filler (0).

    b is the second bottom or, without one, the layer's parameter.
    """

    in_place = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        p = self.param.bias_param
        if len(bottom) == 1:
            self.add_param(self.span(p, bottom[0].shape), p.filler)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        self.reshape_top(bottom, top, self.param.bias_param)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        b = (bottom[1] if len(bottom) > 1 else self.blobs[0]).data.reshape(-1)
        x, y = bottom[0].data.reshape(-1), top[0].data.reshape(-1)
        affine(x, np.ones(b.size, np.float32), b, y, self.inner)

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        own = len(bottom) == 1
        b = self.blobs[0] if own else bottom[1]
        if self.param_propagate_down[0] if own else propagate_down[1]:
            db = channel_sums(top[0].diff.reshape(-1), b.count, self.inner).reshape(b.shape)
            if own:
                b.diff[...] += db
            else:
                b.diff[...] = db
        if propagate_down[0] and bottom[0] is not top[0]:
            bottom[0].diff[...] = top[0].diff
