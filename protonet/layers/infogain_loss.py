"""InfogainLoss: -Σ_c H[label, c] · log softmax(x)[c], divided. As BVLC Caffe 1.0.

With the unit matrix as H it is SoftmaxWithLoss.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from protonet.blob import Array, Blob
from protonet.errors import DataError, GraphError
from protonet.kernels import threads
from protonet.kernels.jit import kernel
from protonet.layer import register
from protonet.layers._loss import is_ignored, label_at
from protonet.layers.softmax_with_loss import SoftmaxWithLoss

LEAST = np.float32(1e-20)  # smaller probabilities count as this


@kernel("int64(float32[:, :, ::1], float32[:, ::1], float32[:, ::1], float64, float64[::1])")
def infogain(p: Array, label: Array, H: Array, ignored: float, sums: Array) -> int:
    """Write the loss and the number of labels to ``sums``; return the first bad place, or -1.

    p: (N, C, D); label: (N, D); H: (C, C), a row for each label.
    """
    total, valid = 0.0, 0
    for n in range(p.shape[0]):
        for d in range(p.shape[2]):
            if is_ignored(label[n, d], ignored):
                continue
            own = label_at(label[n, d], p.shape[1])
            if own < 0:
                return n * p.shape[2] + d
            for c in range(p.shape[1]):
                total -= H[own, c] * math.log(float(max(p[n, c, d], LEAST)))
            valid += 1
    sums[0], sums[1] = total, valid
    return -1


@kernel(
    "void(float32[:, :, ::1], float32[:, ::1], float32[:, ::1], float64, float32,"
    " float32[:, :, ::1], int64, int64)",
    shared=True,
)
def infogain_backward(
    p: Array, label: Array, H: Array, ignored: float, scale: float, dx: Array, lo: int, hi: int
) -> None:
    """Write scale · (Σ H[label] · p - H[label]) to dx[lo:hi], 0 where the label is ignored."""
    for n in range(lo, hi):
        for d in range(p.shape[2]):
            own = label_at(label[n, d], p.shape[1])
            if own < 0 or is_ignored(label[n, d], ignored):
                for c in range(p.shape[1]):
                    dx[n, c, d] = 0
                continue
            total = np.float32(0)
            for c in range(p.shape[1]):
                total += H[own, c]
            for c in range(p.shape[1]):
                dx[n, c, d] = scale * (total * p[n, c, d] - H[own, c])


@register("InfogainLoss")
class InfogainLoss(SoftmaxWithLoss):
    """infogain_loss_param: source, a file that holds H, axis (1); loss_param: as SoftmaxWithLoss.

    Bottoms: scores, labels and, in place of the file, H with C · C values.
    """

    bottoms = (2, 3)
    not_differentiable = frozenset({1, 2})

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        super().setup(bottom, top)
        self._matrix: Array | None = None
        if len(bottom) < 3:
            source = self.param.infogain_loss_param.source
            if not source:
                raise self.error("expected a third bottom, or a source to read H from", GraphError)
            self._matrix = self._read(source)

    def _read(self, source: str) -> Array:
        from google.protobuf.message import DecodeError

        from protonet.schema import caffe_pb2 as pb
        from protonet.schema.blobs import blob_values

        message: Any = pb.BlobProto()
        try:
            with open(source, "rb") as file:
                message.ParseFromString(file.read())
        except OSError as problem:
            raise self.error(
                f"cannot read source '{source}': {problem.strerror}", DataError
            ) from None
        except DecodeError:
            raise self.error(f"source '{source}' does not hold a BlobProto", DataError) from None
        return np.array(blob_values(message), np.float32)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        super().reshape(bottom, top)
        classes = bottom[0].shape[self.canonical_axis(self.axis(), bottom[0].shape)]
        count = bottom[2].count if self._matrix is None else self._matrix.size
        if count != classes * classes:
            raise self.error(
                f"expected H of {classes} x {classes} values, one row for each class, got {count} "
                f"values{'' if self._matrix is None else ' in the source'}"
            )

    def axis(self) -> int:
        return int(self.param.infogain_loss_param.axis)

    def sum_losses(self, p: Array, label: Array, bottom: list[Blob]) -> int:
        matrix = bottom[2].data if self._matrix is None else self._matrix
        self._rows = matrix.reshape(p.shape[1], p.shape[1])
        bad: int = infogain(p, label, self._rows, self.ignored, self.sums)
        return bad

    def gradients(self, p: Array, label: Array, scale: float, dx: Array) -> None:
        rows = self._rows
        threads.share(
            infogain_backward, len(p), p, label, rows, self.ignored, scale, dx, grain=self.grain
        )
