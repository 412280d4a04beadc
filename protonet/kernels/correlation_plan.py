"""Where a correlation reads and writes: all its index arithmetic, done once per shape.

A *correlation* writes each value of a target image as a sum of products of weights with the
values of a source image: convolution is one (source x, target y), and so is its gradient by the
data (source dy, target dx). They differ only in which source value a tap of the kernel means.

The kernel in correlation.py works on a staged copy of the source in which channels are innermost,
``[row][column][channel][lane]``; a lane is an image of a block of LANES images, or there is one
lane only and the vectors run over target channels. Its inner loop is a tile: so many target
positions x target channels (one of the two counted in vectors) summed in registers along *runs*,
stretches of consecutive values in the staged source and in the packed weights.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Ints = np.ndarray[Any, np.dtype[np.int64]]
Taps = tuple[tuple[int, int], ...]  # (index along the kernel, source position), rising


@dataclass(frozen=True)
class Axis:
    """One spatial axis of a correlation.

    Attributes:
        source, target: sizes.
        kernel, stride, pad, dilation: of the convolution.
        backward: whether the source is dy and the target dx.
    """

    source: int
    target: int
    kernel: int
    stride: int
    pad: int
    dilation: int
    backward: bool = False

    @property
    def phases(self) -> int:
        """Target positions so far apart see the same taps, further on in the source."""
        return self.stride if self.backward else 1

    @property
    def step(self) -> int:
        """How much further on in the source they see them."""
        return 1 if self.backward else self.stride

    def taps(self, position: int) -> Taps:
        """Return which taps meet which source positions at a target position."""
        found = []
        for k in range(self.kernel):
            if self.backward:
                at, rest = divmod(position + self.pad - k * self.dilation, self.stride)
            else:
                at, rest = position * self.stride - self.pad + k * self.dilation, 0
            if rest == 0 and 0 <= at < self.source:
                found.append((k, at))
        return tuple(found)


class Layout(NamedTuple):
    """How a correlation is cut into tiles.

    Attributes:
        lanes: values of a vector.
        rows, columns: of the tile; columns are counted in vectors.
        images: vectors run over images, rows over target channels, and columns over positions;
            otherwise vectors and columns run over target channels, rows over positions.
    """

    lanes: int
    rows: int
    columns: int
    images: bool

    @property
    def channels(self) -> int:
        """Target channels of a tile."""
        return self.rows if self.images else self.columns * self.lanes

    @property
    def positions(self) -> int:
        """Target positions of a tile."""
        return self.columns if self.images else self.rows

    @property
    def depth(self) -> int:
        """Images that are worked on together."""
        return self.lanes if self.images else 1


class Shape(NamedTuple):
    """A correlation. Channels are those of all groups together."""

    images: int
    source_channels: int
    target_channels: int
    group: int
    vertical: Axis
    horizontal: Axis


# Indices into Plan.numbers. Offsets and strides are in bytes.
(
    LANES_ARE_IMAGES,
    IMAGES,  # N
    GROUPS,
    SOURCE_CHANNELS,  # of a group
    TARGET_CHANNELS,  # of a group
    SOURCE_HEIGHT,
    SOURCE_WIDTH,
    SOURCE_PLANE,  # bytes of one channel of one image
    JOINED,  # source rows that a staged row holds side by side, see stage()
    JOINED_STEP,  # source rows from one of them to the next
    ROW_STEP,  # source rows from the first of one staged row to that of the next
    ROW_SHIFT,  # source rows before the first that staged row 0 begins
    TARGET_WIDTH,
    TARGET_PLANE,  # bytes of one channel of one image as it is written
    MARGIN_LEFT,  # staged columns before the image, zero
    STAGED_WIDTH,  # staged columns, margins included
    STAGED_PIXEL,  # bytes of one staged position
    SOURCE_STEP,  # bytes between the source positions of neighbours in a tile
    RESULT,  # where results begin in scratch memory
    RESULT_PIXEL,  # bytes of the results at one target position
    RESULT_STEP,  # bytes between the results of neighbours in a tile
    CHANNEL_BLOCKS,  # tiles along the target channels of a group
    BLOCK_BYTES,  # of the weights of one such tile
    COLUMN_CLASSES,
    PARTS,  # items of work that share the tiles along the target channels of a group
    PLACES,  # where in scratch memory it is kept from where pooled results come
    COUNT,
) = range(27)

# Columns of Plan.rows, .tiles and .chunks.
ROW_CLASS, ROW_FIRST, ROW_LAST = range(3)  # source rows FIRST to LAST - 1 are needed
# position in the row; staged offset in bytes; class; whether it is of one position only
TILE_TARGET, TILE_SOURCE, TILE_CLASS, TILE_SINGLE = range(4)
CHUNK_TOP, CHUNK_BOTTOM, CHUNK_LEFT, CHUNK_RIGHT, CHUNK_FROM, CHUNK_TO, CHUNK_LAST, CHUNK_BAND = (
    range(8)
)

RESULT_BYTES = 96 * 1024  # of results kept before they are written out
POOLED_BYTES = 256 * 1024  # of those that are pooled before
STAGED_BYTES = 512 * 1024  # of the source that the tiles of a chunk go over again and again
ITEMS = 8  # work for threads should come in at least so many parts
PIXEL_CLASH = 1024  # bytes: pixels that lie multiples of it apart fight for a place in the cache
SINGLE_COST = 1.05  # of a tile of one position, by work: it loads more for each multiply-add
STAGED_LIMIT = 8 * 1024 * 1024


class Plan(NamedTuple):
    """Tables for the kernel.

    Attributes:
        layout, group: the tiles; the groups of channels.
        numbers: see the indices above.
        rows: (target rows, 3): class of the row, first and last + 1 source row that it needs.
        tiles: (tiles of a row, 4): first target position, its offset in a staged row, class,
            whether it is of one position only.
        chunks: (chunks, 8): target rows, tiles, target pixels (from, to), the last + 1 source row
            needed, the first that its band needs. A chunk's results are written out together.
        bands: (bands + 1,) chunks; a band is what one thread does at once.
        classes: (row classes * column classes, 2): first of the runs, how many.
        runs: (runs, 3): offset in a, in b, steps.
        scratch: float32 values of scratch memory.
        items: blocks of images * groups * bands * parts.
        weights, starts: float32 values of the packed weights and start values.
    """

    layout: Layout
    group: int
    numbers: Ints
    rows: Ints
    tiles: Ints
    chunks: Ints
    bands: Ints
    classes: Ints
    runs: Ints
    scratch: int
    items: int
    weights: int
    starts: int


def can_pool(shape: Shape, layout: Layout) -> bool:
    """Return whether there is a plan whose results are pooled before they are written."""
    even = shape.vertical.target % 2 == shape.horizontal.target % 2 == 0
    pixels = -(-shape.target_channels // shape.group // layout.channels) * layout.channels
    row_bytes = shape.horizontal.target * pixels * 4 * layout.depth
    return even and layout.images and 2 * row_bytes <= POOLED_BYTES


def make(shape: Shape, layout: Layout, pooled: bool = False) -> Plan:
    """Work out the tables of one shape.

    Args:
        pooled: of windows of 2 x 2, that lie beside each other, only the largest results are
            written. See :func:`can_pool`.
    """
    vertical, horizontal = shape.vertical, shape.horizontal
    source_channels = shape.source_channels // shape.group
    target_channels = shape.target_channels // shape.group
    blocks = -(-target_channels // layout.channels)
    depth = 4 * layout.depth

    starts, sizes, column_taps, reach = _cut_row(horizontal, layout.positions, layout.images)
    margin = max(0, -min((start for start, _ in reach), default=0))
    width = margin + max(horizontal.source, max((end for _, end in reach), default=0))
    staged_pixel = source_channels * depth
    if vertical.kernel == horizontal.kernel == 1 and staged_pixel % PIXEL_CLASH == 0:
        staged_pixel += depth * layout.lanes  # nothing joins the taps of neighbours: room for this
    tap_bytes = source_channels * layout.channels * 4

    column_ids: dict[Taps, int] = {}
    tiles = [
        (
            start,
            (margin + base) * staged_pixel,
            column_ids.setdefault(taps, len(column_ids)),
            size < layout.positions,
        )
        for start, size, (base, taps) in zip(starts, sizes, column_taps, strict=True)
    ]
    row_ids: dict[Taps, int] = {}
    rows = []
    for y in range(vertical.target):
        base, taps = _relative(vertical.taps(y))
        last = base + max((at for _, at in taps), default=-1) + 1
        rows.append((row_ids.setdefault(taps, len(row_ids)), base, last))

    classes: list[tuple[int, int]] = []
    runs: list[tuple[int, int, int]] = []
    for row_taps in row_ids:
        for taps in column_ids:
            made = _runs(
                row_taps, taps, horizontal.kernel, width, staged_pixel, tap_bytes, source_channels,
                depth,
            )  # fmt: skip
            classes.append((len(runs), len(made)))
            runs += made
    if layout.images:  # weights are the tile's a
        runs = [(weights, source, steps) for source, weights, steps in runs]

    result_pixel = blocks * layout.channels * depth
    block_bytes = vertical.kernel * horizontal.kernel * tap_bytes
    row_bytes = width * staged_pixel
    # What is larger, weights or image, is shared out: each thread reads a part of it.
    by_channels = blocks >= ITEMS and blocks * block_bytes > vertical.target * row_bytes
    chunks, bands = _cut_image(
        shape, layout, rows, tiles, row_bytes, result_pixel, by_channels, pooled
    )
    staged_rows = max(
        max(c[CHUNK_LAST] - c[CHUNK_BAND] for c in chunks[lo:hi])
        for lo, hi in itertools.pairwise(bands)
    )
    # A tile may read past the end of the last row, and a vector past the last position.
    staged = staged_rows * width * staged_pixel + horizontal.step * layout.positions * staged_pixel
    staged = (staged + 1023) // 256 * 256
    spill = layout.positions * horizontal.phases
    pixels = max(c[CHUNK_TO] - c[CHUNK_FROM] for c in chunks)
    results = (pixels + spill) * result_pixel
    places = pixels * depth if pooled else 0

    numbers = np.zeros(COUNT, np.int64)
    numbers[LANES_ARE_IMAGES] = layout.images
    numbers[IMAGES] = shape.images
    numbers[GROUPS] = shape.group
    numbers[SOURCE_CHANNELS] = source_channels
    numbers[TARGET_CHANNELS] = target_channels
    numbers[SOURCE_HEIGHT] = vertical.source
    numbers[SOURCE_WIDTH] = horizontal.source
    numbers[JOINED] = numbers[JOINED_STEP] = numbers[ROW_STEP] = 1
    numbers[SOURCE_PLANE] = 4 * horizontal.source * vertical.source
    numbers[TARGET_WIDTH] = horizontal.target
    numbers[TARGET_PLANE] = 4 * horizontal.target * vertical.target // (4 if pooled else 1)
    numbers[MARGIN_LEFT] = margin
    numbers[STAGED_WIDTH] = width
    numbers[STAGED_PIXEL] = staged_pixel
    numbers[SOURCE_STEP] = horizontal.step * staged_pixel
    numbers[RESULT] = staged
    numbers[PLACES] = staged + results
    numbers[RESULT_PIXEL] = result_pixel
    numbers[RESULT_STEP] = horizontal.phases * result_pixel
    numbers[CHANNEL_BLOCKS] = blocks
    numbers[BLOCK_BYTES] = block_bytes
    numbers[COLUMN_CLASSES] = len(column_ids)
    image_blocks = -(-shape.images // layout.depth)
    items = image_blocks * shape.group * (len(bands) - 1)
    numbers[PARTS] = parts = max(1, min(blocks, -(-ITEMS // max(1, items))))
    return Plan(
        layout,
        shape.group,
        numbers,
        _table(rows, 3),
        _table(tiles, 4),
        _table(chunks, 8),
        np.array(bands, np.int64),
        _table(classes, 2),
        _table(runs, 3),
        (staged + results + places) // 4 + layout.lanes,
        items * parts,
        shape.group * blocks * int(numbers[BLOCK_BYTES]) // 4,
        shape.group * result_pixel // 4,
    )


def _table(rows: list[Any], columns: int) -> Ints:
    return np.array(rows, np.int64).reshape(len(rows), columns)


def _relative(taps: Taps) -> tuple[int, Taps]:
    """Return the first source position, and the taps with positions relative to it."""
    if not taps:
        return 0, ()
    base = min(at for _, at in taps)
    return base, tuple((k, at - base) for k, at in taps)


def _cut_row(
    axis: Axis, positions: int, singles: bool
) -> tuple[list[int], list[int], list[tuple[int, Taps]], list[tuple[int, int]]]:
    """Cut a target row into tiles.

    Args:
        singles: whether tiles may be of one position instead, where that is less work: at the
            edges, where neighbours need different taps, and at the end of a row.

    Returns:
        Of each tile, the first target position; how many there are; base and relative taps of it,
        which are those that any of the tile's positions needs (the others meet zeros in the
        margins); and the source positions that the whole tile reads, from and to.
    """
    starts, sizes, taps, reach = [], [], [], []
    for phase in range(min(axis.phases, axis.target)):
        places = range(phase, axis.target, axis.phases)
        for first in range(0, len(places), positions):
            together = places[first : first + positions]
            needed = len(_union(axis, together)) * positions
            alone = sum(len(axis.taps(place)) for place in together)
            split = singles and positions > 1 and alone * SINGLE_COST < needed
            for part in [[place] for place in together] if split else [together]:
                size = 1 if split else positions
                base, relative = _relative(tuple(sorted(_union(axis, part).items())))
                starts.append(part[0])
                sizes.append(size)
                taps.append((base, relative))
                last = base + max((at for _, at in relative), default=0)
                reach.append((base, last + (size - 1) * axis.step + 1))
    return starts, sizes, taps, reach


def _union(axis: Axis, places: Sequence[int]) -> dict[int, int]:
    """Return the taps that any of a tile's positions needs, and where the first one meets them."""
    union: dict[int, int] = {}
    for j, place in enumerate(places):
        for k, at in axis.taps(place):
            union[k] = at - j * axis.step
    return union


