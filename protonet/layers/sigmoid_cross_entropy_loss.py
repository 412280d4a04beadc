"""SigmoidCrossEntropyLoss: -Σ t·log σ(x) + (1-t)·log(1-σ(x)), divided. As BVLC Caffe 1.0."""

from __future__ import annotations

import math

import numpy as np

from protonet.blob import Array, Blob
from protonet.kernels import threads
from protonet.kernels.functions import sigmoid
from protonet.kernels.jit import kernel
from protonet.layer import register
from protonet.layers._loss import (
    BATCH_SIZE,
    Loss,
    ignored_label,
    is_ignored,
    normalization,
    normalizer,
)

GRAIN = 2048


@kernel("void(float32[::1], float32[::1], float64, float64[::1])")
def cross_entropy(x: Array, target: Array, ignored: float, sums: Array) -> None:
    """Write the loss and the number of values not ignored to ``sums``. x, target: (count,)."""
    total, valid = 0.0, 0
    for i in range(x.size):
        t = target[i]
        if is_ignored(t, ignored):
            continue
        v = x[i]
        total += max(v, 0) - v * t + math.log1p(math.exp(-abs(v)))
        valid += 1
    sums[0], sums[1] = total, valid


@kernel(
    "void(float32[::1], float32[::1], float64, float32, float32[::1], int64, int64)", shared=True
)
def cross_entropy_backward(
    x: Array, target: Array, ignored: float, scale: float, dx: Array, lo: int, hi: int
) -> None:
    """Write scale · (σ(x) - target) to dx[lo:hi], 0 where the target is ignored."""
    x, target, dx = x[lo:hi], target[lo:hi], dx[lo:hi]
    for i in range(x.size):
        t = target[i]
        if is_ignored(t, ignored):
            dx[i] = 0
        else:
            dx[i] = scale * (sigmoid(x[i]) - t)


@register("SigmoidCrossEntropyLoss")
class SigmoidCrossEntropyLoss(Loss):
    """loss_param: normalization (BATCH_SIZE), ignore_label. Targets may lie between 0 and 1."""

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        param = self.param.loss_param
        self._mode = normalization(param, BATCH_SIZE)
        self._ignored = ignored_label(param)
        self._sums = np.zeros(2)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        super().reshape(bottom, top)
        if bottom[0].count != bottom[1].count:
            raise self.error(
                f"expected as many targets as predictions, got shapes {bottom[0].shape} "
                f"and {bottom[1].shape}"
            )

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        x, target = bottom[0].data.reshape(-1), bottom[1].data.reshape(-1)
        cross_entropy(x, target, self._ignored, self._sums)
        top[0].data[...] = self._sums[0] / self._normalizer(bottom)

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        self.check_propagation(propagate_down)
        if not propagate_down[0]:
            return
        x, target = bottom[0].data.reshape(-1), bottom[1].data.reshape(-1)
        dx, ignored = bottom[0].diff.reshape(-1), self._ignored
        scale = float(top[0].diff) / self._normalizer(bottom)
        threads.share(cross_entropy_backward, x.size, x, target, ignored, scale, dx, grain=GRAIN)

    def _normalizer(self, bottom: list[Blob]) -> float:
        outer = bottom[0].shape[0]
        return normalizer(self._mode, outer, bottom[0].count // max(outer, 1), self._sums[1])
