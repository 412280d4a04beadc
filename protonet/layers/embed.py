"""Embed: each value is the number of a row of weights; the top holds the rows. As Caffe 1.0."""

from __future__ import annotations

import numpy as np

from protonet.blob import Array, Blob
from protonet.errors import DataError
from protonet.kernels import threads
from protonet.kernels.jit import kernel
from protonet.layer import Layer, register
from protonet.layers._loss import label_at


@kernel("int64(float32[::1], float32[:, ::1], float32[:, ::1])")
def look_up(x: Array, w: Array, y: Array) -> int:
    """Write y (M, N), rows of w (K, N) as x (M,) names them; return the first bad place, or -1."""
    for m in range(x.size):
        k = label_at(x[m], w.shape[0])
        if k < 0:
            return m
        for n in range(w.shape[1]):
            y[m, n] = w[k, n]
    return -1


@kernel("void(float32[::1], float32[:, ::1], float32[:, ::1], int64, int64)", shared=True)
def add_rows(x: Array, dy: Array, dw: Array, lo: int, hi: int) -> None:
    """Add columns lo to hi of each row of dy (M, N) to the row of dw (K, N) that x (M,) names."""
    for m in range(x.size):
        k = label_at(x[m], dw.shape[0])
        if k >= 0:
            for n in range(lo, hi):
                dw[k, n] += dy[m, n]


@register("Embed")
class Embed(Layer):
    """embed_param: num_output, input_dim, bias_term (true), fillers.

    x: (...) of numbers 0 to input_dim - 1; y: (..., num_output). Parameters: weights
    (input_dim, num_output) and bias (num_output,). No gradient flows into x.
    """

    not_differentiable = frozenset({0})

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        param = self.param.embed_param
        for name in ("num_output", "input_dim"):
            if getattr(param, name) < 1:
                raise self.error(f"{name} must be at least 1, got {getattr(param, name)}")
        self.add_param((int(param.input_dim), int(param.num_output)), param.weight_filler)
        if param.bias_term:
            self.add_param((int(param.num_output),), param.bias_filler)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        width = self.blobs[0].shape[1]
        self._y_shape = (bottom[0].count, width)
        top[0].reshape(*bottom[0].shape, width)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        x, y = bottom[0].data.reshape(-1), top[0].data.reshape(self._y_shape)
        bad = look_up(x, self.blobs[0].data, y)
        if bad >= 0:
            place = tuple(int(i) for i in np.unravel_index(bad, bottom[0].shape))
            inputs = self.blobs[0].shape[0]
            raise self.error(
                f"value {float(x[bad]):g} at {place} of the bottom is out of range: input_dim is "
                f"{inputs}, so 0 to {inputs - 1}",
                DataError,
            )
        if len(self.blobs) > 1:
            y += self.blobs[1].data

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        if propagate_down[0]:
            raise self.error("no gradient can flow into the numbers of rows")
        x, dy = bottom[0].data.reshape(-1), top[0].diff.reshape(self._y_shape)
        if self.param_propagate_down[0]:
            dw = self.blobs[0].diff
            grain = max(16, 16384 // max(1, len(x)))
            threads.share(add_rows, dw.shape[1], x, dy, dw, grain=grain)
        if len(self.blobs) > 1 and self.param_propagate_down[1]:
            bias = self.blobs[1].diff
            bias += dy.sum(axis=0)
