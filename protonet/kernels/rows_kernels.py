"""The kernels of a convolution along rows: see rows_plan.py. Imports Numba."""

from __future__ import annotations

from typing import Any

import numpy as np

from protonet.blob import Array
from protonet.kernels import simd_rows
from protonet.kernels.correlation_plan import Ints
from protonet.kernels.direct import ALL_TILES
from protonet.kernels.jit import kernel
from protonet.kernels.rows_plan import (
    ACROSS,
    BAND,
    BANDS,
    BLOCKS,
    CHANNELS,
    DOWN,
    GROUPS,
    LINE,
    PAD_TOP,
    PARTS,
    PITCH,
    POSITIONS,
    REACH,
    RESULT,
    ROW,
    SOURCE_CHANNELS,
    SOURCE_HEIGHT,
    SOURCE_PLANE,
    SOURCE_WIDTH,
    STRETCH,
    STRETCHES,
    TARGET_CHANNELS,
    TARGET_HEIGHT,
    TARGET_PLANE,
    TARGET_WIDTH,
    TILES,
)
from protonet.kernels.simd import LANES, LINE_BYTES, VECTOR_BYTES, copy_part, expect_write
from protonet.kernels.simd_depthwise import every_second

sums: Any = None  # of simd_rows': each variant of convolve has its own


