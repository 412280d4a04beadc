"""The kernels of a convolution's weight gradient: see weight_gradient_plan.py. Imports Numba."""

from __future__ import annotations

from typing import Any

import numpy as np

from protonet.blob import Array
from protonet.kernels import simd
from protonet.kernels.correlation import stage
from protonet.kernels.correlation_plan import (
    GROUPS,
    JOINED,
    SOURCE_CHANNELS,
    SOURCE_HEIGHT,
    SOURCE_PLANE,
    STAGED_PIXEL,
    STAGED_WIDTH,
    Ints,
)
from protonet.kernels.direct import ALL_TILES
from protonet.kernels.jit import Kernel, kernel
from protonet.kernels.pooling import Mask
from protonet.kernels.pooling_squares import spread_rows
from protonet.kernels.simd import LANES, VECTOR_BYTES
from protonet.kernels.weight_gradient_plan import (
    BAND_BOTTOM,
    BAND_FIRST,
    BAND_IMAGE,
    BAND_IMAGES,
    BAND_LAST,
    BAND_TOP,
    BLOCKS,
    COPIED,
    COPY_ROW,
    DILATION_HEIGHT,
    OUTPUT_CHANNELS,
    OUTPUT_PLANE,
    OUTPUT_WIDTH,
    PAD_HEIGHT,
    PART_VALUES,
    POSITION_STEP,
    ROW_VALUES,
    STRIDE_HEIGHT,
    STRIP_KERNEL_ROW,
    STRIP_OFFSET,
    STRIP_SUMS,
    STRIP_TILES,
)

tile: Any = None  # one of simd's, with its ROWS and COLUMNS; each variant has its own
ROWS = COLUMNS = 0


@kernel("inline")
def _find_runs(runs: Ints, band: Ints, ky: int, numbers: Ints) -> int:
    """Write where in dy and in the staged x to sum; return how many runs there are."""
    row_bytes = numbers[STAGED_WIDTH] * numbers[STAGED_PIXEL]
    top, bottom, width = band[BAND_TOP], band[BAND_BOTTOM], numbers[OUTPUT_WIDTH]
    image_bytes = numbers[OUTPUT_PLANE] * numbers[OUTPUT_CHANNELS] * numbers[GROUPS]
    if numbers[COPIED]:
        image_bytes = (bottom - top) * width * 4
    count = 0
    for image in range(band[BAND_IMAGES]):
        above = image * (band[BAND_LAST] - band[BAND_FIRST]) - band[BAND_FIRST]
        for y in range(top, bottom):
            row = y * numbers[STRIDE_HEIGHT] - numbers[PAD_HEIGHT] + ky * numbers[DILATION_HEIGHT]
            if numbers[JOINED] > 1:
                row = y
            elif not 0 <= row < numbers[SOURCE_HEIGHT]:
                continue
            runs[count] = image * image_bytes + (y - top) * width * 4
            runs[count + 1] = (above + row) * row_bytes
            runs[count + 2] = width
            count += 3
    return count // 3


@kernel("inline")
def _copy(
    dy: Array, mask: Mask, scratch: Array, image: int, group: int, band: Ints, numbers: Ints
) -> None:
    """Copy a band of dy to ``[channel][position]``, for groups of fewer channels than a tile.

    mask: not used.
    """
    channels, plane = numbers[OUTPUT_CHANNELS], numbers[OUTPUT_PLANE] // 4
    count = (band[BAND_BOTTOM] - band[BAND_TOP]) * numbers[OUTPUT_WIDTH]
    for i in range(band[BAND_IMAGES]):
        for o in range(channels):
            at = ((image + i) * numbers[GROUPS] + group) * channels + o
            at = at * plane + band[BAND_TOP] * numbers[OUTPUT_WIDTH]
            to = (numbers[COPIED] + o * numbers[COPY_ROW]) // 4 + i * count
            for p in range(count):
                scratch[to + p] = dy[at + p]


