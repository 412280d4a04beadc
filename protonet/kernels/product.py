"""The kernels of a product of matrices: see gemm.py. Imports Numba: import it when needed.

C (M, N) is cut into panels of as many columns as a tile has. For a group of panels a stretch of B
is packed, ``[panel][k][column]``, small enough for the second-level cache, and A passes by it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

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
from protonet.kernels.squares import square

# Indices into the numbers of a product. Strides are in values.
(
    ROWS_OF_C,
    COLUMNS_OF_C,
    DEPTH,  # K
    A_ROW,  # from one row of op(A) to the next
    A_STEP,  # from one k to the next
    B_ROW,  # from one row of B as it lies to the next
    B_TRANSPOSED,
    KEEP,  # whether the product is added to what C holds
    ZEROS,  # where in the bias there are as many zeros as a panel is wide
    CHUNK,  # rows of C in an item of work
    NARROW,  # whether the narrow tile is used
    BY_ROWS,  # whether an item of work is a chunk of whole rows
    STRAIGHT,  # where, behind a tile's results, its steps of a transposed A are laid straight; or 0
) = range(13)

STRETCH = 256  # rows of B that are packed at once
GROUP = 10  # panels that are packed at once
AHEAD = 8  # rows of B that are brought near before they are packed

tile: Any = None  # one of simd's, with its TILE_ROWS and TILE_COLUMNS; each variant has its own
TILE_ROWS = TILE_COLUMNS = 0
NARROW_ROWS = 14  # of the tile for matrices C that are no wider than a vector, as it is


@kernel("inline")
def _pack(
    b: Array, packed: Array, first: int, panels: int, width: int, k: int, depth: int, numbers: Ints
) -> None:
    """Pack rows k to k + depth - 1 of op(B), from column ``first`` on, zero past the last.

    width: of a panel. A panel has room for STRETCH rows.
    """
    row, room = numbers[B_ROW], STRETCH * width
    columns = min(panels * width, numbers[COLUMNS_OF_C] - first)
    if numbers[B_TRANSPOSED]:
        source, target = b.ctypes.data, packed.ctypes.data
        for j in range(0, panels * width, LANES):
            rows = max(0, min(LANES, columns - j))
            to = target + (j // width * room + j % width) * 4
            # Masked loads are slow where no memory is mapped, even if no lane is wanted.
            at = source + ((first + (j if rows > 0 else 0)) * row + k) * 4
            for p in range(0, depth, LANES):
                steps = min(LANES, depth - p)
                square(at + p * 4, row * 4, rows, steps, to + p * width * 4, width * 4, LANES)
        return
    for p in range(depth):
        at = b.ctypes.data + ((k + p) * row + first) * 4
        for j in range(0, panels * width * 4, LINE_BYTES):
            expect_read_later(at + AHEAD * row * 4 + j)
        to = packed.ctypes.data + p * width * 4
        for g in range(panels):
            for j in range(g * width, (g + 1) * width, LANES):
                copy_part(at + j * 4, columns - j, to + (g * (room - width) + j) * 4)


@kernel("inline")
def _straighten(at: int, step: int, there: int, rows: int, depth: int, to: int) -> None:
    """Lay steps of a transposed A one after the other: far apart they fight for the cache.

    there: values of a step that there are, at least rows.
    """
    for _ in range(depth):
        for j in range(0, rows, LANES):
            copy_part(at + j * 4, there - j, to + j * 4)
        at += step
        to += (rows + LANES - 1) // LANES * VECTOR_BYTES


@kernel(
    "void(float32[::1], float32[::1], float32[::1], float32[::1], float32[:,::1], float32[:,::1],"
    " int64[:,::1], int64[::1], int64, int64, int64)",
    shared=True,
)
def multiply(
    a: Array, b: Array, c: Array, bias: Array, panels_of: Array, edges: Array, runs: Ints,
    numbers: Ints,
    lo: int, hi: int, worker: int,
) -> None:  # fmt: skip
    """Write items lo to hi - 1 of C = op(A) op(B) + bias, or + C.

    An item is a panel's chunk of rows, or with BY_ROWS a chunk of all panels.

    Args:
        a: of as many rows as a tile at least.
        bias: as long as all panels are wide.
        panels_of, edges: scratch memory of each worker, for GROUP panels and for one tile.
        runs: memory for three numbers of each worker.
    """
    packed, edge, run = panels_of[worker], edges[worker], runs[worker]
    straight = edge.ctypes.data + numbers[STRAIGHT] * 4
    run[0] = run[1] = 0
    M, N, K = numbers[ROWS_OF_C], numbers[COLUMNS_OF_C], numbers[DEPTH]
    narrow = numbers[NARROW] != 0
    width = LANES if narrow else TILE_COLUMNS * LANES
    rows = NARROW_ROWS if narrow else TILE_ROWS
    chunks = (M + numbers[CHUNK] - 1) // numbers[CHUNK]
    panels = (N + width - 1) // width
    item, panel, group = lo, 0, 0
    while item < hi:
        if numbers[BY_ROWS]:
            first_chunk, last_chunk = lo, hi
            panel += group
            group = min(GROUP, panels - panel)
            item = hi if panel + group == panels else lo
        else:
            panel, first_chunk = item // chunks, item % chunks
            group, last_chunk = 1, min(chunks, first_chunk + hi - item)
            if last_chunk - first_chunk == chunks:
                group = min(GROUP, (hi - item) // chunks)
            item += group * (last_chunk - first_chunk)
        top, bottom = first_chunk * numbers[CHUNK], min(M, last_chunk * numbers[CHUNK])
        for k in range(0, max(K, 1), STRETCH):
            depth = min(STRETCH, K - k)
            run[2] = depth
            keep = k > 0 or numbers[KEEP] != 0
            _pack(b, packed, panel * width, group, width, k, depth, numbers)
            for r in range(top, bottom, rows):
                row = max(0, min(r, M - rows))  # the last tile reaches back
                at = a.ctypes.data + (row * numbers[A_ROW] + k * numbers[A_STEP]) * 4
                a_row, a_step = numbers[A_ROW] * 4, numbers[A_STEP] * 4
                if numbers[STRAIGHT]:
                    _straighten(at, a_step, M - row, rows, depth, straight)
                    at, a_step = straight, (rows + LANES - 1) // LANES * VECTOR_BYTES
                for g in range(group):
                    first = (panel + g) * width
                    columns = min(width, N - first)
                    whole = row == r and r + rows <= bottom and columns == width
                    out, out_row = edge.ctypes.data, width * 4
                    if whole:
                        out, out_row = c.ctypes.data + (row * N + first) * 4, N * 4
                    begin, begin_row = bias.ctypes.data + first * 4, 0
                    if keep and whole:
                        begin, begin_row = out, out_row
                    elif keep:
                        begin = bias.ctypes.data + numbers[ZEROS] * 4
                    panel_at = packed.ctypes.data + g * STRETCH * width * 4
                    if narrow:
                        tile_14x1(
                            at, a_row, a_step,
                            panel_at, VECTOR_BYTES, width * 4, run.ctypes.data, 1,
                            begin, begin_row, VECTOR_BYTES, out, out_row, VECTOR_BYTES,
                        )  # fmt: skip
                    else:
                        tile(
                            at, a_row, a_step,
                            panel_at, VECTOR_BYTES, width * 4, run.ctypes.data, 1,
                            begin, begin_row, VECTOR_BYTES, out, out_row, VECTOR_BYTES,
                        )  # fmt: skip
                    if not whole:
                        for i in range(r - row, min(bottom, r + rows) - row):
                            to = (row + i) * N + first
                            for j in range(columns):
                                old = c[to + j] if keep else np.float32(0)
                                c[to + j] = edge[i * width + j] + old


@kernel("void(float32[:,::1], float32[:,::1], int64, int64)", shared=True)
def transpose_matrix(a: Array, result: Array, lo: int, hi: int) -> None:
    """Write columns lo to hi - 1 of the transposed of a, in squares."""
    rows, columns = a.shape
    for i in range(lo, hi, LANES):
        for j in range(0, columns, LANES):
            height, width = min(LANES, hi - i), min(LANES, columns - j)
            square(
                a.ctypes.data + (i * columns + j) * 4, columns * 4, height, width,
                result.ctypes.data + (j * rows + i) * 4, rows * 4, height,
            )  # fmt: skip


VARIANTS = {
    (rows, columns): multiply.variant(
        f"_{rows}x{columns}",
        tile=getattr(simd, f"tile_{rows}x{columns}"),
        TILE_ROWS=rows,
        TILE_COLUMNS=columns,
    )
    for rows, columns in ((8, 3), (14, 2), (4, 3))
}
