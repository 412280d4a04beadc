"""Crop: a window of the first bottom, of the second one's size. As BVLC Caffe 1.0.

From ``axis`` on the window has the second bottom's shape and starts at the offsets; the axes
before stay whole. The values of the second bottom do not matter.
"""

from __future__ import annotations

from protonet.blob import Blob
from protonet.errors import GraphError
from protonet.layer import Layer, register


@register("Crop")
class Crop(Layer):
    """crop_param: axis (2), offset (0; one for all cropped axes, or one for each)."""

    bottoms = 2
    not_differentiable = frozenset({1})

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        p, shape, like = self.param.crop_param, bottom[0].shape, bottom[1].shape
        if len(shape) != len(like):
            raise self.error(
                f"expected two bottoms with as many axes, got shapes {shape} and {like}"
            )
        axis = self.canonical_axis(p.axis, shape)
        cropped = len(shape) - axis
        offsets = list(p.offset)
        if len(offsets) not in (0, 1, cropped):
            raise self.error(
                f"expected no offset, one, or one for each of the {cropped} axes from axis "
                f"{p.axis} on; got {offsets}",
                GraphError,
            )
        if len(offsets) < 2:
            offsets = (offsets or [0]) * cropped
        for i, offset in enumerate(offsets, start=axis):
            if offset + like[i] > shape[i]:
                raise self.error(
                    f"a window of {like[i]} at offset {offset} goes beyond axis {i} of the bottom, "
                    f"shape {shape}; the second bottom has shape {like}"
                )
        self.window = (
            *(slice(None) for _ in shape[:axis]),
            *(slice(o, o + n) for o, n in zip(offsets, like[axis:], strict=True)),
        )
        top[0].reshape(*shape[:axis], *like[axis:])

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        top[0].data[...] = bottom[0].data[self.window]

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        if propagate_down[0]:
            bottom[0].diff.fill(0)
            bottom[0].diff[self.window] = top[0].diff
        if propagate_down[1]:
            bottom[1].diff.fill(0)
