"""Dropout: in training each value is 0 with probability p, otherwise divided by 1 - p.

As BVLC Caffe 1.0; in the TEST phase values pass unchanged.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from protonet.blob import Array, Blob
from protonet.kernels.jit import kernel
from protonet.layer import TRAIN, register
from protonet.layers._neuron import Neuron
from protonet.random import generator


@kernel("void(float32[::1], uint32[::1], uint32, float32, float32[::1], int64, int64)", shared=True)
def keep(x: Array, draws: Any, threshold: int, scale: float, y: Array, lo: int, hi: int) -> None:
    """Write y[lo:hi]: scale · x where the draw reaches the threshold, otherwise 0."""
    x, draws, y = x[lo:hi], draws[lo:hi], y[lo:hi]
    for i in range(x.size):
        y[i] = scale * x[i] if draws[i] >= threshold else np.float32(0)


@register("Dropout")
class Dropout(Neuron):
    """dropout_param: dropout_ratio (0.5). Draws from the process's generator, in the order of x."""

    grain: ClassVar[int] = 32768

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        ratio = self.param.dropout_param.dropout_ratio
        if not 0 <= ratio < 1:
            raise self.error(f"dropout_ratio must be at least 0 and less than 1, got {ratio:g}")
        self._threshold = int(ratio * 2**32)
        self._scale = 1 / (1 - ratio)
        self._draws: Any = None

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        if self.phase == TRAIN:
            self._draws = generator().integers(0, 2**32, bottom[0].count, np.uint32)
        super().forward(bottom, top)

    def values(self, x: Array, y: Array) -> None:
        if self.phase == TRAIN:
            self.over(keep, x, self._draws, self._threshold, self._scale, y)
        elif y is not x:
            np.copyto(y, x)

    def gradients(self, x: Array, y: Array, dy: Array, dx: Array) -> None:
        if self.phase == TRAIN and self._draws is None:
            dx.fill(0)  # nothing was let through yet
        else:
            self.values(dy, dx)
