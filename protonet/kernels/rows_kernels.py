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
    FLAT,
    GROUPS,
    LAST,
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
    SOURCE_IMAGE,
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
from protonet.kernels.simd import (
    LANES,
    LINE_BYTES,
    VECTOR_BYTES,
    copy_part,
    expect_write,
    move_part,
)
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
def _stage_flat(
    source: Array, group: int, begin: int, staged: Array, to: int, numbers: Ints
) -> None:
    """Write a row of positions as ``[stretch][channel][position]``, zero behind the last image.

    Args:
        group: where the group's first channel of the first image lies in source.
        begin: the position of all images that is the row's first.
        to: where the row is written in staged.
    """
    plane, step = numbers[SOURCE_PLANE], numbers[POSITIONS]
    for c in range(numbers[SOURCE_CHANNELS]):
        at, image, p = begin, begin // plane, begin % plane
        for s in range(numbers[STRETCHES]):
            place = to + s * numbers[STRETCH] + c * step
            end = place + step
            while place < end and at < numbers[LAST]:
                count = min(end - place, plane - p)
                seen = source.ctypes.data
                seen += (group + image * numbers[SOURCE_IMAGE] + c * plane + p) * 4
                written = staged.ctypes.data + place * 4
                for i in range(0, count, LANES):
                    move_part(seen + i * 4, count - i, written + i * 4)
                place, at, p = place + count, at + count, p + count
                if p == plane:
                    image, p = image + 1, 0
            staged[place:end] = 0


@kernel("inline")
def _write(
    results: Array, skip: int, first: int, last: int, factor: Array, shift: Array, begin: int,
    slope: float, target: Array, to: int, count: int, numbers: Ints,
) -> None:  # fmt: skip
    """Write ``count`` positions of channels first to last - 1.

    Args:
        results: ``[channel][position]``, from channel first on; ``skip`` positions are left out.
        factor, shift, slope: see finish.Finish; those of channel c at ``begin + c * LANES``.
        to: where they lie in target for channel 0.
    """
    pitch, plane = numbers[PITCH], numbers[TARGET_PLANE]
    for c in range(first, last):
        at = (c - first) * pitch + skip
        row = results[at : at + count]
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
                row, to = top * numbers[DOWN] - numbers[PAD_TOP] + ready, ready * numbers[ROW]
                if numbers[FLAT]:
                    _stage_flat(source, source_at, row * width, scratch, to, numbers)
                else:
                    _stage(source, source_at, row, scratch, to, phases, numbers)
                ready += 1
            count = min(width, numbers[LAST] - y * width)
            for block in range(first_block, last_block):
                first = block * rows
                for t in range((count + numbers[POSITIONS] - 1) // numbers[POSITIONS]):
                    stretch, tile = t // numbers[TILES], t % numbers[TILES]
                    seen = scratch.ctypes.data + tile * tile_bytes
                    seen += (stretch * numbers[STRETCH] + above * numbers[ROW]) * 4
                    sums(
                        packed + block * block_bytes, seen, taps.ctypes.data, taps.size,
                        start.ctypes.data + (begin + first * LANES) * 4,
                        results.ctypes.data + t * tile_bytes, pitch * 4,
                    )  # fmt: skip
                    q = y * width + t * numbers[POSITIONS]
                    expected = target_at + q // plane * image_values + first * plane + q % plane
                    for c in range(rows):
                        for i in range(0, tile_bytes, LINE_BYTES):
                            expect_write(target.ctypes.data + (expected + c * plane) * 4 + i)
                done = 0
                while done < count:
                    q = y * width + done
                    of_image = min(count - done, plane - q % plane)
                    _write(
                        results, done, first, min(first + rows, numbers[TARGET_CHANNELS]),
                        factor, shift, begin, slope,
                        target, target_at + q // plane * image_values + q % plane, of_image,
                        numbers,
                    )  # fmt: skip
                    done += of_image


VARIANTS = {
    (rows, columns): convolve.variant(
        f"_{rows}x{columns}", sums=getattr(simd_rows, f"sums_{rows}x{columns}")
    )
    for rows, columns in ALL_TILES
}
