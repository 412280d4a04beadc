"""Accuracy: the share of samples whose label is among the top_k scores. As BVLC Caffe 1.0.

Another class with the same score counts as better than the label's.
"""

from __future__ import annotations

import numpy as np

from protonet.blob import Array, Blob
from protonet.kernels.jit import kernel
from protonet.layer import Layer, register
from protonet.layers._loss import ignored_label, is_ignored, label_at, label_error


@kernel("int64(float32[:, :, ::1], float32[:, ::1], int64, float64, int64[:, ::1])")
def score(x: Array, label: Array, top_k: int, ignored: float, counts: Array) -> int:
    """Count right samples and all samples of each class.

    x: (N, C, D); label: (N, D); counts: (2, C), overwritten. Returns the place of the first
    label that is out of range, or -1.
    """
    counts[...] = 0
    for n in range(x.shape[0]):
        for d in range(x.shape[2]):
            if is_ignored(label[n, d], ignored):
                continue
            own = label_at(label[n, d], x.shape[1])
            if own < 0:
                return n * x.shape[2] + d
            better = -1  # the label's own class is met as well
            for c in range(x.shape[1]):
                better += x[n, c, d] >= x[n, own, d]
            counts[0, own] += better < top_k
            counts[1, own] += 1
    return -1


@register("Accuracy")
class Accuracy(Layer):
    """accuracy_param: top_k (1), axis (1), ignore_label.

    Tops: the accuracy over all samples, shape (), and for each class, shape (C,).
    """

    bottoms = 2
    tops = (1, 2)

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        param = self.param.accuracy_param
        self._top_k: int = param.top_k
        self._ignored = ignored_label(param)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        shape = bottom[0].shape
        axis = self.canonical_axis(self.param.accuracy_param.axis, shape)
        outer, classes = int(np.prod(shape[:axis])), shape[axis]
        inner = int(np.prod(shape[axis + 1 :]))
        if bottom[1].count != outer * inner:
            raise self.error(
                f"expected {outer * inner} labels, one for each prediction of shape {shape}, "
                f"got {bottom[1].count} in shape {bottom[1].shape}"
            )
        if self._top_k > classes:
            raise self.error(f"top_k {self._top_k} is more than the {classes} classes")
        self._shape = (outer, classes, inner)
        self._counts = np.zeros((2, classes), np.int64)
        top[0].reshape()
        if len(top) > 1:
            top[1].reshape(classes)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        outer, classes, inner = self._shape
        x, label = bottom[0].data.reshape(self._shape), bottom[1].data.reshape(outer, inner)
        bad = score(x, label, self._top_k, self._ignored, self._counts)
        if bad >= 0:
            raise label_error(self, bottom[1], bad, inner, classes)
        right, total = self._counts
        top[0].data[...] = right.sum() / max(total.sum(), 1)
        if len(top) > 1:
            top[1].data[...] = right / np.maximum(total, 1)

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        if any(propagate_down):
            raise self.error("an accuracy has no gradient")
