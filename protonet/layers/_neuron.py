"""What layers that treat every value alone have in common."""

from __future__ import annotations

from typing import Any, ClassVar

from protonet.blob import Array, Blob
from protonet.kernels import threads
from protonet.kernels.jit import Kernel
from protonet.layer import Layer


class Neuron(Layer):
    """One bottom, one top of its shape; may run in place.

    A type gives :meth:`values` and :meth:`gradients`, which see blobs as flat arrays and call
    kernels by :meth:`over`. In place ``x is y`` and ``dx is dy``: then ``x`` holds the results.

    Attributes:
        grain: values for which a thread of its own is worth while, fewer for costly functions.
    """

    in_place = True
    grain: ClassVar[int] = 16384

    def values(self, x: Array, y: Array) -> None:
        """Write y. x, y: (count,) float32."""
        raise NotImplementedError

    def gradients(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        """Write dx. x, y, dy, dx: (count,) float32."""
        raise NotImplementedError

    def over(self, kernel: Kernel, *args: Any) -> None:
        """Call a shared kernel over all values."""
        threads.share(kernel, self._count, *args, grain=self.grain)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        self._count = bottom[0].count
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        x = bottom[0].data.reshape(-1)
        y = x if top[0] is bottom[0] else top[0].data.reshape(-1)
        self.values(x, y)

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        if not propagate_down[0]:
            return
        x, dx = bottom[0].data.reshape(-1), bottom[0].diff.reshape(-1)
        y, dy = x, dx
        if top[0] is not bottom[0]:
            y, dy = top[0].data.reshape(-1), top[0].diff.reshape(-1)
        self.gradients(x, y, dy, dx)
