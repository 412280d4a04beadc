"""HingeLoss: Σ max(0, 1 - s·x) or its squares, s = 1 for the label's class and -1 for others.

As BVLC Caffe 1.0: one against all, divided by the number of samples.
"""

from __future__ import annotations

import numpy as np

from protonet.blob import Array, Blob
from protonet.kernels.jit import kernel
from protonet.layer import register
from protonet.layers._loss import Loss, label_at, label_error

L1, L2 = 1, 2  # HingeLossParameter.Norm


@kernel("int64(float32[:, ::1], float32[::1], int64, float64[::1])")
def hinge(x: Array, label: Array, norm: int, loss: Array) -> int:
    """Write the sum over x (N, C) to loss[0]; return the first sample with a bad label, or -1."""
    total = 0.0
    for n in range(x.shape[0]):
        own = label_at(label[n], x.shape[1])
        if own < 0:
            return n
        for c in range(x.shape[1]):
            margin = max(0.0, 1.0 - x[n, c] if c == own else 1.0 + x[n, c])
            total += margin if norm == L1 else margin * margin
    loss[0] = total
    return -1


@kernel("void(float32[:, ::1], float32[::1], int64, float64, float32[:, ::1])")
def hinge_backward(x: Array, label: Array, norm: int, scale: float, dx: Array) -> None:
    """Write dx (N, C), the gradient times ``scale``."""
    for n in range(x.shape[0]):
        own = label_at(label[n], x.shape[1])
        for c in range(x.shape[1]):
            sign = -1.0 if c == own else 1.0
            margin = max(0.0, 1.0 + sign * x[n, c])
            slope = (1.0 if margin > 0 else 0.0) if norm == L1 else 2 * margin
            dx[n, c] = scale * sign * slope


@register("HingeLoss")
class HingeLoss(Loss):
    """hinge_loss_param: norm, L1 (default) or L2."""

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        self._norm: int = self.param.hinge_loss_param.norm
        self._loss = np.zeros(1)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        super().reshape(bottom, top)
        self.check_labels(bottom, bottom[0].shape[0], 1)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        x, label = self._arrays(bottom)
        bad = hinge(x, label, self._norm, self._loss)
        if bad >= 0:
            raise label_error(self, bottom[1], bad, 1, x.shape[1])
        top[0].data[...] = self._loss[0] / max(x.shape[0], 1)

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        self.check_propagation(propagate_down)
        if not propagate_down[0]:
            return
        x, label = self._arrays(bottom)
        scale = float(top[0].diff) / max(x.shape[0], 1)
        hinge_backward(x, label, self._norm, scale, bottom[0].diff.reshape(x.shape))

    def _arrays(self, bottom: list[Blob]) -> tuple[Array, Array]:
        samples = bottom[0].shape[0]
        classes = bottom[0].count // max(samples, 1)
        return bottom[0].data.reshape(samples, classes), bottom[1].data.reshape(-1)
