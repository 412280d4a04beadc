"""Slice: the tops are parts of the bottom, one after the other along an axis.

As BVLC Caffe 1.0.
"""

from __future__ import annotations

from itertools import pairwise

from protonet.blob import Blob
from protonet.errors import GraphError
from protonet.kernels.copies import copy_columns, side_by_side
from protonet.layer import Layer, register


@register("Slice")
class Slice(Layer):
    """slice_param: axis (1), or its older name slice_dim; slice_point, where each top after the
    first begins. Without slice_point all tops are alike.
    """

    tops = (1, None)

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        p = self.param.slice_param
        if p.HasField("axis") and p.HasField("slice_dim"):
            raise self.error("expected axis or slice_dim, got both", GraphError)
        self.points: list[int] = list(p.slice_point)
        if self.points and len(self.points) != len(top) - 1:
            raise self.error(
                f"expected {len(top) - 1} slice_point for {len(top)} tops, got {self.points}",
                GraphError,
            )

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        p, shape = self.param.slice_param, bottom[0].shape
        field = "slice_dim" if p.HasField("slice_dim") else "axis"
        self.axis = self.canonical_axis(getattr(p, field), shape, field)
        size = shape[self.axis]
        if not self.points and size % len(top):
            raise self.error(
                f"axis {self.axis} of the bottom, shape {shape}, does not divide into {len(top)} "
                "tops; give slice_point"
            )
        even = [size // len(top) * i for i in range(1, len(top))]
        ends = [0, *(self.points or even), size]
        if self.points and any(a >= b for a, b in pairwise(ends)):
            raise self.error(
                f"expected slice_point to rise from 1 to {size - 1}, within axis {self.axis} of "
                f"the bottom, shape {shape}; got {self.points}"
            )
        for blob, (start, end) in zip(top, pairwise(ends), strict=True):
            blob.reshape(*shape[: self.axis], end - start, *shape[self.axis + 1 :])

    def shares_values(self, bottom: list[Blob]) -> bool:
        return len(self.param.top) == 1

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        if len(top) == 1:
            top[0].share_data(bottom[0])
        else:
            copy_columns(side_by_side(bottom[0].data, [blob.data for blob in top], self.axis))

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        if not propagate_down[0]:
            return
        if len(top) == 1:
            bottom[0].share_diff(top[0])
        else:
            pairs = side_by_side(bottom[0].diff, [blob.diff for blob in top], self.axis)
            copy_columns([(dy, dx) for dx, dy in pairs])
