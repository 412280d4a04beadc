"""Parameter: a blob that is learned, as a top. As BVLC Caffe 1.0."""

from __future__ import annotations

from protonet.blob import Blob
from protonet.layer import Layer, register
from protonet.schema import caffe_pb2 as pb


@register("Parameter")
class Parameter(Layer):
    """parameter_param: shape. The values start as zeros; Caffe has no filler for them."""

    bottoms = 0

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        shape = tuple(self.param.parameter_param.shape.dim)
        try:
            self.add_param(shape, pb.FillerParameter())
        except ValueError as problem:
            raise self.error(str(problem)) from None

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        top[0].reshape(*self.blobs[0].shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        top[0].share_data(self.blobs[0])

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        if self.param_propagate_down[0]:
            self.blobs[0].diff[...] += top[0].diff
