"""The kernels of Winograd's convolution of few images: see winograd_tiles.py. Imports Numba."""

from __future__ import annotations

from typing import Any

import numpy as np

from protonet.blob import Array
from protonet.kernels import simd, simd_winograd
from protonet.kernels.correlation_plan import Ints
from protonet.kernels.jit import Kernel, kernel
from protonet.kernels.simd import LANES, VECTOR_BYTES, expect_read_later
from protonet.kernels.winograd_plan import OUTPUTS, N
from protonet.kernels.winograd_tiles import (
    ACROSS,
    BAND,
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
    PRODUCTS,
    ROWS_OF_TILES,
    TARGET_HEIGHT,
    TARGET_WIDTH,
    TARGETS,
    TILES,
    TOGETHER,
    WEIGHT_GROUP,
    WEIGHT_POINT,
    WEIGHT_SOURCE,
    WEIGHT_TARGET,
    WIDTH,
)

ZERO = np.float32(0)

# Each variant has its own: M outputs of a tile along an axis; REST, where among its inputs the last
# M or fewer begin; matrices; a tile of products.
M = REST = ROWS = COLUMNS = 0
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
                for j in range(0, REST, M):
                    split(of + j * 4, to + (j * pitch + x) * 4, pitch * 4)
                split_rest(of + REST * 4, to + (REST * pitch + x) * 4, pitch * 4)


@kernel("inline")
def _take(
    source: Array, inputs: Array, memory: Array, numbers: Ints, first: int, rows: int, lo: int,
    hi: int,
) -> None:  # fmt: skip
    """Write the inputs of channels lo to hi - 1, of ``rows`` rows of tiles from ``first`` on."""
    channels, plane = numbers[CHANNELS], numbers[HEIGHT] * numbers[WIDTH]
    pitch, vectors = numbers[PITCH], (rows * numbers[ACROSS] + LANES - 1) // LANES
    line, tiles = memory[: numbers[LINE]], memory[numbers[LINE] :]
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


@kernel("inline")
def _multiply(
    inputs: Array, weights: Array, products: Array, numbers: Ints, runs: Ints, part: Array,
    vectors: int, lo: int, hi: int,
) -> None:  # fmt: skip
    """Write products of blocks lo to hi - 1: ``[point][group][block of target channels]``.

    Sums are of SUMMED channels at most, and added up: long sums are where rounding errors grow.

    Args:
        part: memory for a tile.
        vectors: of tiles.
    """
    blocks, groups = numbers[BLOCKS], numbers[GROUPS]
    target_row, tile_step = numbers[WEIGHT_TARGET], numbers[PRODUCT_TILE]
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


@kernel("inline")
def _give(
    products: Array, bias: Array, factor: Array, shift: Array, slope: float, target: Array,
    image_bytes: int, memory: Array, numbers: Ints, first: int, rows: int, lo: int, hi: int,
) -> None:  # fmt: skip
    """Write channels lo to hi - 1 of the target, of ``rows`` rows of tiles from ``first`` on."""
    targets, H, W = numbers[TARGETS], numbers[TARGET_HEIGHT], numbers[TARGET_WIDTH]
    across, down = numbers[ACROSS], numbers[DOWN]
    pitch, vectors = numbers[PITCH], (rows * across + LANES - 1) // LANES
    line, tiles = memory[: numbers[LINE]], memory[numbers[LINE] :]
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


@kernel(
    "void(float32[::1], float32[::1], float32[::1], float32[::1], float32[::1], float32,"
    " float32[::1], int64, float32[:,::1], float32[:,::1], int64[::1], int64[:,::1], int64, int64,"
    " int64, int64)",
    shared=True,
    in_turns=True,
)
def convolve(
    source: Array, weights: Array, bias: Array, factor: Array, shift: Array, slope: float,
    target: Array, image_bytes: int, bands: Array, memory: Array, numbers: Ints, runs: Ints,
    turn: int, lo: int, hi: int, worker: int,
) -> None:  # fmt: skip
    """Do bands lo to hi - 1 of a convolution, or with TOGETHER these parts of a step of one band.

    Args:
        source, target: all images, flat; ``image_bytes`` from one image of the target to the next.
        weights: by points.
        bias: of each target channel; factor, shift, slope: see finish.Finish.
        bands: memory for inputs and products, of each worker, or one for all with TOGETHER.
        memory: of each worker, for the tiles of a channel and a tile of products.
        runs: which channels are summed up, and LANES zeros that sums begin with, for each sum.
        turn: with TOGETHER three for each band, one for each step.
    """
    C, O = numbers[GROUPS] * numbers[CHANNELS], numbers[GROUPS] * numbers[TARGETS]  # noqa: E741
    blocks = N * N * numbers[GROUPS] * numbers[BLOCKS]
    together = numbers[TOGETHER]
    own = bands[0 if together else worker]
    inputs, products = own[: numbers[PRODUCTS]], own[numbers[PRODUCTS] :]
    part, rest = memory[worker, : ROWS * COLUMNS * LANES], memory[worker, ROWS * COLUMNS * LANES :]
    begin, end = (turn // 3, turn // 3 + 1) if together else (lo, hi)
    low, high = (lo, hi) if together else (0, 1)
    whole = max(1, together)
    for band in range(begin, end):
        first = band * numbers[BAND]
        rows = min(numbers[BAND], numbers[ROWS_OF_TILES] - first)
        vectors = (rows * numbers[ACROSS] + LANES - 1) // LANES
        for step in range(turn % 3 if together else 0, turn % 3 + 1 if together else 3):
            count = C if step == 0 else blocks if step == 1 else O
            at, to = low * count // whole, high * count // whole
            if step == 0:
                _take(source, inputs, rest, numbers, first, rows, at, to)
            elif step == 1:
                _multiply(inputs, weights, products, numbers, runs, part, vectors, at, to)
            else:
                _give(
                    products, bias, factor, shift, slope, target, image_bytes, rest, numbers,
                    first, rows, at, to,
                )  # fmt: skip


def _kernels(r: int) -> dict[tuple[int, int], Kernel]:
    """Return the kernels for one size of kernel, by rows and columns of tiles of products."""
    m, vector, found = OUTPUTS[r], vars(simd_winograd), {}
    splits = {"split": vector[f"split_{m}"], "split_rest": vector[f"split_rest_{m}"]}
    gives = {"to_outputs": vector[f"to_outputs_{m}"], "merge": vector[f"merge_{m}"]}
    spread = _spread.variant(f"_{r}", M=m, REST=(N - 1) // m * m, **splits)
    sides = {
        "_take": _take.variant(f"_{r}", M=m, _spread=spread),
        "_give": _give.variant(f"_{r}", M=m, **gives),
    }
    for rows, columns in TILES.values():
        size = {"ROWS": rows, "COLUMNS": columns}
        name = f"{rows}x{columns}"
        multiply = _multiply.variant(f"_{name}", tile=getattr(simd, f"tile_{name}"), **size)
        found[rows, columns] = convolve.variant(f"_{r}_{name}", _multiply=multiply, **sides, **size)
    return found


KERNELS = {r: _kernels(r) for r in OUTPUTS}
