"""EuclideanLoss: half the squared distance of two blobs, a sample. As BVLC Caffe 1.0."""

from __future__ import annotations

from protonet.blob import Array, Blob
from protonet.kernels import threads
from protonet.kernels.jit import kernel
from protonet.layer import register
from protonet.layers._loss import Loss

GRAIN = 32768


@kernel("float64(float32[::1], float32[::1])")
def squared_distance(a: Array, b: Array) -> float:
    """Return the sum of (a - b)² in double precision. a, b: (count,)."""
    total = 0.0
    for i in range(a.size):
        d = a[i] - b[i]
        total += d * d
    return total


@kernel("void(float32[::1], float32[::1], float32, float32[::1], int64, int64)", shared=True)
def scaled_difference(a: Array, b: Array, scale: float, out: Array, lo: int, hi: int) -> None:
    """Write scale · (a - b) to out[lo:hi]."""
    a, b, out = a[lo:hi], b[lo:hi], out[lo:hi]
    for i in range(out.size):
        out[i] = scale * (a[i] - b[i])


@register("EuclideanLoss")
class EuclideanLoss(Loss):
    """Two bottoms of the same count; the gradient flows into both."""

    not_differentiable = frozenset()

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        super().reshape(bottom, top)
        if bottom[0].count != bottom[1].count:
            raise self.error(
                f"expected two bottoms with as many values a sample, got shapes "
                f"{bottom[0].shape} and {bottom[1].shape}"
            )

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        a, b = bottom[0].data.reshape(-1), bottom[1].data.reshape(-1)
        top[0].data[...] = squared_distance(a, b) / max(bottom[0].shape[0], 1) / 2

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        a, b = bottom[0].data.reshape(-1), bottom[1].data.reshape(-1)
        scale = float(top[0].diff) / max(bottom[0].shape[0], 1)
        for blob, wanted, sign in zip(bottom, propagate_down, (1, -1), strict=True):
            if wanted:
                _fill(a, b, sign * scale, blob.diff.reshape(-1))


def _fill(a: Array, b: Array, scale: float, out: Array) -> None:
    threads.share(scaled_difference, out.size, a, b, scale, out, grain=GRAIN)
