"""The steps of a recurrent layer over few streams: threads share out its units. Imports Numba.

All of h goes into each unit of the next step, so a step is shared out anew when the one before it
is done. The weights that a thread needs for its units stay in its own cache. What a thread does at
once is a block: four vectors of sums, of W in panels ``[panel][k][vector]``. Forward with four
gates these are the gates of one vector of units, otherwise they are of units side by side.
"""

from __future__ import annotations

from typing import Any

from protonet.blob import Array
from protonet.kernels import simd
from protonet.kernels.cells import CELLS, GATES
from protonet.kernels.correlation_plan import Ints
from protonet.kernels.jit import Kernel, kernel
from protonet.kernels.simd import LANES, LINE_BYTES, VECTOR_BYTES, expect_read_later

COLUMNS = 4  # of vectors in a tile
ROWS = 4  # of streams at most

tile: Any = None  # one of simd's, with its TILE_ROWS; each variant has its own
TILE_ROWS = 0
UNITS = 0  # of a block
SPREAD = False  # whether the vectors of a block are of several gates
product: Any = None  # with that tile, and these
cell: Any = None  # of the type of layer
cell_back: Any = None


@kernel("inline")
def _product(a: Array, packed: Array, pitch: int, sums: Array, run: Ints, lo: int, hi: int) -> None:
    """Write to sums the product of a (N, K) and panels lo to hi - 1.

    Args:
        pitch: units that sums have in a row: (N, pitch), or (N, 4, pitch) of four gates.
        run: 3 + LANES zeros, of which the third is written.
    """
    N, K = a.shape
    row = COLUMNS * pitch if SPREAD else pitch
    panel = K * COLUMNS * VECTOR_BYTES
    run[2] = K
    for at in range(a.ctypes.data, a.ctypes.data + N * K * 4, LINE_BYTES):
        expect_read_later(at)  # other threads wrote most of it
    for block in range(lo, hi):
        to = sums.ctypes.data + (block - lo) * UNITS * 4
        for n in range(0, N, TILE_ROWS):
            first = min(n, N - TILE_ROWS)  # the last tile reaches back
            # The sums begin with the zeros after the start of the run.
            tile(
                a.ctypes.data + first * K * 4, K * 4, 4,
                packed.ctypes.data + block * panel, VECTOR_BYTES, COLUMNS * VECTOR_BYTES,
                run.ctypes.data, 1, run.ctypes.data + 24, 0, 0,
                to + first * row * 4, row * 4, pitch * 4 if SPREAD else VECTOR_BYTES,
            )  # fmt: skip


@kernel(
    "void(float32[::1], float32[:,:,::1], float32[:,::1], float32[:,:,::1], float32[:,:,::1],"
    " float32[:,:,::1], float32[:,::1], int64[:,::1], int64, int64, int64, int64)",
    shared=True,
    in_turns=True,
)
def forward(
    packed: Array, z: Array, cont: Array, cells: Array, h: Array, h_before: Array, sums_of: Array,
    runs: Ints, t: int, lo: int, hi: int, worker: int,
) -> None:  # fmt: skip
    """Do step t for blocks lo to hi - 1 of units: write z, cells and h, and h_before of t + 1.

    Args:
        packed: W transposed.
        cells: (T + 1, N, H): those before the first step are given.
        h_before: that of the first step is given.
        sums_of: scratch memory of each worker for the product.
        runs: 3 + LANES zeros for each worker, of which the third is written.
    """
    T, N, H = h.shape
    first, end = lo * UNITS, min(H, hi * UNITS)
    pitch = (hi - lo) * UNITS
    row = COLUMNS * pitch if SPREAD else pitch
    sums = sums_of[worker]
    product(h_before[t], packed, pitch, sums, runs[worker], lo, hi)
    for n in range(N):
        added, made = sums[n * row : (n + 1) * row], h[t, n, first:end]
        before, after = cells[t, n, first:end], cells[t + 1, n, first:end]
        cell(z[t, n], added, first, cont[t, n], before, after, made)
        if t + 1 < T:
            kept, factor = h_before[t + 1, n, first:end], cont[t + 1, n]
            for j in range(made.size):
                kept[j] = factor * made[j]


@kernel(
    "void(float32[::1], float32[:,:,::1], float32[:,::1], float32[:,:,::1], float32[:,:,::1],"
    " float32[:,:,::1], float32[:,:,::1], float32[:,::1], float32[:,::1], int64[:,::1],"
    " int64, int64, int64, int64)",
    shared=True,
    in_turns=True,
)
def backward(
    packed: Array, z: Array, cont: Array, cells: Array, h: Array, dh: Array, dz: Array, dc: Array,
    sums_of: Array, runs: Ints, turn: int, lo: int, hi: int, worker: int,
) -> None:  # fmt: skip
    """Write dz from dh for blocks lo to hi - 1 of units, of the last step first.

    The rest as :func:`forward` left it.

    Args:
        packed: W.
        dc: (N, H) zeros at first, the gradient by the cells; overwritten.
        sums_of, runs: as in :func:`forward`.
    """
    T, N, H = dh.shape
    t = T - 1 - turn
    first, end = lo * UNITS, min(H, hi * UNITS)
    pitch = (hi - lo) * UNITS
    sums = sums_of[worker]
    if turn > 0:
        product(dz[t + 1], packed, pitch, sums, runs[worker], lo, hi)
    for n in range(N):
        whole, top = sums[n * pitch : n * pitch + end - first], dh[t, n, first:end]
        if turn == 0:
            for j in range(whole.size):
                whole[j] = top[j]
        else:
            factor = cont[t + 1, n]
            for j in range(whole.size):
                whole[j] = whole[j] * factor + top[j]
        cell_back(
            z[t, n], first, cont[t, n], cells[t, n, first:end], cells[t + 1, n, first:end],
            h[t, n, first:end], whole, dz[t, n], dc[n, first:end],
        )  # fmt: skip


def units(gates: int) -> int:
    """Return how many units a block has, of so many gates each."""
    return COLUMNS // gates * LANES


def _variants(rows: int) -> dict[tuple[str, int], tuple[Kernel, Kernel]]:
    """Return forward and backward of each type of layer, for tiles of so many rows."""
    found = {}
    for name, (ahead, back) in CELLS.items():
        kernels = []
        for kind, step, gates in ((forward, ahead, GATES[name]), (backward, back, 1)):
            names: dict[str, Any] = {
                "tile": getattr(simd, f"tile_{rows}x{COLUMNS}"),
                "TILE_ROWS": rows,
                "UNITS": units(gates),
                "SPREAD": gates > 1,
            }
            label = f"_{name}_{rows}"
            made = _product.variant(label + "_gates" * (gates > 1), **names)
            which = "cell" if kind is forward else "cell_back"
            kernels.append(kind.variant(label, product=made, **{which: step}, **names))
        found[name, rows] = (kernels[0], kernels[1])
    return found


VARIANTS = {key: value for rows in range(1, ROWS + 1) for key, value in _variants(rows).items()}
