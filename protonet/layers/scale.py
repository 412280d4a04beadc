"""Scale: y = x · s (+ b), where s and b span some axes of x and repeat along the others.

dx = dy · s; the gradients of s and b are the sums of dy · x and of dy over the axes that they
repeat along. As BVLC Caffe 1.0.
"""

from __future__ import annotations

import numpy as np

from protonet.blob import Blob
from protonet.kernels.affine import Sums, affine, affine_backward
from protonet.kernels.finish import Finish
from protonet.layer import register
from protonet.layers._span import Spanning
from protonet.schema import caffe_pb2 as pb


@register("Scale")
class Scale(Spanning):
    """scale_param: axis (1), num_axes (1; -1 for all from axis on, 0 for a scalar), filler (1),
    bias_term (false), bias_filler (0).

    s is the second bottom or, without one, the layer's first parameter; b is its last. Backward
    needs x, so it has storage of its own.
    """

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        p = self.param.scale_param
        if len(bottom) == 1:
            filler = p.filler if p.HasField("filler") else pb.FillerParameter(value=1)
            self.add_param(self.span(p, bottom[0].shape), filler)
        if p.bias_term:
            shape = bottom[1].shape if len(bottom) > 1 else self.blobs[0].shape
            self.add_param(shape, p.bias_filler)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        self.reshape_top(bottom, top, self.param.scale_param)
        if len(bottom) > 1 and self.blobs and self.blobs[0].shape != bottom[1].shape:
            raise self.error(
                f"expected a second bottom of the bias's shape {self.blobs[0].shape}, "
                f"got {bottom[1].shape}"
            )

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        s = self._scale(bottom).data.reshape(-1)
        b = self.blobs[-1].data.reshape(-1) if self._has_bias() else np.zeros(s.size, np.float32)
        affine(bottom[0].data.reshape(-1), s, b, top[0].data.reshape(-1), self.inner)

    def maps_channels(self, bottom: list[Blob]) -> str:
        shape = bottom[0].shape
        own = len(bottom) == 1 and self.blobs[0].shape == shape[1:2]
        return "affine" if own and self.inner == Blob(shape[2:]).count else ""

    def channel_map(self) -> Finish:
        s = self.blobs[0].values
        return Finish(s, self.blobs[1].values if self._has_bias() else np.zeros_like(s))

    def add_map_gradients(self, factor: Sums, shift: Sums) -> None:
        for blob, gradient, wanted in zip(
            self.blobs, (factor, shift), self.param_propagate_down, strict=False
        ):
            if wanted:
                blob.diff[...] += gradient

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        scale, own = self._scale(bottom), len(bottom) == 1
        x, dy = bottom[0].data.reshape(-1), top[0].diff.reshape(-1)
        s = scale.data.reshape(-1)
        learns = self._has_bias() and self.param_propagate_down[-1]
        scales = self.param_propagate_down[0] if own else propagate_down[1]
        if not learns and not scales:
            if propagate_down[0]:
                affine(dy, s, np.zeros_like(s), bottom[0].diff.reshape(-1), self.inner)
            return
        dx = bottom[0].diff.reshape(-1) if propagate_down[0] else np.empty_like(dy)
        ds, db = affine_backward(x, dy, s, dx, self.inner)
        if learns:
            self.blobs[-1].diff[...] += db.reshape(scale.shape)
        if scales and own:
            scale.diff[...] += ds.reshape(scale.shape)
        elif scales:
            scale.diff[...] = ds.reshape(scale.shape)

    def _scale(self, bottom: list[Blob]) -> Blob:
        return self.blobs[0] if len(bottom) == 1 else bottom[1]

    def _has_bias(self) -> bool:
        return bool(self.param.scale_param.bias_term)
