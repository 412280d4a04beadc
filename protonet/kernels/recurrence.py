"""The steps of a recurrent layer, one after the other without leaving the kernel. Imports Numba.

What a stream of a batch does depends on that stream alone, so a thread takes a block of streams,
as many as a tile has rows, through all steps; for few streams see recurrence_units.py. The weights
W (G·H, H) that take h from one step to the next are packed once: ``[panel][k][column]``, a panel as
wide as a tile. z, which holds what x gives to the gates, becomes the gates themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from protonet.blob import Array
from protonet.kernels import simd
from protonet.kernels.cells import CELLS
from protonet.kernels.correlation_plan import Ints
from protonet.kernels.jit import Kernel, kernel
from protonet.kernels.simd import LANES, VECTOR_BYTES, copy_part
from protonet.kernels.squares import square

ZERO = np.float32(0)

tile: Any = None  # one of simd's, with its TILE_ROWS and TILE_COLUMNS; each variant has its own
TILE_ROWS = TILE_COLUMNS = 0
product: Any = None  # with that tile
cell: Any = None  # of the type of layer
cell_back: Any = None


@kernel(
    "void(float32[:,::1], boolean, int64, int64, int64, int64, float32[::1], int64, int64)",
    shared=True,
)
def pack(
    w: Array, transposed: bool, vectors: int, across: int, spread: int, size: int, packed: Array,
    lo: int, hi: int,
) -> None:  # fmt: skip
    """Pack panels lo to hi - 1 of w (K, columns), or of the transposed of w: ``[k][vector]``.

    Vector j of panel p begins with column ``p * across + j * spread``. Zeros stand for what lies
    beyond the last column, and beyond the ``size`` columns that the first one belongs to.
    """
    row = w.shape[1]
    K, columns = (row, w.shape[0]) if transposed else w.shape
    width = vectors * LANES
    source, target = w.ctypes.data, packed.ctypes.data
    for panel in range(lo, hi):
        for j in range(vectors):
            first, to = panel * across + j * spread, target + (panel * K * width + j * LANES) * 4
            count = size - first % size if first < columns else 0
            if transposed:
                rows = min(LANES, count)
                for k in range(0, K, LANES):
                    square(
                        source + (first * row + k) * 4 if rows > 0 else source, row * 4, rows,
                        min(LANES, K - k), to + k * width * 4, width * 4, LANES,
                    )  # fmt: skip
            else:
                for k in range(K):
                    copy_part(source + (k * row + first) * 4, count, to + k * width * 4)


@kernel("inline")
def _product(
    a: Array, K: int, packed: Array, width: int, sums: Array, blocks: int, run: Ints
) -> None:
    """Write to sums (rows, width) the product of a (rows, K) and packed panels."""
    column = TILE_COLUMNS * LANES
    run[2] = K
    for panel in range(width // column):
        for block in range(blocks):
            row = block * TILE_ROWS
            # The sums begin with the zeros after the start of the run.
            tile(
                a.ctypes.data + row * K * 4, K * 4, 4,
                packed.ctypes.data + panel * K * column * 4, VECTOR_BYTES, column * 4,
                run.ctypes.data, 1, run.ctypes.data + 24, 0, 0,
                sums.ctypes.data + (row * width + panel * column) * 4, width * 4, VECTOR_BYTES,
            )  # fmt: skip


@kernel(
    "void(float32[::1], float32[:,:,::1], float32[:,::1], float32[:,::1], float32[:,:,::1],"
    " float32[:,:,::1], float32[:,:,::1], float32[:,::1], float32[:,::1],"
    " int64[:,::1], int64, int64, int64, int64)",
    shared=True,
)
def forward(
    packed: Array, z: Array, cont: Array, first: Array, cells: Array, h: Array, h_before: Array,
    rows_of: Array, sums_of: Array, runs: Ints, width: int, lo: int, hi: int, worker: int,
) -> None:  # fmt: skip
    """Write z, cells, h and h_before for blocks lo to hi - 1 of streams.

    Args:
        packed: W transposed.
        first: (N, H) h before the first step.
        cells: (T + 1, N, H): those before the first step are given.
        rows_of, sums_of: scratch memory of each worker for h and for the product, of all streams.
        runs: for each worker 3 + LANES zeros, of which the third is written: the one run of steps
            of a tile, and what its sums begin with.
        width: of all panels.
    """
    T, N, H = h.shape
    begin, end = lo * TILE_ROWS, min(N, hi * TILE_ROWS)
    streams = (hi - lo) * TILE_ROWS
    rows, sums = rows_of[worker, : streams * H], sums_of[worker, : streams * width]
    rows[:] = 0
    for t in range(T):
        for n in range(begin, end):
            before = first[n] if t == 0 else h[t - 1, n]
            kept, again, factor = h_before[t, n], rows[(n - begin) * H :], cont[t, n]
            for j in range(H):
                kept[j] = again[j] = factor * before[j]
        product(rows, H, packed, width, sums, hi - lo, runs[worker])
        for n in range(begin, end):
            added = sums[(n - begin) * width : (n - begin + 1) * width]
            cell(z[t, n], added[: z.shape[2]], 0, cont[t, n], cells[t, n], cells[t + 1, n], h[t, n])


@kernel(
    "void(float32[::1], float32[:,:,::1], float32[:,::1], float32[:,:,::1], float32[:,:,::1],"
    " float32[:,:,::1], float32[:,:,::1], float32[:,::1], float32[:,::1], float32[:,::1],"
    " int64[:,::1], int64, int64, int64, int64)",
    shared=True,
)
def backward(
    packed: Array, z: Array, cont: Array, cells: Array, h: Array, dh: Array, dz: Array, dc: Array,
    rows_of: Array, sums_of: Array, runs: Ints, width: int, lo: int, hi: int, worker: int,
) -> None:  # fmt: skip
    """Write dz from dh for blocks lo to hi - 1 of streams. The rest as :func:`forward` left it.

    Args:
        packed: W.
        dc: (N, H) zeros, the gradient by the cells; overwritten.
        rows_of, sums_of, runs, width: as in :func:`forward`, for dz and for the product.
    """
    T, N, H = dh.shape
    Z = z.shape[2]
    begin, end = lo * TILE_ROWS, min(N, hi * TILE_ROWS)
    streams = (hi - lo) * TILE_ROWS
    rows, sums = rows_of[worker, : streams * Z], sums_of[worker, : streams * width]
    rows[:] = 0
    sums[:] = 0
    for t in range(T - 1, -1, -1):
        for n in range(begin, end):
            # The sums hold what comes from the step after this one.
            whole, top = sums[(n - begin) * width : (n - begin) * width + H], dh[t, n]
            factor = ZERO if t == T - 1 else cont[t + 1, n]
            for j in range(H):
                whole[j] = whole[j] * factor + top[j]
            cell_back(
                z[t, n], 0, cont[t, n], cells[t, n], cells[t + 1, n], h[t, n], whole, dz[t, n],
                dc[n],
            )  # fmt: skip
            for j in range(Z):
                rows[(n - begin) * Z + j] = dz[t, n, j]
        if t > 0:
            product(rows, Z, packed, width, sums, hi - lo, runs[worker])


def _variants(rows: int, columns: int) -> dict[tuple[str, int, int], tuple[Kernel, Kernel]]:
    """Return forward and backward of each type of layer, with the tile of that size."""
    size: dict[str, Any] = {"TILE_ROWS": rows, "TILE_COLUMNS": columns}
    label = f"{rows}x{columns}"
    tiled = _product.variant(label, tile=getattr(simd, f"tile_{label}"), **size)
    return {
        (name, rows, columns): (
            forward.variant(f"_{name}_{label}", product=tiled, cell=ahead, **size),
            backward.variant(f"_{name}_{label}", product=tiled, cell_back=back, **size),
        )
        for name, (ahead, back) in CELLS.items()
    }


VARIANTS = _variants(8, 3) | _variants(4, 3)
