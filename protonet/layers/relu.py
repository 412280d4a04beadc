"""ReLU: y = max(x, 0) + slope · min(x, 0). The gradient at 0 is the slope. As BVLC Caffe 1.0."""

from __future__ import annotations

from typing import ClassVar

from protonet.blob import Array, Blob
from protonet.kernels.finish import Finish
from protonet.kernels.jit import kernel
from protonet.layer import register
from protonet.layers._neuron import Neuron


@kernel("void(float32[::1], float32, float32[::1], int64, int64)", shared=True)
def relu_forward(x: Array, slope: float, y: Array, lo: int, hi: int) -> None:
    """Write y[lo:hi]."""
    x, y = x[lo:hi], y[lo:hi]
    for i in range(x.size):
        v = x[i]
        y[i] = v if v > 0 else slope * v


# In place LLVM cannot tell that what is written is not read again further on, and gives up its
# vectors, unless there is one array only: a third of the time.
@kernel("void(float32, float32[::1], int64, int64)", shared=True)
def relu_in_place(slope: float, y: Array, lo: int, hi: int) -> None:
    """Write y[lo:hi] over what it is computed from."""
    y = y[lo:hi]
    for i in range(y.size):
        v = y[i]
        y[i] = v if v > 0 else slope * v


@kernel("void(float32[::1], float32, float32[::1], int64, int64)", shared=True)
def relu_backward_in_place(y: Array, slope: float, dx: Array, lo: int, hi: int) -> None:
    """Write dx[lo:hi] over the gradient of the top."""
    y, dx = y[lo:hi], dx[lo:hi]
    for i in range(y.size):
        g = dx[i]
        dx[i] = g if y[i] > 0 else slope * g


@kernel("void(float32[::1], float32[::1], float32, float32[::1], int64, int64)", shared=True)
def relu_backward(x: Array, dy: Array, slope: float, dx: Array, lo: int, hi: int) -> None:
    """Write dx[lo:hi]."""
    x, dy, dx = x[lo:hi], dy[lo:hi], dx[lo:hi]
    for i in range(x.size):
        g = dy[i]
        dx[i] = g if x[i] > 0 else slope * g


@register("ReLU")
class ReLU(Neuron):
    """relu_param: negative_slope (0)."""

    grain: ClassVar[int] = 32768

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        self.slope: float = self.param.relu_param.negative_slope

    def maps_channels(self, bottom: list[Blob]) -> str:
        return "slope"

    def channel_map(self) -> Finish:
        return Finish(slope=self.slope)

    def values(self, x: Array, y: Array) -> None:
        if x is y:
            self.over(relu_in_place, self.slope, y)
        else:
            self.over(relu_forward, x, self.slope, y)

    def gradients(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        if dx is dy:
            self.over(relu_backward_in_place, y, self.slope, dx)
        else:
            self.over(relu_backward, x, dy, self.slope, dx)
