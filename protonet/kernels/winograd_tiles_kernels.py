"""The kernels of Winograd's convolution of few images: see winograd_tiles.py. Imports Numba."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from protonet.blob import Array
from protonet.kernels import simd, simd_winograd
from protonet.kernels.correlation_plan import Ints
from protonet.kernels.direct import ALL_TILES
from protonet.kernels.jit import Kernel, kernel
from protonet.kernels.simd import LANES, VECTOR_BYTES, expect_read_later
from protonet.kernels.winograd_plan import OUTPUTS, N
from protonet.kernels.winograd_tiles import (
    ACROSS,
    BLOCKS,
    CHANNELS,
    DOWN,
    GROUPS,
    HEIGHT,
    INPUT_GROUP,
    INPUT_POINT,
    INPUT_TILE,
    LINE,
    PAD_LEFT,
    PAD_TOP,
    PITCH,
    PRODUCT_GROUP,
    PRODUCT_POINT,
    PRODUCT_TILE,
    TARGET_HEIGHT,
    TARGET_WIDTH,
    TARGETS,
    WEIGHT_GROUP,
    WEIGHT_POINT,
    WEIGHT_SOURCE,
    WEIGHT_TARGET,
    WIDTH,
)

ZERO = np.float32(0)

# Each variant has its own: M outputs of a tile along an axis, matrices, a tile of products.
M = ROWS = COLUMNS = 0
tile: Any = None
from_inputs: Any = simd_winograd.from_inputs
to_outputs: Any = None
split: Any = None  # of simd_winograd's
split_rest: Any = None
merge: Any = None

_POINT = N * VECTOR_BYTES  # of what is between the two axes: from one row to the next


@kernel("inline")
def _spread(
    source: Array, at: int, line: Array, tiles: Array, pitch: int, first: int, rows: int,
    numbers: Ints,
) -> None:  # fmt: skip
    """Write the values of each tile of a band, ``[row in it][column in it][tile]``.

    Up to LANES - 1 values behind those of a row of tiles are written over, by the next row.

    Args:
        at: where in the source the channel of the first image begins.
        line: room for a row with its margins, as far as vectors of tiles reach.
        pitch: from one place in a tile to the next.
    """
    H, W, across, down = numbers[HEIGHT], numbers[WIDTH], numbers[ACROSS], numbers[DOWN]
    image, pad = numbers[GROUPS] * numbers[CHANNELS] * H * W, numbers[PAD_LEFT]
    for j in range(line.size):
        line[j] = ZERO
    for row in range(rows):
        n, top = (first + row) // down, (first + row) % down * M - numbers[PAD_TOP]
        for i in range(N):
            y, inside = top + i, line[pad : pad + W]
            if 0 <= y < H:
                begin = at + n * image + y * W
                values = source[begin : begin + W]
                for x in range(W):
                    inside[x] = values[x]
            else:
                for x in range(W):
                    inside[x] = ZERO
            to = tiles.ctypes.data + (i * N * pitch + row * across) * 4
            for x in range(0, across, LANES):
                of = line.ctypes.data + x * M * 4
                for j in range(0, N - M + 1, M):
                    split(of + j * 4, to + (j * pitch + x) * 4, pitch * 4)
                j = N - N % M if N % M else N - M
                split_rest(of + j * 4, to + (j * pitch + x) * 4, pitch * 4)


@kernel(
    "void(float32[::1], float32[::1], float32[:,::1], int64[::1], int64, int64, int64, int64,"
    " int64)",
    shared=True,
)
def take(
    source: Array, inputs: Array, memory: Array, numbers: Ints, first: int, rows: int, lo: int,
    hi: int, worker: int,
) -> None:  # fmt: skip
    """Write the inputs of channels lo to hi - 1, of ``rows`` rows of tiles from ``first`` on.

    Args:
        source: all images, flat.
        memory: of each worker, for the tiles of a channel and what is between the two axes.
    """
    channels, plane = numbers[CHANNELS], numbers[HEIGHT] * numbers[WIDTH]
    pitch, vectors = numbers[PITCH], (rows * numbers[ACROSS] + LANES - 1) // LANES
    line, tiles = memory[worker, : numbers[LINE]], memory[worker, numbers[LINE] :]
    between = tiles.ctypes.data + N * N * pitch * 4
    for channel in range(lo, hi):
        _spread(source, channel * plane, line, tiles, pitch, first, rows, numbers)
        group, c = channel // channels, channel % channels
        to = inputs.ctypes.data + group * numbers[INPUT_GROUP] + c * VECTOR_BYTES
        for t in range(vectors):
            at = tiles.ctypes.data + t * VECTOR_BYTES
            for j in range(N):
                from_inputs(at + j * pitch * 4, N * pitch * 4, between + j * VECTOR_BYTES, _POINT)
            for i in range(N):
                from_inputs(
                    between + i * _POINT, VECTOR_BYTES,
                    to + t * numbers[INPUT_TILE] + i * N * numbers[INPUT_POINT],
                    numbers[INPUT_POINT],
                )  # fmt: skip


@kernel(
    "void(float32[::1], float32[::1], float32[::1], int64[::1], int64[:,::1], float32[:,::1],"
    " int64, int64, int64, int64)",
    shared=True,
)
def multiply(
    inputs: Array, weights: Array, products: Array, numbers: Ints, runs: Ints, memory: Array,
    vectors: int, lo: int, hi: int, worker: int,
) -> None:  # fmt: skip
    """Write products of blocks lo to hi - 1: ``[point][group][block of target channels]``.

    Sums are of SUMMED channels at most, and added up: long sums are where rounding errors grow.

    Args:
        runs: which channels are summed up, and LANES zeros that sums begin with, for each sum.
        memory: of each worker, for a tile.
        vectors: of tiles.
    """
    blocks, groups = numbers[BLOCKS], numbers[GROUPS]
    target_row, tile_step = numbers[WEIGHT_TARGET], numbers[PRODUCT_TILE]
    part = memory[worker]
    for item in range(lo, hi):
        block, group, p = item % blocks, item // blocks % groups, item // blocks // groups
        a = weights.ctypes.data + p * numbers[WEIGHT_POINT] + group * numbers[WEIGHT_GROUP]
        a += block * ROWS * target_row
        b = inputs.ctypes.data + p * numbers[INPUT_POINT] + group * numbers[INPUT_GROUP]
        at = p * numbers[PRODUCT_POINT] + group * numbers[PRODUCT_GROUP]
        at += block * ROWS * VECTOR_BYTES
        # The next block's weights come from far: they are asked for meanwhile.
        for j in range(0, ROWS * numbers[CHANNELS] * 4, 64):
            expect_read_later(a + ROWS * target_row + j)
        for t in range(0, vectors, COLUMNS):
            out = at + t * tile_step
            for run in range(len(runs)):
                to, column = products.ctypes.data + out, tile_step
                if run > 0:
                    to, column = part.ctypes.data, ROWS * VECTOR_BYTES
                tile(
                    a, target_row, numbers[WEIGHT_SOURCE],
                    b + t * numbers[INPUT_TILE], numbers[INPUT_TILE], VECTOR_BYTES,
                    runs[run].ctypes.data, 1, runs[run].ctypes.data + 24, 0, 0,
                    to, VECTOR_BYTES, column,
                )  # fmt: skip
                if run > 0:
                    for c in range(COLUMNS):
                        first = (out + c * tile_step) // 4
                        total = products[first : first + ROWS * LANES]
                        more = part[c * ROWS * LANES : (c + 1) * ROWS * LANES]
                        for j in range(ROWS * LANES):
                            total[j] += more[j]


@kernel(
    "void(float32[::1], float32[::1], float32[::1], float32[::1], float32, float32[::1], int64,"
    " float32[:,::1], int64[::1], int64, int64, int64, int64, int64)",
    shared=True,
)
def give(
    products: Array, bias: Array, factor: Array, shift: Array, slope: float, target: Array,
    image_bytes: int, memory: Array, numbers: Ints, first: int, rows: int, lo: int, hi: int,
    worker: int,
) -> None:  # fmt: skip
    """Write channels lo to hi - 1 of the target, of ``rows`` rows of tiles from ``first`` on.

    Args:
        bias: of each target channel; factor, shift, slope: see finish.Finish.
        target: all images, flat, ``image_bytes`` from one to the next.
        memory: as for :func:`take`.
    """
    targets, H, W = numbers[TARGETS], numbers[TARGET_HEIGHT], numbers[TARGET_WIDTH]
    across, down = numbers[ACROSS], numbers[DOWN]
    pitch, vectors = numbers[PITCH], (rows * across + LANES - 1) // LANES
    line, tiles = memory[worker, : numbers[LINE]], memory[worker, numbers[LINE] :]
    between = tiles.ctypes.data + N * N * pitch * 4
    for channel in range(lo, hi):
        group, o = channel // targets, channel % targets
        at = products.ctypes.data + group * numbers[PRODUCT_GROUP] + o * VECTOR_BYTES
        for t in range(vectors):
            to = tiles.ctypes.data + t * VECTOR_BYTES
            for j in range(N):
                to_outputs(
                    at + t * numbers[PRODUCT_TILE] + j * numbers[PRODUCT_POINT],
                    N * numbers[PRODUCT_POINT], between + j * VECTOR_BYTES, _POINT,
                )  # fmt: skip
            for i in range(M):
                to_outputs(between + i * _POINT, VECTOR_BYTES, to + i * M * pitch * 4, pitch * 4)
        a, b = np.float32(1), bias[channel]
        if factor.size:
            a, b = factor[channel], b * factor[channel] + shift[channel]
        results = tiles[: M * M * pitch]
        for j in range(results.size):
            v = results[j] * a + b
            results[j] = v if v > 0 else slope * v
        for row in range(rows):
            n, top = (first + row) // down, (first + row) % down * M
            for i in range(min(M, H - top)):
                at_row = tiles.ctypes.data + (i * M * pitch + row * across) * 4
                for x in range(0, across, LANES):
                    merge(at_row + x * 4, pitch * 4, line.ctypes.data + x * M * 4)
                place = n * image_bytes // 4 + (channel * H + top + i) * W
                values, inside = target[place : place + W], line[:W]
                for x in range(W):
                    values[x] = inside[x]


class Kernels(NamedTuple):
    """The kernels for one size of kernel; that which multiplies, by rows and columns of tiles."""

    take: Kernel
    multiply: dict[tuple[int, int], Kernel]
    give: Kernel


def _kernels(r: int) -> Kernels:
    m, label, vector = OUTPUTS[r], f"_{r}", vars(simd_winograd)
    splits = {"split": vector[f"split_{m}"], "split_rest": vector[f"split_rest_{m}"]}
    gives = {"to_outputs": vector[f"to_outputs_{m}"], "merge": vector[f"merge_{m}"]}
    return Kernels(
        take.variant(label, M=m, _spread=_spread.variant(label, M=m, **splits)),
        MULTIPLY,
        give.variant(label, M=m, **gives),
    )


MULTIPLY = {
    (rows, columns): multiply.variant(
        f"_{rows}x{columns}",
        tile=getattr(simd, f"tile_{rows}x{columns}"),
        ROWS=rows,
        COLUMNS=columns,
    )
    for rows, columns in ALL_TILES
}
KERNELS = {r: _kernels(r) for r in OUTPUTS}
