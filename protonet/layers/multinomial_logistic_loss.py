"""MultinomialLogisticLoss: the mean of -log p[label]. As BVLC Caffe 1.0.

The bottom holds probabilities; SoftmaxWithLoss, which takes scores, is more exact.
"""

from __future__ import annotations

import math

import numpy as np

from protonet.blob import Array, Blob
from protonet.kernels.jit import kernel
from protonet.layer import register
from protonet.layers._loss import Loss, label_at, label_error

LEAST = np.float32(1e-20)  # smaller probabilities count as this


@kernel("int64(float32[:, ::1], float32[::1], float64[::1])")
def log_loss(p: Array, label: Array, loss: Array) -> int:
    """Write the sum over p (N, C) to loss[0]; return the first sample with a bad label, or -1."""
    total = 0.0
    for n in range(p.shape[0]):
        own = label_at(label[n], p.shape[1])
        if own < 0:
            return n
        total -= math.log(float(max(p[n, own], LEAST)))
    loss[0] = total
    return -1


@kernel("void(float32[:, ::1], float32[::1], float64, float32[:, ::1])")
def log_loss_backward(p: Array, label: Array, scale: float, dp: Array) -> None:
    """Write dp (N, C), the gradient times ``scale``."""
    dp[...] = 0
    for n in range(p.shape[0]):
        own = label_at(label[n], p.shape[1])
        if own >= 0:
            dp[n, own] = -scale / max(p[n, own], LEAST)


@register("MultinomialLogisticLoss")
class MultinomialLogisticLoss(Loss):
    """Bottoms: probabilities (N, C...), labels (N). Has no parameters."""

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        self._loss = np.zeros(1)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        super().reshape(bottom, top)
        self.check_labels(bottom, bottom[0].shape[0], 1)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        p, label = self._arrays(bottom)
        bad = log_loss(p, label, self._loss)
        if bad >= 0:
            raise label_error(self, bottom[1], bad, 1, p.shape[1])
        top[0].data[...] = self._loss[0] / max(p.shape[0], 1)

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        self.check_propagation(propagate_down)
        if not propagate_down[0]:
            return
        p, label = self._arrays(bottom)
        scale = float(top[0].diff) / max(p.shape[0], 1)
        log_loss_backward(p, label, scale, bottom[0].diff.reshape(p.shape))

    def _arrays(self, bottom: list[Blob]) -> tuple[Array, Array]:
        samples = bottom[0].shape[0]
        classes = bottom[0].count // max(samples, 1)
        return bottom[0].data.reshape(samples, classes), bottom[1].data.reshape(-1)
