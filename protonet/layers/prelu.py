"""PReLU: y = max(x, 0) + slope[c] · min(x, 0), one learned slope a channel or one for all.

As BVLC Caffe 1.0; He et al. (2015).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from protonet.blob import Array, Blob
from protonet.kernels import threads
from protonet.kernels.jit import kernel
from protonet.layer import Layer, register


@kernel("void(float32[:, ::1], float32[::1], int64, float32[:, ::1], int64, int64)", shared=True)
def prelu_forward(x: Array, slope: Array, C: int, y: Array, lo: int, hi: int) -> None:
    """Write y[lo:hi]. x, y: (N·C, D); slope: (C,), or (1,) for all."""
    for r in range(lo, hi):
        s = slope[r % C % slope.size]
        for d in range(x.shape[1]):
            v = x[r, d]
            y[r, d] = v if v > 0 else s * v


@kernel(
    "void(float32[:, ::1], float32[:, ::1], float32[::1], int64, float32[:, ::1], int64, int64)",
    shared=True,
)
def prelu_backward(x: Array, dy: Array, slope: Array, C: int, dx: Array, lo: int, hi: int) -> None:
    """Write dx[lo:hi]."""
    for r in range(lo, hi):
        s = slope[r % C % slope.size]
        for d in range(x.shape[1]):
            g = dy[r, d]
            dx[r, d] = g if x[r, d] > 0 else s * g


@kernel("void(float32[:, ::1], float32[:, ::1], float64[::1], int64, int64)", shared=True)
def prelu_slopes(x: Array, dy: Array, sums: Any, lo: int, hi: int) -> None:
    """Write to sums[lo:hi] what each row of x, dy (N·C, D) adds to the slope's gradient."""
    for r in range(lo, hi):
        total = np.float32(0)
        for d in range(x.shape[1]):
            total += dy[r, d] * min(x[r, d], np.float32(0))
        sums[r] = total


@register("PReLU")
class PReLU(Layer):
    """prelu_param: filler (constant 0.25), channel_shared (false).

    x: (N, C, ...). Parameter: slopes (C,), or () when shared. Backward needs x, so it has storage
    of its own.
    """

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        param, shape = self.param.prelu_param, bottom[0].shape
        if len(shape) < 2:
            raise self.error(f"expected a bottom with axes (N, C, ...), got shape {shape}")
        filler = param.filler
        if not param.HasField("filler"):
            filler = type(filler)(type="constant", value=0.25)
        self._channels = shape[1]
        self.add_param(() if param.channel_shared else (self._channels,), filler)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        shape = bottom[0].shape
        if len(shape) < 2 or shape[1] != self._channels:
            raise self.error(f"expected a bottom of {self._channels} channels, got shape {shape}")
        rows = shape[0] * shape[1]
        self._rows = (rows, bottom[0].count // max(rows, 1))
        self._grain = max(1, 16384 // max(1, self._rows[1]))
        top[0].reshape(*shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        x, y = bottom[0].data.reshape(self._rows), top[0].data.reshape(self._rows)
        slope, C = self.blobs[0].data.reshape(-1), self._channels
        threads.share(prelu_forward, len(x), x, slope, C, y, grain=self._grain)

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        x, dy = bottom[0].data.reshape(self._rows), top[0].diff.reshape(self._rows)
        slope, C = self.blobs[0], self._channels
        if self.param_propagate_down[0]:
            sums = np.zeros(len(x))
            threads.share(prelu_slopes, len(x), x, dy, sums, grain=self._grain)
            dslope = slope.diff
            dslope += sums.sum() if slope.shape == () else sums.reshape(-1, C).sum(axis=0)
        if propagate_down[0]:
            flat, dx = slope.data.reshape(-1), bottom[0].diff.reshape(self._rows)
            threads.share(prelu_backward, len(x), x, dy, flat, C, dx, grain=self._grain)
