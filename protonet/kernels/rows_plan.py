"""Where a convolution whose vectors run along rows reads and writes: its tables, once a shape.

Nothing is transposed: a tile is so many target channels x positions of a target row, its vectors
are neighbouring positions, and each weight is multiplied by what its tap sees for all of them. For
that, source columns which one tap sees for neighbouring positions must lie together. Source rows
are staged as ``[channel][phase][column]``; a *phase* is every so many columns, by the stride, with
zeros where taps see what is beside the image.

Where a tap sees one column only, kernels of 1 x 1, rows are cut into the stretches of a tile, so
that what a tile reads lies together: its channels would else come from as many places, and meet in
few of those that the first cache has for them. Where it also makes no difference where a row
begins, the positions of all images follow each other, cut into rows of whole tiles, so that no tile
but the last is padded.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from protonet.kernels.correlation_plan import Ints
from protonet.kernels.weight_gradient_plan import Geometry

# Indices into Plan.numbers. Strides are in values.
(
    GROUPS,
    SOURCE_CHANNELS,  # of a group
    TARGET_CHANNELS,  # of a group
    SOURCE_HEIGHT,
    SOURCE_WIDTH,
    SOURCE_PLANE,
    SOURCE_IMAGE,  # from one image to the next
    TARGET_HEIGHT,
    TARGET_WIDTH,
    TARGET_PLANE,
    DOWN,  # stride
    ACROSS,
    PAD_TOP,
    REACH,  # source rows that a target row sees, from the first to the last
    LINE,  # columns of a phase, in one stretch
    ROW,  # of a staged row, in one stretch
    STRETCH,  # of all staged rows, in one stretch
    STRETCHES,
    TILES,  # of a stretch
    POSITIONS,  # of a tile
    CHANNELS,  # of a tile
    BLOCKS,  # tiles along the target channels of a group
    RESULT,  # where results begin in scratch memory
    PITCH,  # of the results of a channel
    BAND,  # target rows that are staged together
    BANDS,
    PARTS,  # items of work that share the tiles along the target channels
    FLAT,  # whether the positions of all images follow each other
    LAST,  # how many target positions there are: of an image, or of all that follow each other
    COUNT,
) = range(30)

STAGED_BYTES = 256 * 1024  # of the source rows of a band
ROW_TILES = 8  # of a row of positions that follow each other
ITEMS = 8  # work for threads should come in at least so many parts


class Plan(NamedTuple):
    """Tables for the kernel.

    Attributes:
        rows, columns: of the tile; columns are counted in vectors.
        numbers: see the indices above.
        phases: (phases,): the source column that each begins with.
        taps: (taps * channels,): where the first position of a staged row sees them, in bytes; in
            the order of the weights.
        scratch: float32 values of scratch memory.
        items: images, or 1 if they follow each other, * groups * bands * parts.
        weights, starts: float32 values of the packed weights and start values.
    """

    rows: int
    columns: int
    numbers: Ints
    phases: Ints
    taps: Ints
    scratch: int
    items: int
    weights: int
    starts: int


def make(g: Geometry, lanes: int, rows: int, columns: int, turned: bool = False) -> Plan:
    """Work out the tables of one shape.

    Args:
        turned: the weights' taps are in the opposite order.
    """
    step, (kernel_height, kernel_width) = columns * lanes, g.kernel
    (height, width), (target_height, target_width) = g.size, g.output
    source_plane, target_plane = height * width, target_height * target_width
    sources, targets = g.C // g.group, g.O // g.group
    images, last = g.N, target_plane
    if _is_flat(g):
        images, last = 1, g.N * target_plane
        tiles = -(-last // step)
        at_most = max(1, min(ROW_TILES, STAGED_BYTES // 4 // (sources * step)))
        width = target_width = step * -(-tiles // -(-tiles // at_most))
        height = target_height = -(-last // width)
    tiles, blocks = -(-target_width // step), -(-targets // rows)
    stretches = tiles if kernel_width == 1 else 1

    columns_seen = [k * g.dilation[1] - g.pad[1] for k in range(kernel_width)]
    phases: dict[int, int] = {}  # the first column of each, by what its columns have in common
    for column in columns_seen:
        phases.setdefault(column % g.stride[1], column)
    halo = max(column - phases[column % g.stride[1]] for column in columns_seen) // g.stride[1]
    line = tiles // stretches * step + -(-halo // lanes) * lanes
    row = sources * len(phases) * line
    reach = (kernel_height - 1) * g.dilation[0] + 1

    band = (STAGED_BYTES // 4 // (stretches * row) - reach) // g.stride[0] + 1
    wanted = -(-ITEMS // max(1, images * g.group))
    band = max(1, min(band, -(-target_height // wanted)))
    bands = -(-target_height // band)
    items = images * g.group * bands
    parts = max(1, min(blocks, -(-ITEMS // max(1, items))))
    stretch = ((band - 1) * g.stride[0] + reach) * row

    ids = list(phases)
    places = [
        k * g.dilation[0] * row
        + ids.index(column % g.stride[1]) * line
        + (column - phases[column % g.stride[1]]) // g.stride[1]
        for k in range(kernel_height)
        for column in columns_seen
    ]
    if turned:
        places.reverse()
    taps = [4 * (at + c * len(phases) * line) for at in places for c in range(sources)]
    numbers = np.zeros(COUNT, np.int64)
    numbers[GROUPS] = g.group
    numbers[SOURCE_CHANNELS], numbers[TARGET_CHANNELS] = sources, targets
    numbers[SOURCE_HEIGHT], numbers[SOURCE_WIDTH] = height, width
    numbers[TARGET_HEIGHT], numbers[TARGET_WIDTH] = target_height, target_width
    numbers[SOURCE_PLANE], numbers[TARGET_PLANE] = source_plane, target_plane
    numbers[SOURCE_IMAGE] = g.C * source_plane
    numbers[DOWN], numbers[ACROSS] = g.stride
    numbers[PAD_TOP], numbers[REACH] = g.pad[0], reach
    numbers[LINE], numbers[ROW], numbers[STRETCH] = line, row, stretch
    numbers[STRETCHES], numbers[TILES] = stretches, tiles // stretches
    numbers[POSITIONS], numbers[CHANNELS] = step, rows
    numbers[BLOCKS] = blocks
    numbers[RESULT], numbers[PITCH] = stretches * stretch, tiles * step
    numbers[BAND], numbers[BANDS], numbers[PARTS] = band, bands, parts
    numbers[FLAT], numbers[LAST] = _is_flat(g), last
    return Plan(
        rows,
        columns,
        numbers,
        np.array(list(phases.values()), np.int64),
        np.array(taps, np.int64),
        stretches * stretch + rows * tiles * step,
        items * parts,
        g.group * blocks * rows * len(taps),
        g.group * blocks * rows * lanes,
    )


def _is_flat(g: Geometry) -> bool:
    """Return whether each position sees itself only."""
    return g.kernel == g.stride == (1, 1) and g.pad == (0, 0)


def work(g: Geometry, lanes: int, rows: int, columns: int) -> float:
    """Return the multiply-adds that these tiles would do, padding included."""
    step = columns * lanes
    channels = -(-g.O // g.group // rows) * rows * g.group
    if _is_flat(g):
        positions = -(-g.N * math.prod(g.output) // step) * step
    else:
        positions = g.N * g.output[0] * -(-g.output[1] // step) * step
    return channels * positions * math.prod(g.kernel) * (g.C // g.group)
