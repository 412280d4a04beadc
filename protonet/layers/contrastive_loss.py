"""ContrastiveLoss: pulls pairs of vectors together that belong together, and others apart.

With d the distance of a pair: Σ y·d² + (1-y)·max(margin - d, 0)², divided by 2N; in the legacy
form the second part is max(margin - d², 0). As BVLC Caffe 1.0; Hadsell et al. (2006).
"""

from __future__ import annotations

import math

from protonet.blob import Array, Blob
from protonet.kernels.jit import kernel
from protonet.layer import register
from protonet.layers._loss import Loss


@kernel("float64(float32[:, ::1], float32[:, ::1], float32[::1], float64, boolean)")
def contrast(a: Array, b: Array, alike: Array, margin: float, legacy: bool) -> float:
    """Return the sum over the pairs a, b (N, C); alike (N,) is 0 for those to be apart."""
    total = 0.0
    for n in range(a.shape[0]):
        square = 0.0
        for c in range(a.shape[1]):
            d = a[n, c] - b[n, c]
            square += d * d
        if int(alike[n]) != 0:
            total += square
        elif legacy:
            total += max(margin - square, 0.0)
        else:
            total += max(margin - math.sqrt(square), 0.0) ** 2
    return total


@kernel(
    "void(float32[:, ::1], float32[:, ::1], float32[::1], float64, boolean, float64,"
    " float32[:, ::1])"
)
def contrast_backward(
    a: Array, b: Array, alike: Array, margin: float, legacy: bool, scale: float, da: Array
) -> None:
    """Write da (N, C), half the gradient by a times ``scale``; that by b is its negative."""
    for n in range(a.shape[0]):
        square = 0.0
        for c in range(a.shape[1]):
            d = a[n, c] - b[n, c]
            square += d * d
        if int(alike[n]) != 0:
            factor = scale
        elif legacy:
            factor = -scale if margin - square > 0 else 0.0
        else:
            distance = math.sqrt(square)  # 1e-4 is Caffe's: a pair at one point has no direction
            factor = -scale * max(margin - distance, 0.0) / (distance + 1e-4)
        for c in range(a.shape[1]):
            da[n, c] = factor * (a[n, c] - b[n, c])


@register("ContrastiveLoss")
class ContrastiveLoss(Loss):
    """contrastive_loss_param: margin (1), legacy_version (false).

    Bottoms: two of shape (N, C), and for each pair whether it belongs together, N values.
    """

    bottoms = 3
    not_differentiable = frozenset({2})

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        param = self.param.contrastive_loss_param
        self._margin: float = param.margin
        self._legacy: bool = param.legacy_version

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        super().reshape(bottom, top)
        a, b, alike = (blob.shape for blob in bottom)
        if a[:2] != b[:2] or any(n != 1 for n in (*a[2:], *b[2:])):
            raise self.error(f"expected two bottoms of one shape (N, C), got shapes {a} and {b}")
        if bottom[2].count != a[0]:
            raise self.error(f"expected {a[0]} labels, one for each pair, got shape {alike}")

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        a, b, alike = self._arrays(bottom)
        total = contrast(a, b, alike, self._margin, self._legacy)
        top[0].data[...] = total / max(a.shape[0], 1) / 2

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        self.check_propagation(propagate_down)
        a, b, alike = self._arrays(bottom)
        scale = float(top[0].diff) / max(a.shape[0], 1)
        for i, sign in enumerate((1, -1)):
            if propagate_down[i]:
                diff = bottom[i].diff.reshape(a.shape)
                contrast_backward(a, b, alike, self._margin, self._legacy, sign * scale, diff)

    def _arrays(self, bottom: list[Blob]) -> tuple[Array, Array, Array]:
        shape = (bottom[0].shape[0], bottom[0].count // max(bottom[0].shape[0], 1))
        a, b = bottom[0].data.reshape(shape), bottom[1].data.reshape(shape)
        return a, b, bottom[2].data.reshape(-1)
