"""Products of a few rows with a large matrix, whose values are read once, in the order they lie."""

from __future__ import annotations

from typing import Any

from protonet.blob import Array
from protonet.kernels import simd
from protonet.kernels.correlation_plan import Ints
from protonet.kernels.jit import kernel
from protonet.kernels.simd import (
    LANES,
    LINE_BYTES,
    VECTOR_BYTES,
    copy_part,
    expect_read_later,
    tile_14x1,
)

ROWS = 14  # of b at a time, as the tile has
SPAN = 64  # columns of b that are laid together: rows may fight for places in the cache
STRETCH = 1024  # columns that are read ahead together: of a row a page
SPAN_LINES = ROWS * SPAN * 4 // LINE_BYTES
SCRATCH = (1 + ROWS) * LANES + ROWS * SPAN  # values that times_by_lanes needs

# Each variant of times_side_by_side has its own:
tile: Any = None  # one of simd's
BLOCK = VECTORS = 0  # its rows and columns


@kernel(
    "void(float32[:,::1], float32[:,::1], float32[:,::1], float32[::1], boolean, int64, int64)",
    shared=True,
)
def times_transposed(
    a: Array, b: Array, c: Array, bias: Array, keep: bool, lo: int, hi: int
) -> None:
    """Write columns lo to hi - 1 of c = a b^T + bias, or + c. a: (M, K), b: (N, K), c: (M, N).

    Four rows of b are read at once, from as many places: one after the other they come from memory
    at two thirds of the speed.
    """
    K, count = b.shape[1], (hi - lo + 3) // 4
    for n in range(lo, lo + count):
        # Where there is no such row, the last one is read again: all are summed by the same code.
        row0, row1 = b[n], b[min(n + count, hi - 1)]
        row2, row3 = b[min(n + 2 * count, hi - 1)], b[min(n + 3 * count, hi - 1)]
        for m in range(a.shape[0]):
            factors = a[m]
            sum0 = sum1 = sum2 = sum3 = bias[n] * 0
            for k in range(K):
                sum0 += factors[k] * row0[k]
                sum1 += factors[k] * row1[k]
                sum2 += factors[k] * row2[k]
                sum3 += factors[k] * row3[k]
            for i, total in enumerate((sum0, sum1, sum2, sum3)):
                column = n + i * count
                if column < hi:
                    c[m, column] = total + (c[m, column] if keep else bias[column])


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


