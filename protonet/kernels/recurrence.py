"""The steps of a recurrent layer, one after the other without leaving the kernel. Imports Numba.

What a stream of a batch does depends on that stream alone, so a thread takes a block of streams,
as many as a tile has rows, through all steps. The weights W (G·H, H) that take h from one step to
the next are packed once: ``[panel][k][column]``, a panel as wide as a tile. z, which holds what x
gives to the gates, becomes the gates themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from protonet.blob import Array
from protonet.kernels import simd
from protonet.kernels.correlation_plan import Ints
from protonet.kernels.functions import sigmoid, tanh
from protonet.kernels.jit import Kernel, kernel
from protonet.kernels.simd import LANES, VECTOR_BYTES, copy_part, transpose_part

ZERO, ONE = np.float32(0), np.float32(1)

tile: Any = None  # one of simd's, with its TILE_ROWS and TILE_COLUMNS; each variant has its own
TILE_ROWS = TILE_COLUMNS = 0
product: Any = None  # with that tile
cell: Any = None  # of the type of layer
cell_back: Any = None


@kernel("void(float32[:,::1], boolean, int64, float32[::1], int64, int64)", shared=True)
def pack(w: Array, transposed: bool, width: int, packed: Array, lo: int, hi: int) -> None:
    """Pack panels lo to hi - 1 of w (K, columns), or of the transposed of w, zero past the last.

    width: of a panel, a multiple of LANES.
    """
    row = w.shape[1]
    K, columns = (row, w.shape[0]) if transposed else w.shape
    source, target = w.ctypes.data, packed.ctypes.data
    for panel in range(lo, hi):
        for j in range(0, width, LANES):
            first, to = panel * width + j, target + (panel * K * width + j) * 4
            if transposed:
                rows = max(0, min(LANES, columns - first))
                for k in range(0, K, LANES):
                    transpose_part(
                        source + (first * row + k) * 4 if rows > 0 else source, row * 4, rows,
                        min(LANES, K - k), to + k * width * 4, width * 4, LANES,
                    )  # fmt: skip
            else:
                for k in range(K):
                    copy_part(source + (k * row + first) * 4, columns - first, to + k * width * 4)


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
            cell(z[t, n], added, cont[t, n], cells[t, n], cells[t + 1, n], h[t, n])


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
                z[t, n], cont[t, n], cells[t, n], cells[t + 1, n], h[t, n], whole, dz[t, n], dc[n]
            )
            for j in range(Z):
                rows[(n - begin) * Z + j] = dz[t, n, j]
        if t > 0:
            product(rows, Z, packed, width, sums, hi - lo, runs[worker])


# Each loop below writes one array: LLVM makes vectors only where few arrays might overlap.


@kernel("inline")
def lstm(z: Array, added: Array, cont: Any, c_prev: Array, c: Array, h: Array) -> None:
    """Turn z + added (4H,) into the gates i, f, o, g; write c and h (H,)."""
    H = h.size
    some, more = z[: 3 * H], added[: 3 * H]
    for j in range(3 * H):
        some[j] = sigmoid(some[j] + more[j])
    i, f, o, g = z[:H], z[H : 2 * H], z[2 * H : 3 * H], z[3 * H :]
    more = added[3 * H : 4 * H]
    for j in range(H):
        g[j] = tanh(g[j] + more[j])
    if cont == 0:
        for j in range(H):
            c[j] = i[j] * g[j]
    else:
        for j in range(H):
            c[j] = cont * f[j] * c_prev[j] + i[j] * g[j]
    for j in range(H):
        h[j] = o[j] * tanh(c[j])


@kernel("inline")
def lstm_back(
    z: Array, cont: Any, c_prev: Array, c: Array, h: Array, dh: Array, dz: Array, dc: Array
) -> None:
    """Write dz (4H,), from the gates z; take dc (H,) from after the step to before it."""
    H = dh.size
    i, f, o, g = z[:H], z[H : 2 * H], z[2 * H : 3 * H], z[3 * H :]
    di, df, do, dg = dz[:H], dz[H : 2 * H], dz[2 * H : 3 * H], dz[3 * H :]
    for j in range(H):
        do[j] = tanh(c[j])
    for j in range(H):
        dc[j] += dh[j] * o[j] * (ONE - do[j] * do[j])
    for j in range(H):
        do[j] *= dh[j] * o[j] * (ONE - o[j])
    for j in range(H):
        di[j] = dc[j] * g[j] * i[j] * (ONE - i[j])
    for j in range(H):
        dg[j] = dc[j] * i[j] * (ONE - g[j] * g[j])
    if cont == 0:
        df[:] = 0
        dc[:] = 0
        return
    for j in range(H):
        kept = cont * f[j]
        df[j] = dc[j] * c_prev[j] * kept * (ONE - kept)
    for j in range(H):
        dc[j] *= cont * f[j]


@kernel("inline")
def rnn(z: Array, added: Array, cont: Any, c_prev: Array, c: Array, h: Array) -> None:
    """Write h = tanh(z + added), each (H,)."""
    added = added[: h.size]
    for j in range(h.size):
        h[j] = tanh(z[j] + added[j])


@kernel("inline")
def rnn_back(
    z: Array, cont: Any, c_prev: Array, c: Array, h: Array, dh: Array, dz: Array, dc: Array
) -> None:
    """Write dz from dh and h, each (H,)."""
    for j in range(h.size):
        dz[j] = dh[j] * (ONE - h[j] * h[j])


_CELLS = {"lstm": (lstm, lstm_back), "rnn": (rnn, rnn_back)}


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
        for name, (ahead, back) in _CELLS.items()
    }


VARIANTS = _variants(8, 3) | _variants(5, 2) | _variants(1, 4)
