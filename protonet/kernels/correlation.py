"""The kernels of a correlation: see correlation_plan.py. Imports Numba: import it when needed."""

from __future__ import annotations

from typing import Any

from protonet.blob import Array
from protonet.kernels import simd
from protonet.kernels.correlation_plan import (
    BLOCK_BYTES,
    CHANNEL_BLOCKS,
    CHUNK_BAND,
    CHUNK_BOTTOM,
    CHUNK_FROM,
    CHUNK_LAST,
    CHUNK_LEFT,
    CHUNK_RIGHT,
    CHUNK_TO,
    CHUNK_TOP,
    COLUMN_CLASSES,
    GROUPS,
    IMAGES,
    JOINED,
    JOINED_STEP,
    LANES_ARE_IMAGES,
    MARGIN_LEFT,
    PARTS,
    PLACES,
    RESULT,
    RESULT_PIXEL,
    RESULT_STEP,
    ROW_CLASS,
    ROW_FIRST,
    ROW_SHIFT,
    ROW_STEP,
    SOURCE_CHANNELS,
    SOURCE_HEIGHT,
    SOURCE_PLANE,
    SOURCE_STEP,
    SOURCE_WIDTH,
    STAGED_PIXEL,
    STAGED_WIDTH,
    TARGET_CHANNELS,
    TARGET_PLANE,
    TARGET_WIDTH,
    TILE_CLASS,
    TILE_SINGLE,
    TILE_SOURCE,
    TILE_TARGET,
    Ints,
)
from protonet.kernels.direct import ALL_TILES
from protonet.kernels.jit import Kernel, kernel
from protonet.kernels.pooling import Mask
from protonet.kernels.simd import (
    LANES,
    VECTOR_BYTES,
    expect_write,
)
from protonet.kernels.simd_pooling import largest_lanes
from protonet.kernels.squares import square

# Of simd's, each variant of correlate has its own: tiles of several positions, and of one.
tile: Any = None
single: Any = None
POOLED = False  # whether it writes the largest results only, see pool_out()