def _runs(
    row_taps: Taps,
    column_taps: Taps,
    kernel_width: int,
    width: int,
    staged_pixel: int,
    tap_bytes: int,
    channels: int,
    step: int,
) -> list[tuple[int, int, int]]:
    """Return runs (offset in staged source, offset in weights, steps), joined where they touch.

    step: bytes from one channel to the next in the staged source.
    """
    made: list[tuple[int, int, int]] = []
    for ky, row in row_taps:
        for kx, column in column_taps:
            source = (row * width + column) * staged_pixel
            weights = (ky * kernel_width + kx) * tap_bytes
            if made:
                before = made[-1]
                follows = before[0] + before[2] * step == source
                if follows and before[1] + before[2] * tap_bytes // channels == weights:
                    made[-1] = (before[0], before[1], before[2] + channels)
                    continue
            made.append((source, weights, channels))
    return made


def _cut_image(
    shape: Shape,
    layout: Layout,
    rows: list[tuple[int, int, int]],
    tiles: list[tuple[int, int, int, bool]],
    row_bytes: int,
    result_pixel: int,
    by_channels: bool,
    pooled: bool,
) -> tuple[list[tuple[int, ...]], list[int]]:
    """Cut the target image into chunks, and these into bands.

    by_channels: threads share out channels, and bands need not be many.
    pooled: chunks are of whole rows, an even number.
    """
    height, width = shape.vertical.target, shape.horizontal.target
    pixel_bytes = row_bytes // shape.horizontal.source * shape.horizontal.step
    source_rows = max(1, rows[height // 2][ROW_LAST] - rows[height // 2][ROW_FIRST])
    room = POOLED_BYTES if pooled else RESULT_BYTES
    pixels = min(room // result_pixel, STAGED_BYTES // max(1, pixel_bytes * source_rows))
    pixels = max(pixels // layout.lanes * layout.lanes, layout.lanes)

    items = -(-shape.images // layout.depth) * shape.group
    bands_wanted = 1 if by_channels else -(-ITEMS // items)
    bands_wanted = max(bands_wanted, height * row_bytes * shape.vertical.step // STAGED_LIMIT)
    band_rows = max(1, -(-height // bands_wanted))

    chunks: list[tuple[int, ...]] = []
    bands = []
    chunk_rows = min(max(1, pixels // width), band_rows)
    whole_rows = pooled or width <= 2 * pixels or shape.horizontal.phases > 1
    if pooled:
        band_rows += band_rows % 2
        chunk_rows = max(2, chunk_rows - chunk_rows % 2)
    tiles_each = len(tiles) if whole_rows else max(1, pixels // layout.positions)
    for top in range(0, height, band_rows):
        bands.append(len(chunks))
        end = min(height, top + band_rows)
        first = min((row[ROW_FIRST] for row in rows[top:end] if row[ROW_LAST]), default=0)
        for y in range(top, end, chunk_rows):
            bottom = min(end, y + chunk_rows)
            last = max(first, *(row[ROW_LAST] for row in rows[y:bottom]))
            for left in range(0, len(tiles), tiles_each):
                right = min(len(tiles), left + tiles_each)
                start = y * width + (0 if whole_rows else tiles[left][TILE_TARGET])
                stop = bottom * width
                if right < len(tiles):
                    stop = y * width + tiles[right][TILE_TARGET]
                chunks.append((y, bottom, left, right, start, stop, last, first))
    return chunks, [*bands, len(chunks)]


def work(shape: Shape, layout: Layout) -> float:
    """Return the multiply-adds that this layout would do, padding of its tiles included."""
    blocks = -(-shape.target_channels // shape.group // layout.channels)
    channels = blocks * layout.channels * shape.group
    images = -(-shape.images // layout.depth) * layout.depth
    per_phase = -(-shape.horizontal.target // shape.horizontal.phases)
    across = -(-per_phase // layout.positions) * layout.positions * shape.horizontal.phases
    kernel = shape.vertical.kernel * shape.horizontal.kernel
    each = kernel * shape.source_channels / shape.group
    if shape.horizontal.backward:
        each /= shape.vertical.stride * shape.horizontal.stride
    return math.prod((images, channels, shape.vertical.target, across, each))
