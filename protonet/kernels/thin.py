"""Products of a few rows with a large matrix, whose values are read once, in the order they lie."""

from __future__ import annotations

from protonet.blob import Array
from protonet.kernels.jit import kernel


@kernel(
    "void(float32[:,::1], float32[:,::1], float32[:,::1], float32[::1], boolean, int64, int64)",
    shared=True,
)
def times_transposed(
    a: Array, b: Array, c: Array, bias: Array, keep: bool, lo: int, hi: int
) -> None:
    """Write columns lo to hi - 1 of c = a b^T + bias, or + c. a: (M, K), b: (N, K), c: (M, N)."""
    for n in range(lo, hi):
        row = b[n]
        for m in range(a.shape[0]):
            factors = a[m]
            total = bias[n] * 0
            for k in range(row.size):
                total += factors[k] * row[k]
            c[m, n] = total + (c[m, n] if keep else bias[n])


@kernel(
    "void(float32[:,::1], float32[:,::1], float32[:,::1], float32[::1], boolean, int64, int64)",
    shared=True,
)
def times(a: Array, b: Array, c: Array, bias: Array, keep: bool, lo: int, hi: int) -> None:
    """Write columns lo to hi - 1 of c = a b + bias, or + c. a: (M, K), b: (K, N), c: (M, N)."""
    M, K = a.shape
    added = bias[lo:hi]
    for m in range(M):
        sums = c[m, lo:hi]
        if not keep:
            for n in range(sums.size):
                sums[n] = added[n]
    whole = K // 4 * 4
    for k in range(0, whole, 4):
        row0, row1, row2, row3 = b[k, lo:hi], b[k + 1, lo:hi], b[k + 2, lo:hi], b[k + 3, lo:hi]
        for m in range(M):
            sums = c[m, lo:hi]
            a0, a1, a2, a3 = a[m, k], a[m, k + 1], a[m, k + 2], a[m, k + 3]
            for n in range(sums.size):
                sums[n] += (a0 * row0[n] + a1 * row1[n]) + (a2 * row2[n] + a3 * row3[n])
    for k in range(whole, K):
        row0 = b[k, lo:hi]
        for m in range(M):
            sums = c[m, lo:hi]
            for n in range(sums.size):
                sums[n] += a[m, k] * row0[n]