@kernel("inline")
def clear(staged: Array, start: int, stop: int) -> None:
    """Write zeros from byte start to stop - 1."""
    for i in range(start // 4, stop // 4):
        staged[i] = 0


@kernel("inline")
def stage(
    source: int, staged: Array, first: int, last: int, offset: int, images: int, numbers: Ints
) -> None:
    """Copy source rows to ``[row][column][channel][lane]``, what lies outside the image zero.

    Staged row y is source row y. Or, if rows are joined, it is ``[column][k][channel]`` with what
    of the source lies in rows y * ROW_STEP - ROW_SHIFT + k * JOINED_STEP.

    Args:
        source: address of the first image and channel.
        staged: scratch memory; row y goes to row y - offset.
        first, last: rows first to last - 1.
        images: how many of LANES images there are; unused when lanes are not images.
        numbers: of the plan.
    """
    width, pixel, joined = numbers[SOURCE_WIDTH], numbers[STAGED_PIXEL], numbers[JOINED]
    plane, channels = numbers[SOURCE_PLANE], numbers[SOURCE_CHANNELS]
    row_bytes, left = numbers[STAGED_WIDTH] * pixel, numbers[MARGIN_LEFT] * pixel
    across_rows = numbers[JOINED_STEP] * width * 4
    reach = (joined - 1) * numbers[JOINED_STEP]
    # Squares that are transposed: images x columns, channels x columns, or rows x columns.
    squares, along, across, rows, lanes = (
        channels, plane, plane * channels * numbers[GROUPS], images, LANES,
    )  # fmt: skip
    if not numbers[LANES_ARE_IMAGES]:
        squares, along, across = (channels + LANES - 1) // LANES, plane * LANES, plane
    for y in range(first, last):
        start = (y - offset) * row_bytes
        top = y * numbers[ROW_STEP] - numbers[ROW_SHIFT]
        inside = top >= 0 and top + reach < numbers[SOURCE_HEIGHT]
        clear(staged, start, start + left if inside else start + row_bytes)
        clear(staged, start + left + width * pixel, start + row_bytes)
    for q in range(squares):  # outermost, so that what is read lies together
        lanes_of_q = min(LANES, channels - q * LANES)
        for y in range(first, last):
            top = y * numbers[ROW_STEP] - numbers[ROW_SHIFT]
            at_once = channels == 1 and 1 < joined <= LANES
            at_once = at_once and top >= 0 and top + reach < numbers[SOURCE_HEIGHT]
            if at_once:
                across, rows, lanes = across_rows, joined, joined
            elif not numbers[LANES_ARE_IMAGES]:
                across, rows, lanes = plane, lanes_of_q, lanes_of_q
            for k in range(1 if at_once else joined):
                row = top + k * numbers[JOINED_STEP]
                if not 0 <= row < numbers[SOURCE_HEIGHT]:
                    continue
                to = staged.ctypes.data + (y - offset) * row_bytes + left
                to += k * channels * 4 + q * VECTOR_BYTES
                at = source + row * width * 4 + q * along
                for x in range(0, width, LANES):
                    square(
                        at + x * 4, across, rows, min(LANES, width - x),
                        to + x * pixel, pixel, lanes,
                    )  # fmt: skip


@kernel("inline")
def write_out(
    results: int, target: int, image: int, mask: int, first: int, last: int, lowest: int,
    highest: int, images: int, numbers: Ints,
) -> None:  # fmt: skip
    """Copy results ``[pixel][channel][lane]`` of pixels first to last - 1 to the target image.

    Args:
        image: bytes from one image of the target to the next.
        mask: not used.
        lowest, highest: the vectors of a pixel's results from and to which they are copied.
    """
    pixel, plane, channels = numbers[RESULT_PIXEL], numbers[TARGET_PLANE], numbers[TARGET_CHANNELS]
    squares, across = channels, image
    along, columns = plane, images
    if not numbers[LANES_ARE_IMAGES]:
        squares, across = (channels + LANES - 1) // LANES, plane
        along = plane * LANES
    for q in range(lowest, min(highest, squares)):
        if not numbers[LANES_ARE_IMAGES]:
            columns = min(LANES, channels - q * LANES)
        for p in range(first, last, LANES):
            rows = min(LANES, last - p)
            square(
                results + (p - first) * pixel + q * VECTOR_BYTES, pixel, rows, columns,
                target + q * along + p * 4, across, rows,
            )  # fmt: skip


@kernel("inline")
def pool_out(
    results: int, target: int, image: int, mask: int, first: int, last: int, lowest: int,
    highest: int, images: int, numbers: Ints,
) -> None:  # fmt: skip
    """Write the largest results of windows of 2 x 2, and where they lie, as pooling.py does.

    As write_out, for results whose lanes are images and whose pixels are those of whole rows, an
    even number of them. Results are overwritten: what is written at a pixel was used before.

    Args:
        image: bytes from one image of the target to the next.
        mask: address like ``target``, for the places, int32, whose images lie close together.
    """
    pixel, plane, channels = numbers[RESULT_PIXEL], numbers[TARGET_PLANE], numbers[TARGET_CHANNELS]
    width, across = numbers[TARGET_WIDTH], plane * channels * numbers[GROUPS]
    places = results - numbers[RESULT] + numbers[PLACES]
    for q in range(lowest, min(highest, channels)):
        best = results + q * VECTOR_BYTES
        count = 0
        for top in range(first, last, 2 * width):
            for p in range(top, top + width, 2):
                largest_lanes(
                    best + (p - first) * pixel, pixel, width * pixel, p, width,
                    best + count * pixel, places + count * VECTOR_BYTES,
                )  # fmt: skip
                count += 1
        for p in range(0, count, LANES):
            rows, to = min(LANES, count - p), q * plane + (first // 4 + p) * 4
            square(best + p * pixel, pixel, rows, images, target + to, image, rows)
            square(places + p * VECTOR_BYTES, VECTOR_BYTES, rows, images, mask + to, across, rows)


@kernel("inline")
def finish(
    values: Array, at: int, count: int, step: int, width: int, factor: Array, shift: Array,
    begin: int, slope: float,
) -> None:  # fmt: skip
    """Do to ``count`` rows of ``width`` sums what finish.Finish says, while they are at hand.

    Args:
        at: where in ``values`` they begin, ``step`` values from one row to the next.
        factor, shift: those of the first sum of each row are at ``begin``. Empty for none.
    """
    if factor.size:
        factors, shifts = factor[begin : begin + width], shift[begin : begin + width]
        for p in range(at, at + count * step, step):
            row = values[p : p + width]
            for j in range(width):
                v = row[j] * factors[j] + shifts[j]
                row[j] = v if v > 0 else slope * v
    elif slope != 1:
        for p in range(at, at + count * step, step):
            row = values[p : p + width]
            for j in range(width):
                v = row[j]
                row[j] = v if v > 0 else slope * v


@kernel(
    "void(float32[::1], float32[::1], float32[::1], float32[::1], float32[::1], float32,"
    " float32[::1], int64, int32[::1], float32[:,::1], int64[::1],"
    " int64[:,::1], int64[:,::1], int64[:,::1], int64[::1], int64[:,::1], int64[:,::1],"
    " int64, int64, int64)",
    shared=True,
)
def correlate(
    source: Array, weights: Array, start: Array, factor: Array, shift: Array, slope: float,
    target: Array, image_bytes: int, mask: Mask, memory: Array, numbers: Ints,
    rows: Ints, tiles: Ints, chunks: Ints, bands: Ints, classes: Ints, runs: Ints,
    lo: int, hi: int, worker: int,
) -> None:  # fmt: skip
    """Do items lo to hi - 1 of a correlation. All tables are those of its plan.

    Args:
        source, target: all images, flat. The target's results are pooled if POOLED.
        image_bytes: from one image of the target to the next.
        weights: as :func:`pack` makes them.
        start: what the sums begin with, ``[group][target channel][lane]``.
        factor, shift, slope: how they end, see :func:`finish`; the arrays lie as ``start`` does.
        mask: where pooled results come from, laid out as they are; not used unless POOLED.
        memory: scratch memory of each worker.
    """
    scratch = memory[worker]
    over_images = numbers[LANES_ARE_IMAGES] != 0
    depth = LANES if over_images else 1
    groups, blocks = numbers[GROUPS], numbers[CHANNEL_BLOCKS]
    source_group = numbers[SOURCE_PLANE] * numbers[SOURCE_CHANNELS]
    target_plane = numbers[TARGET_PLANE]
    target_group = target_plane * numbers[TARGET_CHANNELS]
    row_bytes = numbers[STAGED_WIDTH] * numbers[STAGED_PIXEL]
    block_results = numbers[RESULT_PIXEL] // blocks
    # The tile's a and b: rows and columns of vectors.
    a_row, a_step, b_column, b_step = numbers[SOURCE_STEP], 4, VECTOR_BYTES, block_results
    out_row, out_column = numbers[RESULT_STEP], VECTOR_BYTES
    start_row, start_column = 0, VECTOR_BYTES
    if over_images:
        a_row, a_step = 4, block_results // LANES
        b_column, b_step = numbers[SOURCE_STEP], VECTOR_BYTES
        out_row, out_column = VECTOR_BYTES, numbers[RESULT_STEP]
        start_row, start_column = VECTOR_BYTES, 0
    staged = scratch.ctypes.data
    results = staged + numbers[RESULT]
    channels_of_block = block_results // 4 // depth
    parts, before = numbers[PARTS], -1
    ready = 0
    for item in range(lo, hi):
        part, place = item % parts, item // parts
        first_block, last_block = part * blocks // parts, (part + 1) * blocks // parts
        band = place % (bands.size - 1)
        group = place // (bands.size - 1) % groups
        image = place // (bands.size - 1) // groups * depth
        images = min(depth, numbers[IMAGES] - image)
        source_at = source.ctypes.data + (image * groups + group) * source_group
        target_at = target.ctypes.data + image * image_bytes + group * target_group
        mask_at = mask.ctypes.data + (image * groups + group) * target_group
        weights_at = weights.ctypes.data + group * blocks * numbers[BLOCK_BYTES]
        start_at = start.ctypes.data + group * numbers[RESULT_PIXEL]
        offset = chunks[bands[band], CHUNK_BAND]
        if place != before:  # else all of the band is staged already
            ready, before = offset, place
        for chunk in range(bands[band], bands[band + 1]):
            last = chunks[chunk, CHUNK_LAST]
            if ready < last:
                stage(source_at, scratch, ready, last, offset, images, numbers)
                ready = last
            first = chunks[chunk, CHUNK_FROM]
            # What will be written is asked for meanwhile, some lines with each tile.
            across = (chunks[chunk, CHUNK_TO] - first + LANES - 1) // LANES
            begin = first_block * channels_of_block
            end = min(last_block * channels_of_block, numbers[TARGET_CHANNELS])
            tiles_of_chunk = chunks[chunk, CHUNK_RIGHT] - chunks[chunk, CHUNK_LEFT]
            tiles_of_chunk *= chunks[chunk, CHUNK_BOTTOM] - chunks[chunk, CHUNK_TOP]
            tiles_of_chunk *= last_block - first_block
            tiles_of_chunk = max(1, tiles_of_chunk)
            lines = (images * (end - begin) * across + tiles_of_chunk - 1) // tiles_of_chunk
            if POOLED:
                lines = 0
            line, channel, line_image = 0, begin, 0
            for block in range(first_block, last_block):
                block_weights = weights_at + block * numbers[BLOCK_BYTES]
                block_start = start_at + block * block_results
                for y in range(chunks[chunk, CHUNK_TOP], chunks[chunk, CHUNK_BOTTOM]):
                    row_at = staged + (rows[y, ROW_FIRST] - offset) * row_bytes
                    pixel = y * numbers[TARGET_WIDTH] - first
                    row_class = rows[y, ROW_CLASS] * numbers[COLUMN_CLASSES]
                    for t in range(chunks[chunk, CHUNK_LEFT], chunks[chunk, CHUNK_RIGHT]):
                        shape = row_class + tiles[t, TILE_CLASS]
                        a, b = row_at + tiles[t, TILE_SOURCE], block_weights
                        if over_images:
                            a, b = b, a
                        out = (pixel + tiles[t, TILE_TARGET]) * numbers[RESULT_PIXEL]
                        out += results + block * block_results
                        sums, count = runs.ctypes.data + 24 * classes[shape, 0], classes[shape, 1]
                        if tiles[t, TILE_SINGLE]:
                            single(
                                a, a_row, a_step, b, b_column, b_step, sums, count,
                                block_start, start_row, start_column, out, out_row, out_column,
                            )  # fmt: skip
                        else:
                            tile(
                                a, a_row, a_step, b, b_column, b_step, sums, count,
                                block_start, start_row, start_column, out, out_row, out_column,
                            )  # fmt: skip
                        for _ in range(lines):
                            at = line_image * image_bytes + channel * target_plane
                            expect_write(target_at + at + (first + line * LANES) * 4)
                            line += 1
                            if line == across:
                                line, channel = 0, channel + 1
                            if channel == end:
                                channel, line_image = begin, line_image + 1
            width, values = numbers[RESULT_PIXEL] // 4, block_results // 4
            finish(
                scratch, numbers[RESULT] // 4 + first_block * values,
                chunks[chunk, CHUNK_TO] - first, width, (last_block - first_block) * values,
                factor, shift, group * width + first_block * values, slope,
            )  # fmt: skip
            write_out(
                results, target_at, image_bytes, mask_at, first, chunks[chunk, CHUNK_TO],
                first_block * values // LANES, last_block * values // LANES, images, numbers,
            )  # fmt: skip


@kernel(
    "void(float32[::1], float32[::1], int64, int64, int64, int64, int64, int64, int64, int64)",
    shared=True,
)
def pack(
    w: Array, packed: Array, targets: int, sources: int, taps: int, target_stride: int,
    source_stride: int, channels: int, lo: int, hi: int,
) -> None:  # fmt: skip
    """Write weights as ``[block][tap][source channel][target channel of the block]``.

    Args:
        w: flat; the taps of one pair of channels lie together.
        packed: blocks lo to hi - 1 are written, zero where there is no such target channel.
        targets, sources: channels of a group. Blocks run over the groups in turn.
        target_stride, source_stride: from one channel to the next in w, in values.
        channels: of a block.
    """
    blocks = (targets + channels - 1) // channels
    if taps == 1 and target_stride == 1:  # rows of target channels: in the order they lie
        for group in range(lo // blocks, (hi + blocks - 1) // blocks):
            for c in range(sources):
                for item in range(max(lo, group * blocks), min(hi, (group + 1) * blocks)):
                    first = (item - group * blocks) * channels
                    at = group * targets * sources + c * source_stride + first
                    to = (item * sources + c) * channels
                    for r in range(min(channels, targets - first)):
                        packed[to + r] = w[at + r]
                    for r in range(targets - first, channels):
                        packed[to + r] = 0
        return
    for item in range(lo, hi):
        group, first = item // blocks, item % blocks * channels
        count = min(channels, targets - first)
        at = group * targets * sources * taps + first * target_stride
        to = item * taps * sources * channels
        # Squares of target channels x taps, or x source channels where there is but one tap.
        outer, inner = (1, sources) if taps == 1 else (sources, taps)
        step = channels if taps == 1 else sources * channels
        for c in range(outer):
            for k in range(0, inner, LANES):
                for r in range(0, channels, LANES):
                    # Masked loads are slow where no memory is mapped, even if no lane is wanted.
                    row = at + (r if r < count else 0) * target_stride
                    square(
                        w.ctypes.data + 4 * (row + c * source_stride + k),
                        4 * target_stride, min(LANES, max(0, count - r)), min(LANES, inner - k),
                        packed.ctypes.data + 4 * (to + c * channels + k * step + r),
                        4 * step, min(LANES, channels - r),
                    )  # fmt: skip


def _variants(label: str, **names: Any) -> dict[tuple[int, int], Kernel]:
    return {
        (rows, columns): correlate.variant(
            f"_{rows}x{columns}{label}",
            tile=getattr(simd, f"tile_{rows}x{columns}"),
            single=getattr(simd, f"tile_{rows}x1"),
            **names,
        )
        for rows, columns in ALL_TILES
    }


VARIANTS = _variants("")
POOLED_VARIANTS = _variants("_pooled", POOLED=True, write_out=pool_out)