@kernel("inline")
def _stage(
    source: Array, image: int, row: int, staged: Array, to: int, phases: Ints, numbers: Ints
) -> None:
    """Write a source row as ``[stretch][channel][phase][column]``, zero beside the image.

    Args:
        image: where the first channel of the image lies in source.
        to: where that of the first stretch is written in staged.
    """
    plane, across, line = numbers[SOURCE_PLANE], numbers[ACROSS], numbers[LINE]
    stretches, stretch = numbers[STRETCHES], numbers[STRETCH]
    step = numbers[TILES] * numbers[POSITIONS]
    begin = row * numbers[SOURCE_WIDTH]
    width = 0
    if 0 <= row < numbers[SOURCE_HEIGHT]:
        width = min(numbers[SOURCE_WIDTH], plane - begin)
    for f in range(phases.size):
        # Of the phase, columns first to last - 1 are in the image.
        first = max(0, (across - 1 - phases[f]) // across)
        last = (width - 1 - phases[f]) // across + 1 if width > 0 else 0
        for c in range(numbers[SOURCE_CHANNELS]):
            at = image + c * plane + begin + phases[f]
            place = to + (c * phases.size + f) * line
            for s in range(stretches):
                seen = source.ctypes.data + (at + s * step * across) * 4
                written = staged.ctypes.data + place * 4
                i, end = s * step, s * step + line
                while i < end:
                    if across == 1 and first <= i < last:
                        copy_part(seen, last - i, written)
                    elif across == 2 and first <= i and i + LANES < last:
                        every_second(seen, written)
                    else:
                        for j in range(LANES):
                            value = np.float32(0)
                            if first <= i + j < last:
                                value = source[at + (i + j) * across]
                            staged[place + i - s * step + j] = value
                    seen += across * VECTOR_BYTES
                    written += VECTOR_BYTES
                    i += LANES
                place += stretch


@kernel("inline")
def _write(
    results: Array, first: int, last: int, factor: Array, shift: Array, begin: int, slope: float,
    target: Array, to: int, count: int, numbers: Ints,
) -> None:  # fmt: skip
    """Write a row of ``count`` positions of channels first to last - 1.

    Args:
        results: ``[channel][position]``.
        factor, shift, slope: see finish.Finish; those of channel c at ``begin + c * LANES``.
        to: where the row of channel 0 lies in target.
    """
    pitch, plane = numbers[PITCH], numbers[TARGET_PLANE]
    for c in range(first, last):
        row = results[c * pitch : c * pitch + count]
        out = target[to + c * plane : to + c * plane + count]
        if factor.size:
            scale, offset = factor[begin + c * LANES], shift[begin + c * LANES]
            for i in range(count):
                v = row[i] * scale + offset
                out[i] = v if v > 0 else slope * v
        elif slope != 1:
            for i in range(count):
                v = row[i]
                out[i] = v if v > 0 else slope * v
        else:
            for i in range(count):
                out[i] = row[i]


@kernel(
    "void(float32[::1], float32[::1], float32[::1], float32[::1], float32[::1], float32,"
    " float32[::1], int64, float32[:,::1], int64[::1], int64[::1], int64[::1],"
    " int64, int64, int64)",
    shared=True,
)
def convolve(
    source: Array, weights: Array, start: Array, factor: Array, shift: Array, slope: float,
    target: Array, image_values: int, memory: Array, numbers: Ints, phases: Ints, taps: Ints,
    lo: int, hi: int, worker: int,
) -> None:  # fmt: skip
    """Do items lo to hi - 1 of a convolution. All tables are those of its plan.

    Args:
        source, target: all images, flat.
        weights: as correlation.pack makes them.
        start: what the sums begin with, ``[group][target channel][lane]``.
        factor, shift, slope: how they end, see finish.Finish; the arrays lie as ``start`` does.
        image_values: from one image of the target to the next.
        memory: scratch memory of each worker.
    """
    scratch = memory[worker]
    results = scratch[numbers[RESULT] :]
    groups, blocks, rows = numbers[GROUPS], numbers[BLOCKS], numbers[CHANNELS]
    pitch, plane, width = numbers[PITCH], numbers[TARGET_PLANE], numbers[TARGET_WIDTH]
    tile_bytes, block_bytes = numbers[POSITIONS] * 4, taps.size * rows * 4
    parts = numbers[PARTS]
    for item in range(lo, hi):
        part, place = item % parts, item // parts
        first_block, last_block = part * blocks // parts, (part + 1) * blocks // parts
        band = place % numbers[BANDS]
        group = place // numbers[BANDS] % groups
        image = place // numbers[BANDS] // groups
        source_at = (image * groups + group) * numbers[SOURCE_CHANNELS] * numbers[SOURCE_PLANE]
        target_at = image * image_values + group * numbers[TARGET_CHANNELS] * plane
        begin = group * blocks * rows * LANES
        packed = weights.ctypes.data + group * blocks * block_bytes
        top = band * numbers[BAND]
        ready = 0
        for y in range(top, min(top + numbers[BAND], numbers[TARGET_HEIGHT])):
            above = (y - top) * numbers[DOWN]
            while ready < above + numbers[REACH]:
                row = top * numbers[DOWN] - numbers[PAD_TOP] + ready
                _stage(source, source_at, row, scratch, ready * numbers[ROW], phases, numbers)
                ready += 1
            for t in range(numbers[STRETCHES] * numbers[TILES]):
                stretch, tile = t // numbers[TILES], t % numbers[TILES]
                seen = scratch.ctypes.data + tile * tile_bytes
                seen += (stretch * numbers[STRETCH] + above * numbers[ROW]) * 4
                out = results.ctypes.data + t * tile_bytes
                expected = target.ctypes.data + (target_at + y * width) * 4 + t * tile_bytes
                for block in range(first_block, last_block):
                    sums(
                        packed + block * block_bytes, seen, taps.ctypes.data, taps.size,
                        start.ctypes.data + (begin + block * rows * LANES) * 4,
                        out + block * rows * pitch * 4, pitch * 4,
                    )  # fmt: skip
                    for c in range(block * rows, (block + 1) * rows):
                        for i in range(0, tile_bytes, LINE_BYTES):
                            expect_write(expected + c * plane * 4 + i)
            _write(
                results, first_block * rows, min(last_block * rows, numbers[TARGET_CHANNELS]),
                factor, shift, begin, slope, target, target_at + y * width,
                min(width, plane - y * width), numbers,
            )  # fmt: skip


VARIANTS = {
    (rows, columns): convolve.variant(
        f"_{rows}x{columns}", sums=getattr(simd_rows, f"sums_{rows}x{columns}")
    )
    for rows, columns in ALL_TILES
}
