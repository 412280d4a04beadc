"""Eltwise: the sum, product or maximum of bottoms of one shape, value by value.

- SUM: y = Σ coeff_i · x_i, with coefficients of 1 by default; dx_i = coeff_i · dy.
- PROD: y = Π x_i; dx_i = dy · (product of the others), or dy · y / x_i where stable_prod_grad is
  false.
- MAX: dy goes to the largest value. Of equal ones in the first two bottoms the second takes it,
  otherwise the earlier.

As BVLC Caffe 1.0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from protonet.blob import Array, Blob
from protonet.errors import GraphError
from protonet.kernels import threads
from protonet.kernels.jit import Kernel, kernel
from protonet.layer import Layer, register
from protonet.schema import caffe_pb2 as pb

GRAIN = 32768
ZERO = np.float32(0)


@kernel(
    "void(float32[::1], float32, float32[::1], float32, float32[::1], int64, int64)", shared=True
)
def weighted_sum(a: Array, p: float, b: Array, q: float, y: Array, lo: int, hi: int) -> None:
    """Write y[lo:hi] = p · a + q · b."""
    a, b, y = a[lo:hi], b[lo:hi], y[lo:hi]
    for i in range(y.size):
        y[i] = p * a[i] + q * b[i]


@kernel("void(float32[::1], float32, float32[::1], int64, int64)", shared=True)
def add_scaled(x: Array, p: float, y: Array, lo: int, hi: int) -> None:
    """Add p · x to y[lo:hi]."""
    x, y = x[lo:hi], y[lo:hi]
    for i in range(y.size):
        y[i] += p * x[i]


@kernel("void(float32[::1], float32[::1], float32[::1], int32[::1], int64, int64)", shared=True)
def larger(a: Array, b: Array, y: Array, which: np.ndarray, lo: int, hi: int) -> None:
    """Write y[lo:hi] = max(a, b), and which is the larger one: 0 for a, 1 for b."""
    a, b, y, which = a[lo:hi], b[lo:hi], y[lo:hi], which[lo:hi]
    for i in range(y.size):
        first = a[i] > b[i]
        y[i] = a[i] if first else b[i]
        which[i] = np.int32(0) if first else np.int32(1)


@kernel("void(float32[::1], int32, float32[::1], int32[::1], int64, int64)", shared=True)
def raise_to(x: Array, index: int, y: Array, which: np.ndarray, lo: int, hi: int) -> None:
    """Put x into y[lo:hi], and its index into which, where it is larger than y."""
    x, y, which = x[lo:hi], y[lo:hi], which[lo:hi]
    for i in range(y.size):
        more = x[i] > y[i]
        y[i] = x[i] if more else y[i]
        which[i] = index if more else which[i]


@kernel("void(float32[::1], int32[::1], int32, float32[::1], int64, int64)", shared=True)
def pick(dy: Array, which: np.ndarray, index: int, dx: Array, lo: int, hi: int) -> None:
    """Write dx[lo:hi]: dy where the value came from bottom ``index``, otherwise 0."""
    dy, which, dx = dy[lo:hi], which[lo:hi], dx[lo:hi]
    for i in range(dx.size):
        g = dy[i]
        dx[i] = g if which[i] == index else ZERO


@kernel("void(float32[::1], float32, float32[::1], int64, int64)", shared=True)
def scaled(x: Array, p: float, y: Array, lo: int, hi: int) -> None:
    """Write y[lo:hi] = p · x."""
    x, y = x[lo:hi], y[lo:hi]
    for i in range(y.size):
        y[i] = p * x[i]


@kernel("void(float32[::1], float32[::1], float32[::1], int64, int64)", shared=True)
def product(a: Array, b: Array, y: Array, lo: int, hi: int) -> None:
    """Write y[lo:hi] = a · b; y may be a."""
    a, b, y = a[lo:hi], b[lo:hi], y[lo:hi]
    for i in range(y.size):
        y[i] = a[i] * b[i]


@kernel("void(float32[::1], float32[::1], float32[::1], float32[::1], int64, int64)", shared=True)
def quotient(y: Array, x: Array, dy: Array, dx: Array, lo: int, hi: int) -> None:
    """Write dx[lo:hi] = y / x · dy."""
    y, x, dy, dx = y[lo:hi], x[lo:hi], dy[lo:hi], dx[lo:hi]
    for i in range(dx.size):
        dx[i] = y[i] / x[i] * dy[i]


@register("Eltwise")
class Eltwise(Layer):
    """eltwise_param: operation (SUM), coeff (1 each), stable_prod_grad (true)."""

    bottoms = (2, None)

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        p = self.param.eltwise_param
        if p.coeff and p.operation != pb.EltwiseParameter.SUM:
            raise self.error("expected coeff only with the operation SUM", GraphError)
        if p.coeff and len(p.coeff) != len(bottom):
            raise self.error(
                f"expected a coeff for each of {len(bottom)} bottoms, got {list(p.coeff)}",
                GraphError,
            )
        self.coeff: list[float] = list(p.coeff) or [1.0] * len(bottom)
        self.operation: int = p.operation

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        shape = bottom[0].shape
        for i, blob in enumerate(bottom[1:], start=1):
            if blob.shape != shape:
                raise self.error(
                    f"expected bottoms of one shape; bottom 0 has {shape}, bottom {i} {blob.shape}"
                )
        top[0].reshape(*shape)
        self.which = np.empty(0, np.int32)  # of MAX: the bottom that each value came from

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        x, y = [blob.data.reshape(-1) for blob in bottom], top[0].data.reshape(-1)
        if self.operation == pb.EltwiseParameter.SUM:
            _share(weighted_sum, x[0], self.coeff[0], x[1], self.coeff[1], y)
            for a, p in zip(x[2:], self.coeff[2:], strict=True):
                _share(add_scaled, a, p, y)
        elif self.operation == pb.EltwiseParameter.PROD:
            _share(product, x[0], x[1], y)
            for a in x[2:]:
                _share(product, y, a, y)
        else:
            if self.which.size != y.size:
                self.which = np.empty(y.size, np.int32)
            _share(larger, x[0], x[1], y, self.which)
            for i, a in enumerate(x[2:], start=2):
                _share(raise_to, a, i, y, self.which)

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        y, dy = top[0].data.reshape(-1), top[0].diff.reshape(-1)
        x = [blob.data.reshape(-1) for blob in bottom]
        for i, (blob, wanted) in enumerate(zip(bottom, propagate_down, strict=True)):
            if not wanted:
                continue
            dx = blob.diff.reshape(-1)
            if self.operation == pb.EltwiseParameter.MAX:
                _share(pick, dy, self.which, i, dx)
            elif self.operation == pb.EltwiseParameter.SUM:
                _share(scaled, dy, self.coeff[i], dx)
            elif self.param.eltwise_param.stable_prod_grad:
                factor = dy
                for a in (*x[:i], *x[i + 1 :]):
                    _share(product, factor, a, dx)
                    factor = dx
            else:
                _share(quotient, y, x[i], dy, dx)


def _share(kernel: Kernel, first: Array, *args: Any) -> None:
    """Call a shared kernel over all values of its first argument."""
    threads.share(kernel, first.size, first, *args, grain=GRAIN)
