"""Power: y = (shift + scale · x)^power.

The gradient is dy · power · scale · (shift + scale · x)^(power - 1), and 0 where power or scale is
0. As BVLC Caffe 1.0, except that x = 0 without a shift does not make it 0 / 0.

In place Caffe writes the derivative over dy before it multiplies by dy, and takes y for x: what
comes out is the square of the derivative there, without dy. Files that were trained that way
exist, so this is kept.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from protonet.blob import Array, Blob
from protonet.kernels.jit import kernel
from protonet.layer import register
from protonet.layers._neuron import Neuron

ONE = np.float32(1)


@kernel("void(float32[::1], float32, float32, float32, float32[::1], int64, int64)", shared=True)
def power_forward(
    x: Array, scale: float, shift: float, power: float, y: Array, lo: int, hi: int
) -> None:
    """Write y[lo:hi]."""
    x, y = x[lo:hi], y[lo:hi]
    if power == 1:
        for i in range(x.size):
            y[i] = scale * x[i] + shift
    elif power == 2:
        for i in range(x.size):
            v = scale * x[i] + shift
            y[i] = v * v
    else:
        for i in range(x.size):
            y[i] = (scale * x[i] + shift) ** power


@kernel(
    "void(float32[::1], float32[::1], float32, float32, float32, float32[::1], int64, int64)",
    shared=True,
)
def power_backward(
    x: Array, dy: Array, scale: float, shift: float, power: float, dx: Array, lo: int, hi: int
) -> None:
    """Write dx[lo:hi]."""
    x, dy, dx = x[lo:hi], dy[lo:hi], dx[lo:hi]
    slope = power * scale
    if power == 1 or slope == 0:
        for i in range(x.size):
            dx[i] = slope * dy[i]
    elif power == 2:
        for i in range(x.size):
            dx[i] = dy[i] * slope * (scale * x[i] + shift)
    else:
        less = power - ONE
        for i in range(x.size):
            dx[i] = dy[i] * slope * (scale * x[i] + shift) ** less


@kernel("void(float32[::1], float32, float32, float32, float32[::1], int64, int64)", shared=True)
def power_backward_in_place(
    y: Array, scale: float, shift: float, power: float, dx: Array, lo: int, hi: int
) -> None:
    """Write dx[lo:hi], the square of Caffe's derivative with y in the place of x."""
    y, dx = y[lo:hi], dx[lo:hi]
    slope = power * scale
    for i in range(y.size):
        v = scale * y[i] + shift
        f = slope
        if power == 2:
            f = slope * v
        elif power != 1 and slope != 0:
            f = slope * y[i] / v
        dx[i] = f * f


@register("Power")
class Power(Neuron):
    """power_param: power (1), scale (1), shift (0).

    In place its gradient is Caffe's, not that of the function: see the module's docstring.
    """

    grain: ClassVar[int] = 8192

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        p = self.param.power_param
        self.power: float = p.power
        self.scale: float = p.scale
        self.shift: float = p.shift

    def values(self, x: Array, y: Array) -> None:
        self.over(power_forward, x, self.scale, self.shift, self.power, y)

    def gradients(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        if self.shares:
            self.over(power_backward_in_place, y, self.scale, self.shift, self.power, dx)
        else:
            self.over(power_backward, x, dy, self.scale, self.shift, self.power, dx)

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        self.shares = top[0] is bottom[0]
        super().backward(top, propagate_down, bottom)
