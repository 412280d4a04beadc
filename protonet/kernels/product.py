"""The kernels of a product of matrices: see gemm.py. Imports Numba: import it when needed.

C (M, N) is cut into panels of as many columns as a tile has. For each panel a stretch of B is
packed, ``[k][column]``, small enough for the second-level cache, and all of A passes by it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from protonet.blob import Array
from protonet.kernels import simd
from protonet.kernels.jit import kernel
from protonet.kernels.simd import LANES, VECTOR_BYTES, transpose, transpose_part

Ints = np.ndarray[Any, np.dtype[np.int64]]

# Indices into the numbers of a product. Strides are in values.
(
    ROWS_OF_C,
    COLUMNS_OF_C,
    DEPTH,  # K
    A_ROW,  # from one row of op(A) to the next
    A_STEP,  # from one k to the next
    B_ROW,  # from one row of B as it lies to the next
    B_TRANSPOSED,
    START,  # what sums begin with: one of the three below
    CHUNK,  # rows of C in an item of work
    COUNT,
) = range(10)
ZERO, KEEP, BIAS = range(3)  # nothing, what C holds, a row that is the same for all rows

STRETCH = 1024  # rows of B in a packed panel

tile: Any = None  # one of simd's, with its TILE_ROWS and TILE_COLUMNS; each variant has its own
TILE_ROWS = TILE_COLUMNS = 0


@kernel("inline")
def _pack(
    b: Array, panel: Array, width: int, first: int, k: int, depth: int, numbers: Ints
) -> None:
    """Write rows k to k + depth - 1 of op(B), from column ``first`` on, as ``[k][column]``.

    Columns past the last are zero.
    """
    row = numbers[B_ROW]
    columns = min(width, numbers[COLUMNS_OF_C] - first)
    if numbers[B_TRANSPOSED]:
        source, target = b.ctypes.data, panel.ctypes.data
        for p in range(0, depth, LANES):
            steps = min(LANES, depth - p)
            for j in range(0, width, LANES):
                rows = max(0, min(LANES, columns - j))
                at = source + ((first + j) * row + k + p) * 4
                to = target + (p * width + j) * 4
                if rows == LANES and steps == LANES:
                    transpose(at, row * 4, to, width * 4)
                else:
                    transpose_part(at, row * 4, rows, steps, to, width * 4, LANES)
        return
    for p in range(depth):
        at, to = (k + p) * row + first, p * width
        if columns == width:
            for j in range(width):
                panel[to + j] = b[at + j]
        else:
            for j in range(columns):
                panel[to + j] = b[at + j]
            for j in range(columns, width):
                panel[to + j] = 0


@kernel("inline")
def _finish(
    c: Array, bias: Array, edge: Array, width: int, row: int, first: int, skip: int, rows: int,
    mode: int, numbers: Ints,
) -> None:  # fmt: skip
    """Copy rows skip to rows - 1 of a tile at the edge of C to where they belong.

    Args:
        row, first: of C, where the tile's first value belongs.
        mode: what the sums are added to.
    """
    columns = min(width, numbers[COLUMNS_OF_C] - first)
    for r in range(skip, rows):
        at = (row + r) * numbers[COLUMNS_OF_C] + first
        for j in range(columns):
            value = edge[r * width + j]
            if mode == KEEP:
                value += c[at + j]
            elif mode == BIAS:
                value += bias[first + j]
            c[at + j] = value


@kernel(
    "void(float32[::1], float32[::1], float32[::1], float32[::1], float32[::1], float32[::1],"
    " float32[::1], int64[::1], float32, int64[::1], int64, int64)"
)
def multiply(
    a: Array, b: Array, c: Array, bias: Array, zeros: Array, panel: Array, edge: Array, run: Ints,
    alpha: float, numbers: Ints, lo: int, hi: int,
) -> None:  # fmt: skip
    """Write items lo to hi - 1 of C = start + alpha * op(A) op(B).

    Args:
        bias: (N,), or anything if none is added.
        zeros: LANES zeros.
        panel, edge: scratch memory for STRETCH rows of a panel, and for one tile and, if C has
            fewer rows than a tile, for STRETCH columns of A.
        run: three zeros, of which the last is written.
    """
    M, N, K = numbers[ROWS_OF_C], numbers[COLUMNS_OF_C], numbers[DEPTH]
    width = TILE_COLUMNS * LANES
    chunks = (M + numbers[CHUNK] - 1) // numbers[CHUNK]
    for item in range(lo, hi):
        first, top = item // chunks * width, item % chunks * numbers[CHUNK]
        bottom = min(M, top + numbers[CHUNK])
        for k in range(0, max(K, 1), STRETCH):
            depth = min(STRETCH, K - k)
            run[2] = depth
            mode = numbers[START] if k == 0 else KEEP
            _pack(b, panel, width, first, k, depth, numbers)
            if alpha != 1:
                for i in range(depth * width):
                    panel[i] *= alpha
            for r in range(top, bottom, TILE_ROWS):
                row = max(0, min(r, M - TILE_ROWS))
                at, a_row, a_step = a.ctypes.data, numbers[A_ROW] * 4, numbers[A_STEP] * 4
                at += row * a_row + k * a_step
                if M < TILE_ROWS:  # rows past the last must not be read
                    for p in range(depth):
                        for i in range(M):
                            copied = a[i * numbers[A_ROW] + (k + p) * numbers[A_STEP]]
                            edge[(p + width) * TILE_ROWS + i] = copied
                    at, a_row, a_step = (
                        edge.ctypes.data + width * TILE_ROWS * 4, 4, TILE_ROWS * 4
                    )  # fmt: skip
                whole = row == r and r + TILE_ROWS <= bottom and first + width <= N
                out, out_row = c.ctypes.data + (row * N + first) * 4, N * 4
                begin, begin_row, begin_column = zeros.ctypes.data, 0, 0
                if not whole:
                    out, out_row = edge.ctypes.data, width * 4
                elif mode == KEEP:
                    begin, begin_row, begin_column = out, out_row, VECTOR_BYTES
                elif mode == BIAS:
                    begin, begin_column = bias.ctypes.data + first * 4, VECTOR_BYTES
                tile(
                    at, a_row, a_step, panel.ctypes.data, VECTOR_BYTES, width * 4,
                    run.ctypes.data, 1, begin, begin_row, begin_column,
                    out, out_row, VECTOR_BYTES,
                )  # fmt: skip
                if not whole:
                    rows = min(bottom, r + TILE_ROWS) - row
                    _finish(c, bias, edge, width, row, first, r - row, rows, mode, numbers)


VARIANTS = {
    (rows, columns): multiply.variant(
        f"_{rows}x{columns}",
        tile=getattr(simd, f"tile_{rows}x{columns}"),
        TILE_ROWS=rows,
        TILE_COLUMNS=columns,
    )
    for rows, columns in ((8, 3), (5, 2))
}