@kernel("inline")
def _spread(
    dy: Array, mask: Mask, scratch: Array, image: int, group: int, band: Ints, numbers: Ints
) -> None:
    """Write a band of dy as _copy does, from dy pooled by windows of 2 x 2.

    mask: where each of its values belongs in the image, the others are zero.
    """
    channels, columns = numbers[OUTPUT_CHANNELS], numbers[OUTPUT_WIDTH]
    top, rows, width = band[BAND_TOP], (band[BAND_BOTTOM] - band[BAND_TOP]) // 2, columns // 2
    for i in range(band[BAND_IMAGES]):
        for o in range(channels):
            at = ((image + i) * numbers[GROUPS] + group) * channels + o
            at = at * numbers[OUTPUT_PLANE] // 4 + top // 2 * width * 4
            to = scratch.ctypes.data + numbers[COPIED] + o * numbers[COPY_ROW]
            to += i * rows * columns * 8
            spread_rows(
                to, columns, rows, top * columns, dy.ctypes.data + at, mask.ctypes.data + at,
                width, rows * width - LANES,
            )  # fmt: skip


@kernel("inline")
def _sum_rows(
    values: Array, at: int, row: int, images: int, image: int, count: int,
    sums: Array, to: int, to_row: int, rows: int, begin: bool,
) -> None:  # fmt: skip
    """Write to sums, or add to them, those of rows of ``count`` values of some images."""
    for r in range(rows):
        total = np.float32(0)
        for i in range(images):
            start = at + r * row + i * image
            part = values[start : start + count]
            for p in range(part.size):
                total += part[p]
        old = np.float32(0) if begin else sums[to + r * to_row]
        sums[to + r * to_row] = old + total


