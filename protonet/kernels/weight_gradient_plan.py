"""Where the gradient of a convolution's weights reads and writes: its index arithmetic.

The gradient is a product of matrices: output channels x positions (dy as it lies) times positions x
(kernel element, channel). The second is a staged copy of x, ``[image][row][column][channel]`` with
zero margins, in which what one row of the kernel sees lies together: a *strip*. Vectors run along
strips; the tile sums over positions.

Short strips would waste vectors. They are joined by staging, for each row of positions, all the
rows of x that it meets side by side: ``[image][row of y][column][row of the kernel][channel]``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from protonet.kernels.correlation_plan import (
    COUNT,
    GROUPS,
    JOINED,
    JOINED_STEP,
    LANES_ARE_IMAGES,
    MARGIN_LEFT,
    ROW_SHIFT,
    ROW_STEP,
    SOURCE_CHANNELS,
    SOURCE_HEIGHT,
    SOURCE_PLANE,
    SOURCE_WIDTH,
    STAGED_PIXEL,
    STAGED_WIDTH,
    Ints,
)


class Geometry(NamedTuple):
    """A convolution. x: (N, C, *size), y: (N, O, *output); pairs are (along H, along W)."""

    N: int
    C: int
    O: int  # noqa: E741
    size: tuple[int, int]
    output: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    dilation: tuple[int, int]
    group: int


# Indices into Plan.numbers, after those of correlation_plan.
(
    OUTPUT_CHANNELS,  # of a group
    OUTPUT_WIDTH,
    OUTPUT_PLANE,  # bytes of one channel of dy
    BLOCKS,  # tiles along the output channels of a group
    POSITION_STEP,  # bytes from one position to the next in the staged x
    COPIED,  # where the copy of dy begins in scratch memory, 0 where it is read as it lies
    COPY_ROW,  # bytes of one channel of the copy
    STRIDE_HEIGHT,
    PAD_HEIGHT,
    DILATION_HEIGHT,
    PART_VALUES,  # of the sums of one part
    ROW_VALUES,  # of the sums of one output channel, its bias's in the last vector
    ALL,
) = range(COUNT, COUNT + 13)

# Columns of Plan.bands and .strips.
BAND_IMAGE, BAND_IMAGES, BAND_TOP, BAND_BOTTOM, BAND_FIRST, BAND_LAST = range(6)
STRIP_KERNEL_ROW, STRIP_OFFSET, STRIP_TILES, STRIP_SUMS = range(4)

STAGED_BYTES = 384 * 1024
BAND_POSITIONS = 512
PARTS = 4
SPREAD_BYTES = 256 * 1024  # of a copy of dy that is made from a pooled one
PART_LIMIT = 128 * 1024  # values; larger gradients are not summed in parts


class Plan(NamedTuple):
    """Tables for the kernel.

    Attributes:
        rows, columns: of the tile; columns in vectors.
        numbers: see the indices above.
        bands: (bands, 6): first image, images; rows of dy (from, to); staged
            rows (from, to), which are rows of x or, if joined, of dy.
        strips: (strips, 4): row of the kernel, offset in the staged x, tiles, and where its sums
            begin in those of an output channel.
        parts: (parts + 1,) bands whose sums are kept apart, so that threads may do them at once.
        places: (C / group * kernel,) where in the sums of an output channel each weight lies.
        runs, scratch, sums: int64 and float32 values of memory that is needed.
    """

    rows: int
    columns: int
    numbers: Ints
    bands: Ints
    strips: Ints
    parts: Ints
    places: Ints
    runs: int
    scratch: int
    sums: int


def padded_work(g: Geometry, rows: int, vector: int, join: bool) -> int:
    """Return the multiply-adds of a position, with tiles of so many rows x values."""
    blocks = -(-(g.O // g.group) // rows)
    return g.group * blocks * rows * sum(round_up(n, vector) for _, _, n in _strips(g, join))


def can_spread(plan: Plan) -> bool:
    """Return whether ``make(..., spread=True)`` can be asked for: windows must not be cut."""
    bands, numbers = plan.bands, plan.numbers
    if (bands[:, [BAND_TOP, BAND_BOTTOM]] % 2).any() or numbers[OUTPUT_WIDTH] % 2:
        return False
    return bool(numbers[OUTPUT_CHANNELS] * numbers[COPY_ROW] <= SPREAD_BYTES)


def make(
    g: Geometry, lanes: int, rows: int, columns: int, join: bool, spread: bool = False
) -> Plan:
    """Work out the tables for tiles of rows x columns vectors.

    Args:
        join: whether to join strips. Only for a dilation of 1 along W.
        spread: whether dy comes pooled, and is spread out where it is copied to.
    """
    channels, outputs = g.C // g.group, g.O // g.group
    (H, W), (OH, OW), (kh, kw) = g.size, g.output, g.kernel
    vector = columns * lanes
    blocks = -(-outputs // rows)
    width = max(W + 2 * g.pad[1], (OW - 1) * g.stride[1] + (kw - 1) * g.dilation[1] + 1)
    pixel = 4 * channels * (kh if join else 1)

    strips, total = [], 0
    places = np.empty((channels, kh, kw), np.int64)
    for ky, kx, length in _strips(g, join):
        strips.append((ky, kx * g.dilation[1] * pixel, -(-length // vector), total))
        for i in range(length // channels):
            y, x = (i % kh, i // kh) if join else (ky, kx + i)
            places[:, y, x] = total + i * channels + np.arange(channels)
        total += round_up(length, vector)
    total += lanes

    bands = _bands(g, width * pixel, join)
    staged = max(b[BAND_IMAGES] * (b[BAND_LAST] - b[BAND_FIRST]) for b in bands) * width * pixel
    positions = max(b[BAND_IMAGES] * (b[BAND_BOTTOM] - b[BAND_TOP]) for b in bands) * OW
    copied = round_up(staged + 8 * vector, 64)  # tiles read past the end of the last strip
    parts = min(PARTS, len(bands)) if g.group * blocks * rows * total <= PART_LIMIT else 1

    numbers = np.zeros(ALL, np.int64)
    numbers[LANES_ARE_IMAGES] = False
    numbers[GROUPS] = g.group
    numbers[SOURCE_CHANNELS] = channels
    numbers[SOURCE_WIDTH] = W
    numbers[SOURCE_HEIGHT] = H
    numbers[SOURCE_PLANE] = 4 * H * W
    numbers[MARGIN_LEFT] = g.pad[1]
    numbers[STAGED_WIDTH] = width
    numbers[STAGED_PIXEL] = pixel
    numbers[OUTPUT_CHANNELS] = outputs
    numbers[OUTPUT_WIDTH] = OW
    numbers[OUTPUT_PLANE] = 4 * OH * OW
    numbers[BLOCKS] = blocks
    numbers[POSITION_STEP] = g.stride[1] * pixel
    numbers[JOINED] = kh if join else 1
    numbers[JOINED_STEP] = g.dilation[0]
    numbers[ROW_STEP] = g.stride[0] if join else 1
    numbers[ROW_SHIFT] = g.pad[0] if join else 0
    copied_rows = outputs if spread or outputs < rows else 0
    numbers[COPIED] = copied if copied_rows else 0
    numbers[COPY_ROW] = 4 * positions
    numbers[STRIDE_HEIGHT] = g.stride[0]
    numbers[PAD_HEIGHT] = g.pad[0]
    numbers[DILATION_HEIGHT] = g.dilation[0]
    numbers[ROW_VALUES] = total
    numbers[PART_VALUES] = g.group * blocks * rows * total
    cuts = [len(bands) * i // parts for i in range(parts + 1)]
    return Plan(
        rows,
        columns,
        numbers,
        np.array(bands, np.int64).reshape(len(bands), 6),
        np.array(strips, np.int64).reshape(len(strips), 4),
        np.array(cuts, np.int64),
        places.reshape(-1),
        3 * max(b[BAND_IMAGES] * (b[BAND_BOTTOM] - b[BAND_TOP]) for b in bands),
        (copied + (max(rows, copied_rows) * 4 * positions if copied_rows else 0)) // 4 + lanes,
        parts * int(numbers[PART_VALUES]),
    )


def round_up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def _strips(g: Geometry, join: bool) -> list[tuple[int, int, int]]:
    """Return (row of the kernel, first column, values) of each strip."""
    channels, (kh, kw) = g.C // g.group, g.kernel
    if join:
        return [(0, 0, kh * kw * channels)]
    if g.dilation[1] == 1:
        return [(ky, 0, kw * channels) for ky in range(kh)]
    return [(ky, kx, channels) for ky in range(kh) for kx in range(kw)]


def _bands(g: Geometry, row_bytes: int, join: bool) -> list[tuple[int, ...]]:
    """Cut the work into what is staged together: a few images, or a part of one."""
    OH, OW = g.output

    def staged_rows(top: int, bottom: int) -> tuple[int, int]:
        if join:
            return top, bottom
        first = max(0, top * g.stride[0] - g.pad[0])
        last = (bottom - 1) * g.stride[0] - g.pad[0] + (g.kernel[0] - 1) * g.dilation[0] + 1
        return first, max(first, min(g.size[0], last))

    def staged(rows: int) -> int:
        first, last = staged_rows(0, rows)
        return (last - first) * row_bytes

    rows, images = OH, 1
    while rows > 1 and staged(rows) > STAGED_BYTES:
        rows = -(-rows // 2)
    if rows == OH:
        fitting = min(BAND_POSITIONS // (OH * OW), STAGED_BYTES // max(1, staged(OH)))
        images = max(1, min(fitting, -(-g.N // PARTS)))
    bands: list[tuple[int, ...]] = []
    for image in range(0, g.N, images):
        for top in range(0, OH, rows):
            bottom = min(OH, top + rows)
            bands.append((image, min(images, g.N - image), top, bottom, *staged_rows(top, bottom)))
    return bands