@kernel("inline")
def _read_ahead(rows: int, row_bytes: int, first: int) -> None:
    """Have lines of the stretch at ``rows`` brought near, row by row, from number ``first`` on."""
    lines = STRETCH * 4 // LINE_BYTES
    for line in range(first, first + SPAN_LINES):
        expect_read_later(rows + line // lines * row_bytes + line % lines * LINE_BYTES)


@kernel("inline")
def _lay(source: int, row_bytes: int, depth: int, target: int) -> None:
    """Copy ROWS rows of ``depth`` values, SPAN at most, to rows of SPAN values."""
    for i in range(ROWS):
        at, to = source + i * row_bytes, target + i * SPAN * 4
        for j in range(0, depth, LANES):
            copy_part(at + j * 4, depth - j, to + j * 4)


@kernel("inline")
def _write(
    sums: Array, wide: int, row: int, first: int, last: int, c: Array, keep: bool, bias: Array
) -> None:
    """Write the sums of rows first to last - 1 of a block, which begins at ``row`` of b.

    sums: (last, wide), flat; a row of c is a column of it.
    """
    for m in range(c.shape[0]):
        for i in range(first, last):
            total = sums[i * wide + m]
            c[m, row + i] = total + (c[m, row + i] if keep else bias[row + i])


@kernel(
    "void(float32[::1], float32[:,::1], float32[:,::1], float32[::1], boolean, float32[:,::1],"
    " int64[:,::1], int64, int64, int64)",
    shared=True,
)
def times_by_lanes(
    columns: Array, b: Array, c: Array, bias: Array, keep: bool, memory: Array, runs: Ints,
    lo: int, hi: int, worker: int,
) -> None:  # fmt: skip
    """Write columns of c = a b^T + bias, or + c: those of blocks lo to hi - 1 of ROWS rows of b.

    A row of a is a lane of the vectors. While one stretch of b is multiplied, the next one is read.

    Args:
        columns: (K * M) a transposed, and LANES values of any kind behind it.
        b, c: (N, K), (M, N), N at least ROWS, M at most LANES.
        memory: SCRATCH values of each worker.
        runs: memory for three numbers of each worker.
    """
    (N, K), M = b.shape, c.shape[0]
    run = runs[worker]
    run[0] = run[1] = 0
    row_bytes = K * 4
    zeros, sums = memory[worker, :LANES], memory[worker, LANES : (1 + ROWS) * LANES]
    zeros[:] = 0
    laid = memory[worker].ctypes.data + (1 + ROWS) * VECTOR_BYTES
    for block in range(lo, hi):
        row = min(block * ROWS, N - ROWS)  # the last block reaches back
        rows = b.ctypes.data + row * row_bytes
        start, start_row = zeros.ctypes.data, 0
        for k in range(0, max(K, 1), SPAN):
            run[2] = depth = min(SPAN, K - k)
            into = k % STRETCH
            following = k - into + STRETCH
            ahead = rows + (following * 4 if following < K else ROWS * row_bytes)
            _read_ahead(ahead, row_bytes, into // SPAN * SPAN_LINES)
            _lay(rows + k * 4, row_bytes, depth, laid)
            tile_14x1(
                laid, SPAN * 4, 4, columns.ctypes.data + k * M * 4, 0, M * 4,
                run.ctypes.data, 1, start, start_row, 0, sums.ctypes.data, VECTOR_BYTES, 0,
            )  # fmt: skip
            start, start_row = sums.ctypes.data, VECTOR_BYTES
        _write(sums, LANES, row, block * ROWS - row, ROWS, c, keep, bias)


@kernel(
    "void(float32[::1], float32[:,::1], float32[:,::1], float32[::1], boolean, float32[:,::1],"
    " int64[:,::1], int64, int64, int64)",
    shared=True,
)
def times_side_by_side(
    columns: Array, b: Array, c: Array, bias: Array, keep: bool, memory: Array, runs: Ints,
    lo: int, hi: int, worker: int,
) -> None:  # fmt: skip
    """Write columns of c = a b^T + bias, or + c: those of blocks lo to hi - 1 of BLOCK rows of b.

    As times_by_lanes, but b is read in place, all rows of a block at once: few enough of them that
    they do not fight, and that the processor sees by itself what will be wanted next.

    Args:
        columns: (K * M) a transposed, and VECTORS * LANES values of any kind behind it.
        b, c: (N, K), (M, N), N at least BLOCK, M at most VECTORS * LANES.
        memory: (1 + BLOCK) * VECTORS * LANES values of each worker.
        runs: memory for three numbers of each worker.
    """
    (N, K), M = b.shape, c.shape[0]
    run, wide = runs[worker], VECTORS * LANES
    run[0], run[1], run[2] = 0, 0, K
    zeros, sums = memory[worker, :wide], memory[worker, wide : (1 + BLOCK) * wide]
    zeros[:] = 0
    for block in range(lo, hi):
        row = min(block * BLOCK, N - BLOCK)  # the last block reaches back
        tile(
            b.ctypes.data + row * K * 4, K * 4, 4, columns.ctypes.data, VECTOR_BYTES, M * 4,
            run.ctypes.data, 1, zeros.ctypes.data, 0, VECTOR_BYTES,
            sums.ctypes.data, wide * 4, VECTOR_BYTES,
        )  # fmt: skip
        _write(sums, wide, row, block * BLOCK - row, BLOCK, c, keep, bias)


SIDE_BY_SIDE = {
    (rows, vectors): times_side_by_side.variant(
        f"_{rows}x{vectors}",
        tile=getattr(simd, f"tile_{rows}x{vectors}"),
        BLOCK=rows,
        VECTORS=vectors,
    )
    for rows, vectors in ((10, 1), (10, 2), (7, 1), (5, 2))
}