@kernel(
    "void(float32[::1], float32[::1], int32[::1], float32[::1], boolean, float32[::1],"
    " float32[:,::1], int64[:,::1], int64[::1], int64[:,::1], int64[:,::1], int64[::1],"
    " int64, int64, int64)",
    shared=True,
)
def sum_products(
    x: Array, dy: Array, mask: Mask, sums: Array, bias: bool, zeros: Array,
    memory: Array, tables: Ints,
    numbers: Ints, bands: Ints, strips: Ints, cuts: Ints, lo: int, hi: int, worker: int,
) -> None:  # fmt: skip
    """Sum dy times x, parts lo to hi - 1 of the bands, or if there is one part blocks of channels.

    Args:
        mask: where values of a pooled dy belong, see _spread. Not used by other variants.
        sums: ``[part][group][channel][value]``, the last LANES of the values for the bias.
        bias: whether to sum dy for it.
        zeros: LANES zeros.
        memory, tables: scratch memory of each worker, for what is staged and for runs.
        cuts: at which bands parts begin.
    """
    scratch, runs = memory[worker], tables[worker]
    channels, groups, blocks = numbers[OUTPUT_CHANNELS], numbers[GROUPS], numbers[BLOCKS]
    plane, source_image = numbers[OUTPUT_PLANE], numbers[SOURCE_PLANE] * numbers[SOURCE_CHANNELS]
    staged = scratch.ctypes.data
    out_row = numbers[ROW_VALUES] * 4
    alone = cuts.size == 2
    for part in range(0 if alone else lo, 1 if alone else hi):
        begin, end = (lo, hi) if alone else (0, groups * blocks)
        for group in range(begin // blocks, (end + blocks - 1) // blocks):
            for index in range(cuts[part], cuts[part + 1]):
                band = bands[index]
                image, rows = band[BAND_IMAGE], band[BAND_LAST] - band[BAND_FIRST]
                for i in range(band[BAND_IMAGES]):
                    source = x.ctypes.data + ((image + i) * groups + group) * source_image
                    first = band[BAND_FIRST]
                    stage(source, scratch, first, first + rows, first - i * rows, 1, numbers)
                a_row = plane
                a = dy.ctypes.data + (image * groups + group) * channels * plane
                a += band[BAND_TOP] * numbers[OUTPUT_WIDTH] * 4
                # The rows of dy that are summed for the bias.
                values, origin = dy, (a - dy.ctypes.data) // 4
                image_values = groups * channels * plane // 4
                positions = (band[BAND_BOTTOM] - band[BAND_TOP]) * numbers[OUTPUT_WIDTH]
                if numbers[COPIED]:
                    _copy(dy, mask, scratch, image, group, band, numbers)
                    a_row, a = numbers[COPY_ROW], staged + numbers[COPIED]
                    values, origin, image_values = scratch, numbers[COPIED] // 4, positions
                for s in range(strips.shape[0]):
                    count = _find_runs(runs, band, strips[s, STRIP_KERNEL_ROW], numbers)
                    for t in range(strips[s, STRIP_TILES]):
                        value = t * COLUMNS * VECTOR_BYTES
                        b = staged + strips[s, STRIP_OFFSET] + value
                        for block in range(
                            max(begin, group * blocks), min(end, (group + 1) * blocks)
                        ):
                            # The last block reaches back rather than past the last channel.
                            first = max(0, min((block - group * blocks) * ROWS, channels - ROWS))
                            out = sums.ctypes.data + part * numbers[PART_VALUES] * 4
                            out += block * ROWS * out_row + strips[s, STRIP_SUMS] * 4 + value
                            start, start_row, start_column = out, out_row, VECTOR_BYTES
                            if bias and s == 0 and t == 0:
                                _sum_rows(
                                    values, origin + first * a_row // 4, a_row // 4,
                                    band[BAND_IMAGES], image_values, positions, sums,
                                    (out + out_row - sums.ctypes.data) // 4 - LANES,
                                    numbers[ROW_VALUES], ROWS, index == cuts[part],
                                )  # fmt: skip
                            if index == cuts[part]:
                                start, start_row, start_column = zeros.ctypes.data, 0, 0
                            tile(
                                a + first * a_row, a_row, 4,
                                b, VECTOR_BYTES, numbers[POSITION_STEP],
                                runs.ctypes.data, count, start, start_row, start_column,
                                out, out_row, VECTOR_BYTES,
                            )  # fmt: skip


@kernel(
    "void(float32[::1], float32[::1], float32[::1], int64[::1], int64[::1],"
    " int64, int64, int64, int64)",
    shared=True,
)
def add_sums(
    sums: Array, dw: Array, db: Array, places: Ints, numbers: Ints, parts: int, tile_rows: int,
    lo: int, hi: int,
) -> None:  # fmt: skip
    """Add the parts' sums to dw, flat, for output channels lo to hi - 1 (of all groups).

    db: (channels,), or empty if it is not wanted.
    """
    channels, values = numbers[OUTPUT_CHANNELS], numbers[ROW_VALUES]
    for o in range(lo, hi):
        block = o // channels * numbers[BLOCKS] + o % channels // tile_rows
        first = max(0, min(o % channels // tile_rows * tile_rows, channels - tile_rows))
        at = (block * tile_rows + o % channels - first) * values
        for part in range(1, parts):
            more = part * numbers[PART_VALUES]
            for i in range(at, at + values):
                sums[i] += sums[more + i]
        to = o * places.size
        for i in range(places.size):
            dw[to + i] += sums[at + places[i]]
        if db.size:
            db[o] += sums[at + values - LANES]


def _variants(label: str, **names: Any) -> dict[tuple[int, int], Kernel]:
    return {
        (rows, columns): sum_products.variant(
            f"_{rows}x{columns}{label}",
            tile=getattr(simd, f"tile_{rows}x{columns}"),
            ROWS=rows,
            COLUMNS=columns,
            **names,
        )
        for rows, columns in ALL_TILES
    }


VARIANTS, SPREAD_VARIANTS = _variants(""), _variants("_spread", _copy=_spread)
