"""Input: tops of given shapes, which the user fills. As BVLC Caffe 1.0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from protonet.blob import Blob
from protonet.errors import GraphError
from protonet.layer import Layer, register


@register("Input")
class Input(Layer):
    """input_param: shape, one for all tops or one for each.

    The shapes are given once: ``net.blobs["data"].reshape(...)`` may change them later.
    """

    bottoms = 0
    tops = (1, None)

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        shapes = [tuple(shape.dim) for shape in self.param.input_param.shape]
        if len(shapes) not in (0, 1, len(top)):
            raise self.error(
                f"expected no shape, one for all tops or one for each of {len(top)}, "
                f"got {len(shapes)}",
                GraphError,
            )
        for i, blob in enumerate(top if shapes else ()):
            shape = shapes[i if len(shapes) > 1 else 0]
            try:
                blob.reshape(*shape)
            except ValueError as problem:
                raise self.error(str(problem)) from None

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Leave the tops as they are."""

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Leave the tops as they were filled."""

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        """Nothing is below."""


def make_input(param: Any, tops: Sequence[Blob]) -> None:
    """Make a LayerParameter an Input of blobs of these shapes; all else in it stays as it is."""
    param.type = "Input"
    param.ClearField("input_param")
    for blob in tops:
        param.input_param.shape.add(dim=blob.shape)
