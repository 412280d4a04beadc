"""Concat: the bottoms one after the other along an axis. As BVLC Caffe 1.0."""

from __future__ import annotations

from protonet.blob import Blob, Shape
from protonet.errors import GraphError
from protonet.kernels.copies import copy_columns, side_by_side
from protonet.layer import Layer, register


@register("Concat")
class Concat(Layer):
    """concat_param: axis (1), or its older name concat_dim.

    (N, C1, H, W) and (N, C2, H, W) come out as (N, C1 + C2, H, W).
    """

    bottoms = (1, None)

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        p = self.param.concat_param
        if p.HasField("axis") and p.HasField("concat_dim"):
            raise self.error("expected axis or concat_dim, got both", GraphError)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        p, shape = self.param.concat_param, bottom[0].shape
        field = "concat_dim" if p.HasField("concat_dim") else "axis"
        self.axis = self.canonical_axis(getattr(p, field), shape, field)
        for i, blob in enumerate(bottom[1:], start=1):
            if self._rest(blob.shape) != self._rest(shape) or len(blob.shape) != len(shape):
                raise self.error(
                    f"expected bottoms that agree in all axes but axis {self.axis}; "
                    f"bottom 0 has shape {shape}, bottom {i} {blob.shape}"
                )
        total = sum(blob.shape[self.axis] for blob in bottom)
        top[0].reshape(*shape[: self.axis], total, *shape[self.axis + 1 :])

    def shares_values(self, bottom: list[Blob]) -> bool:
        return len(bottom) == 1

    def gathers(self, bottom: list[Blob]) -> int | None:
        return self.axis if len(bottom) > 1 else None

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        if len(bottom) == 1:
            top[0].share_data(bottom[0])
            return
        pairs = side_by_side(top[0].data, [blob.data for blob in bottom], self.axis)
        copy_columns([(x, y) for y, x in pairs if x.ctypes.data != y.ctypes.data])

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        if len(bottom) == 1:
            if propagate_down[0]:
                bottom[0].share_diff(top[0])
            return
        pairs = side_by_side(top[0].diff, [blob.diff for blob in bottom], self.axis)
        copy_columns([p for p, wanted in zip(pairs, propagate_down, strict=True) if wanted])

    def _rest(self, shape: Shape) -> Shape:
        return shape[: self.axis] + shape[self.axis + 1 :]
