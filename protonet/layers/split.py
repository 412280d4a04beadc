"""Split: every top is the bottom; its gradient is the sum of theirs. As BVLC Caffe 1.0."""

from __future__ import annotations

from protonet.blob import Array, Blob
from protonet.kernels import threads
from protonet.kernels.jit import kernel
from protonet.layer import Layer, register

GRAIN = 32768


@kernel("void(float32[::1], float32[::1], float32[::1], int64, int64)", shared=True)
def add(a: Array, b: Array, out: Array, lo: int, hi: int) -> None:
    """Write a + b to out[lo:hi]; out may be a."""
    a, b, out = a[lo:hi], b[lo:hi], out[lo:hi]
    for i in range(out.size):
        out[i] = a[i] + b[i]


@register("Split")
class Split(Layer):
    """The tops share the bottom's values: nothing may write to them in place."""

    tops = (1, None)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        for blob in top:
            blob.reshape(*bottom[0].shape)

    def shares_values(self, bottom: list[Blob]) -> bool:
        return True

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        for blob in top:
            blob.share_data(bottom[0])

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        if not propagate_down[0]:
            return
        if len(top) == 1:
            bottom[0].diff[...] = top[0].diff
            return
        diffs = [blob.diff.reshape(-1) for blob in top]
        dx = bottom[0].diff.reshape(-1)
        threads.share(add, dx.size, diffs[0], diffs[1], dx, grain=GRAIN)
        for dy in diffs[2:]:
            threads.share(add, dx.size, dx, dy, dx, grain=GRAIN)
