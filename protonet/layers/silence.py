"""Silence: takes blobs that nothing else uses, so that they are not outputs of the net."""

from __future__ import annotations

from protonet.blob import Blob
from protonet.layer import Layer, register


@register("Silence")
class Silence(Layer):
    """Has no parameters. As BVLC Caffe 1.0."""

    bottoms = (1, None)
    tops = 0

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """There is no top."""

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """There is nothing to compute."""

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        for blob, wanted in zip(bottom, propagate_down, strict=True):
            if wanted:
                blob.diff.fill(0)
