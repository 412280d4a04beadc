"""SoftmaxWithLoss: the mean of -log softmax(x)[label]. As BVLC Caffe 1.0."""

from __future__ import annotations

import math

import numpy as np

from protonet.blob import Array, Blob
from protonet.kernels import softmax, threads
from protonet.kernels.jit import kernel
from protonet.layer import register
from protonet.layers._loss import (
    VALID,
    Loss,
    ignored_label,
    is_ignored,
    label_at,
    label_error,
    normalization,
    normalizer,
)

LEAST = np.finfo(np.float32).tiny  # smaller probabilities count as this


@kernel("int64(float32[:, :, ::1], float32[:, ::1], float64, float64[::1])")
def log_loss(p: Array, label: Array, ignored: float, sums: Array) -> int:
    """Write -Σ log p[label] and the number of labels not ignored to ``sums``.

    p: (N, C, D) probabilities; label: (N, D). Returns the place of the first label that is out
    of range, or -1.
    """
    total, valid = 0.0, 0
    for n in range(p.shape[0]):
        for d in range(p.shape[2]):
            if is_ignored(label[n, d], ignored):
                continue
            own = label_at(label[n, d], p.shape[1])
            if own < 0:
                return n * p.shape[2] + d
            total -= math.log(float(max(p[n, own, d], LEAST)))
            valid += 1
    sums[0], sums[1] = total, valid
    return -1


@kernel(
    "void(float32[:, :, ::1], float32[:, ::1], float64, float32, float32[:, :, ::1], int64, int64)",
    shared=True,
)
def log_loss_backward(
    p: Array, label: Array, ignored: float, scale: float, dx: Array, lo: int, hi: int
) -> None:
    """Write scale · (p - [c = label]) to dx[lo:hi], 0 where the label is ignored."""
    for n in range(lo, hi):
        for c in range(p.shape[1]):
            for d in range(p.shape[2]):
                dx[n, c, d] = scale * p[n, c, d]
        for d in range(p.shape[2]):
            if is_ignored(label[n, d], ignored):
                for c in range(p.shape[1]):
                    dx[n, c, d] = 0
            else:
                own = label_at(label[n, d], p.shape[1])
                if own >= 0:
                    dx[n, own, d] -= scale


@register("SoftmaxWithLoss")
class SoftmaxWithLoss(Loss):
    """softmax_param: axis (1); loss_param: normalization (VALID), ignore_label.

    Bottoms: scores (N, C, ...), labels with one value for each place of the axis's removal.
    Tops: the loss, shape (); the probabilities, of the scores' shape.
    """

    tops = (1, 2)

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        param = self.param.loss_param
        self._mode = normalization(param, VALID)
        self.ignored = ignored_label(param)
        self.sums = np.zeros(2)
        self._probabilities = Blob()

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        super().reshape(bottom, top)
        shape = bottom[0].shape
        axis = self.canonical_axis(self.axis(), shape)
        outer, inner = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
        self.check_labels(bottom, outer, inner)
        self._shape, self._places = (outer, shape[axis], inner), (outer, inner)
        self.grain = max(1, 16384 // max(1, shape[axis] * inner))
        if len(top) > 1:
            self._probabilities = top[1]
        self._probabilities.reshape(*shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        p = self._probabilities.data.reshape(self._shape)
        softmax.forward(bottom[0].data.reshape(self._shape), p)
        bad = self.sum_losses(p, bottom[1].data.reshape(self._places), bottom)
        if bad >= 0:
            raise label_error(self, bottom[1], bad, self._places[1], self._shape[1])
        top[0].data[...] = self.sums[0] / self._normalizer()

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        self.check_propagation(propagate_down)
        if not propagate_down[0]:
            return
        p, dx = self._probabilities.data.reshape(self._shape), bottom[0].diff.reshape(self._shape)
        label = bottom[1].data.reshape(self._places)
        scale = float(top[0].diff) / self._normalizer()
        self.gradients(p, label, scale, dx)

    def axis(self) -> int:
        """Return the axis of the classes, as the file gives it."""
        return int(self.param.softmax_param.axis)

    def sum_losses(self, p: Array, label: Array, bottom: list[Blob]) -> int:
        """Write the sum of losses and the number of labels to ``self.sums``.

        p: (N, C, D) probabilities; label: (N, D). Returns the place of the first label that is
        out of range, or -1.
        """
        bad: int = log_loss(p, label, self.ignored, self.sums)
        return bad

    def gradients(self, p: Array, label: Array, scale: float, dx: Array) -> None:
        """Write dx (N, C, D), the gradient by the scores times ``scale``."""
        threads.share(
            log_loss_backward, len(p), p, label, self.ignored, scale, dx, grain=self.grain
        )

    def _normalizer(self) -> float:
        return normalizer(self._mode, *self._places, self.sums[1])
