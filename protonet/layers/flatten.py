"""Flatten: the axes from ``axis`` to ``end_axis`` become one. As BVLC Caffe 1.0."""

from __future__ import annotations

from protonet.blob import Blob
from protonet.layer import register
from protonet.layers._view import View


@register("Flatten")
class Flatten(View):
    """flatten_param: axis (1), end_axis (-1), both included.

    (N, C, H, W) comes out as (N, C · H · W) by default.
    """

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        p, shape = self.param.flatten_param, bottom[0].shape
        start = self.canonical_axis(p.axis, shape)
        end = self.canonical_axis(p.end_axis, shape, "end_axis") + 1
        if end <= start:
            raise self.error(
                f"expected end_axis not before axis {p.axis}, got {p.end_axis} for a bottom of "
                f"shape {shape}"
            )
        top[0].reshape(*shape[:start], Blob(shape[start:end]).count, *shape[end:])
