"""Matrix products in float32."""

from __future__ import annotations

import numpy as np

from protonet.blob import Array


def gemm(
    a: Array,
    b: Array,
    c: Array,
    trans_a: bool = False,
    trans_b: bool = False,
    alpha: float = 1.0,
    beta: float = 0.0,
) -> None:
    """Write ``c = alpha * op(a) op(b) + beta * c``. With beta 0, what c held does not matter.

    Args:
        a: (M, K), or (K, M) with trans_a.
        b: (K, N), or (N, K) with trans_b.
        c: (M, N).
    """
    product = np.matmul(a.T if trans_a else a, b.T if trans_b else b)
    if alpha != 1.0:
        product *= np.float32(alpha)
    if beta == 0.0:
        c[...] = product
    else:
        c *= np.float32(beta)
        c += product
