"""What layers that only rename the axes of a blob have in common."""

from __future__ import annotations

from protonet.blob import Blob
from protonet.layer import Layer


class View(Layer):
    """The top holds the bottom's own values, in another shape: nothing is copied.

    A type gives ``reshape``. On the way back the bottom takes the top's gradient for its own.
    """

    def shares_values(self, bottom: list[Blob]) -> bool:
        return True

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        top[0].share_data(bottom[0])

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        if propagate_down[0]:
            bottom[0].share_diff(top[0])
