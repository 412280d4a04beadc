"""The inner product layer's maths: y = x w^T + bias, and its gradients.

x: (N, K), y: (N, M), bias: (M,), all float32; w: (M, K), or (K, M) where ``transpose`` is set,
as BVLC Caffe 1.0.
"""

from __future__ import annotations

from protonet.blob import Array
from protonet.kernels.affine import add_rows
from protonet.kernels.gemm import gemm, multiply


def forward(x: Array, w: Array, bias: Array | None, y: Array, transpose: bool = False) -> None:
    """Write y = x w^T + bias."""
    multiply(x, w, y, trans_b=not transpose, bias=bias)


def backward_data(dy: Array, w: Array, dx: Array, transpose: bool = False) -> None:
    """Write dx = dy w."""
    gemm(dy, w, dx, trans_b=transpose)


def backward_weights(
    x: Array, dy: Array, dw: Array, transpose: bool = False, keep: bool = True
) -> None:
    """Add dy^T x to dw, or write it there if that is not to be kept."""
    a, b = (x, dy) if transpose else (dy, x)
    multiply(a, b, dw, trans_a=True, keep=keep)


def backward_bias(dy: Array, db: Array) -> None:
    """Add the sum of dy over N to db."""
    add_rows(dy, db)
