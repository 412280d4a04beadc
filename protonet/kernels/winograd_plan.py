"""Where Winograd's convolution reads and writes: its index arithmetic, done once per shape.

The maths is in simd_winograd.py: of a tile of n x n inputs, or of m x m outputs, there are n x n
*points*. Vectors run over images, LANES of them at a time. In scratch memory lie

    staged    [row][column][channel][lane]      the source, as correlation.py stages it
    inputs    [point][tile][channel][lane]      the source's tiles, by points
    products  [point][tile][channel][lane]      their products with the weights, of target channels
    results   [row][column][channel][lane]      the target

and the weights as ``[point][group][output channel][input channel]``: at each point they and the
inputs are multiplied as matrices, in tiles held in registers (simd.py). The tiles of an image are
taken row by row from the top, each row from the right: a last tile that reaches past the right edge
writes to where the row below begins, which is then written over.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from protonet.kernels.correlation_plan import (
    COUNT,
    GROUPS,
    IMAGES,
    JOINED,
    JOINED_STEP,
    LANES_ARE_IMAGES,
    MARGIN_LEFT,
    PLACES,
    RESULT,
    RESULT_PIXEL,
    ROW_STEP,
    SOURCE_CHANNELS,
    SOURCE_HEIGHT,
    SOURCE_PLANE,
    SOURCE_WIDTH,
    STAGED_PIXEL,
    STAGED_WIDTH,
    TARGET_CHANNELS,
    TARGET_PLANE,
    TARGET_WIDTH,
    Ints,
)
from protonet.kernels.weight_gradient_plan import Geometry, round_up

N = 6  # points along an axis
OUTPUTS = {3: 4, 5: 2}  # by the kernel's size: outputs of a tile along an axis

# Indices into the numbers of a plan, after those of correlation_plan. Offsets and steps: bytes.
(
    TARGET_HEIGHT,
    BACK,  # whether tiles are of the target of a gradient of the data, and overlap there
    MARGIN_TOP,  # source rows above the image, zero
    REACH,  # source rows below a tile's, that it reads as well
    TILES_DOWN,
    TILES_ACROSS,
    BAND,  # rows of tiles that one item of work has
    CHUNK,  # rows of tiles whose results are written out together
    STEP,  # tiles whose inputs and products are there together
    BETWEEN,  # where in scratch memory is what is between the two axes, the inputs, the products
    INPUTS,
    PRODUCTS,
    INPUT_TILE,  # from one tile to the next, at one point
    INPUT_POINT,  # from one point to the next
    PRODUCT_TILE,
    PRODUCT_POINT,
    WEIGHT_TARGET,  # in the weights, from one target channel to the next, one source channel,
    WEIGHT_SOURCE,
    WEIGHT_GROUP,  # one group, and one point
    WEIGHT_POINT,
    RESULT_ROW,  # from one row of results to the next, and where among them the target begins
    RESULT_INSIDE,
    RUN,  # three numbers: the run that a tile of products sums along
    ALL,
) = (*range(COUNT, COUNT + 23), COUNT + 26)

# Indices into SumPlan.numbers.
(
    SUMS_DY,  # where in scratch memory what is made of dy begins, in values
    SUMS_BANDS,  # of an image
    SUMS_SLICES,  # of the output channels of a group, each an item of work
    SUMS_PARTS,  # of the images, whose sums are kept apart
    SUMS_OUTPUTS,  # output channels of a group, padded
    SUMS_ROW,  # bytes of the sums of one output channel at one point
    SUMS_POINT,
    SUMS_ALL,
) = range(8)

CACHED_BYTES = 640 * 1024  # of inputs and products: they should stay in the cache of a core
SUMMED_BYTES = 4 * 1024 * 1024  # of inputs of both sides that are multiplied at once
BACK_BYTES = 2 * 1024 * 1024  # of the results of a gradient of the data, a whole image
SUMS_BYTES = 16 * 1024 * 1024  # of sums; larger gradients are computed otherwise
ITEMS = 8  # work for threads should come in at least so many parts
PARTS = 4  # sums that are kept apart
SUMS_VECTORS = 2  # of channels, that are made weights at once
# Multiply-adds that take as long as all else that is done to one channel of a tile, by the kernel's
# size, and to the weights of one pair of channels.
TRANSFORM = {3: 550, 5: 230}
WEIGHT = 750
PART = 400  # and to add up another part of the sums of one
LANE_SUM = 3  # tiles whose products take as long as summing up their lanes

Tiles = tuple[tuple[int, int], ...]  # rows and columns, to choose from


class Plan(NamedTuple):
    """Tables for a convolution or the gradient of its data.

    Attributes:
        rows, columns: of the tiles of products: target channels, tiles.
        numbers: see the indices above.
        scratch: float32 values of scratch memory.
        items: of work.
        weights: float32 values of the transformed weights.
        work: multiply-adds that would take as long.
    """

    rows: int
    columns: int
    numbers: Ints
    scratch: int
    items: int
    weights: int
    work: float


class SumPlan(NamedTuple):
    """Tables for the gradient of the weights.

    Attributes:
        numbers: see SUMS_DY and on.
        of_x, of_dy: numbers as a Plan's, of the two sides.
        scratch: float32 values of scratch memory.
        sums: the shape of the sums: parts, points, groups, output and input channels, padded.
        work: multiply-adds that would take as long.
    """

    numbers: Ints
    of_x: Ints
    of_dy: Ints
    scratch: int
    sums: tuple[int, int, int, int, int]
    work: float


def fits(g: Geometry) -> bool:
    """Return whether this is a convolution of the kind that is computed here."""
    kernel = g.kernel[0]
    ones = g.kernel == (kernel, kernel) and g.stride == g.dilation == (1, 1)
    return ones and kernel in OUTPUTS and max(g.pad) < kernel and min(g.N, *g.output) > 0


def forward(
    g: Geometry, lanes: int, tiles: Tiles, turned: bool = False, pooled: bool = False
) -> Plan:
    """Work out the tables of a convolution.

    Args:
        tiles: rows and columns to choose from, the more efficient first.
        turned: the weights are those of a convolution whose gradient of the data this is.
        pooled: of windows of 2 x 2, that lie beside each other, only the largest results are
            written. The sizes must be even.
    """
    numbers, vector, m = _numbers(g, lanes), 4 * lanes, OUTPUTS[g.kernel[0]]
    down, across = int(numbers[TILES_DOWN]), int(numbers[TILES_ACROSS])
    _add_source(numbers, g.C // g.group, g.size, vector)
    _add_target(numbers, g.O // g.group, g.output, pooled)
    numbers[MARGIN_TOP], numbers[MARGIN_LEFT] = g.pad
    numbers[REACH] = g.kernel[0] - 1
    numbers[STAGED_WIDTH] = max(g.size[1] + g.pad[1], across * m + g.kernel[1] - 1)

    images = -(-g.N // lanes) * g.group
    numbers[BAND] = band = -(-down // min(down, -(-ITEMS // images)))
    row_bytes = N * N * across * int(numbers[SOURCE_CHANNELS] + numbers[TARGET_CHANNELS]) * vector
    numbers[CHUNK] = chunk = max(1, min(band, CACHED_BYTES // row_bytes))
    tile, step = _choose(numbers, tiles, chunk * across, CACHED_BYTES * across // row_bytes)

    at = (band * m + g.kernel[0] - 1) * _staged_row(numbers)
    at = _add_tiles(numbers, at, vector, step, tile)
    numbers[RESULT] = at
    numbers[RESULT_ROW] = g.output[1] * int(numbers[RESULT_PIXEL])
    pixels = chunk * m * g.output[1]
    at += (pixels + m) * int(numbers[RESULT_PIXEL])
    numbers[PLACES] = at
    at += pixels * vector if pooled else 0
    channels = (g.C // g.group, g.O // g.group) if turned else (g.O // g.group, g.C // g.group)
    weights = _add_weights(numbers, *channels, tiles, turned)
    items = images * -(-down // band)
    return Plan(*tile, numbers, at // 4 + lanes, items, weights, _work(g, lanes, tile[0]))


def backward(g: Geometry, lanes: int, tiles: Tiles) -> Plan | None:
    """Work out the tables of the gradient of the data, an item of work being an image block.

    Each tile of dy gives n x n values that are added to dx, where tiles overlap. None: there are
    too few items for that, or their results are too large.
    """
    numbers, vector, m = _numbers(g, lanes), 4 * lanes, OUTPUTS[g.kernel[0]]
    down, across = int(numbers[TILES_DOWN]), int(numbers[TILES_ACROSS])
    _add_source(numbers, g.O // g.group, g.output, vector)
    _add_target(numbers, g.C // g.group, g.size)
    numbers[STAGED_WIDTH] = max(g.output[1], across * m)
    width = across * m + g.kernel[1] - 1  # of the results
    numbers[BACK] = 1
    numbers[BAND] = numbers[CHUNK] = down
    row_bytes = N * N * across * int(numbers[SOURCE_CHANNELS] + numbers[TARGET_CHANNELS]) * vector
    tile, step = _choose(numbers, tiles, down * across, CACHED_BYTES * across // row_bytes)

    at = _add_tiles(numbers, down * m * _staged_row(numbers), vector, step, tile)
    numbers[RESULT] = at
    numbers[RESULT_ROW] = row = width * int(numbers[RESULT_PIXEL])
    numbers[RESULT_INSIDE] = g.pad[0] * row + g.pad[1] * int(numbers[RESULT_PIXEL])
    results = (down * m + g.kernel[0] - 1) * row
    items = -(-g.N // lanes) * g.group
    weights = _add_weights(numbers, g.O // g.group, g.C // g.group, tiles, True)
    if items < PARTS or results > BACK_BYTES:
        return None
    turned = g._replace(C=g.O, O=g.C)
    work = _work(turned, lanes, tile[0])
    return Plan(*tile, numbers, (at + results) // 4 + lanes, items, weights, work)


def sums(g: Geometry, lanes: int) -> SumPlan | None:
    """Work out the tables of the gradient of the weights. None: it would take too much memory.

    Items of work are parts of all images, or of the output channels, whichever is less work.
    """
    outputs = g.O // g.group
    slices = [n for n in (1, 2, 4) if n == 1 or outputs % (n * lanes // 4) == 0]
    plans = [plan for n in slices if (plan := _sums(g, lanes, n)) is not None]
    return min(plans, key=lambda plan: plan.work, default=None)


def _sums(g: Geometry, lanes: int, slices: int) -> SumPlan | None:
    """Work out the tables with output channels in so many slices."""
    vector, m, r = 4 * lanes, OUTPUTS[g.kernel[0]], g.kernel[0]
    channels, outputs, blocks = g.C // g.group, g.O // g.group, -(-g.N // lanes)
    of_x, of_dy = _numbers(g, lanes), _numbers(g, lanes)
    of_dy[GROUPS] *= slices
    down, across = int(of_x[TILES_DOWN]), int(of_x[TILES_ACROSS])
    _add_source(of_x, channels, g.size, vector)
    _add_source(of_dy, outputs // slices, g.output, vector)
    of_x[MARGIN_TOP], of_x[MARGIN_LEFT] = g.pad
    of_x[STAGED_WIDTH] = max(g.size[1] + g.pad[1], across * m + r - 1)
    of_dy[STAGED_WIDTH] = max(g.output[1], across * m)

    row_bytes = N * N * across * (channels + outputs // slices) * vector
    wanted = -(-PARTS // (g.group * slices))  # parts
    bands = max(-(-down // max(1, SUMMED_BYTES // row_bytes)), min(down, -(-wanted // blocks)))
    band = -(-down // bands)
    end = [0, 0]
    for i, (one, rows) in enumerate(((of_x, band * m + r - 1), (of_dy, band * m))):
        one[BAND] = band
        end[i] = _add_tiles(one, rows * _staged_row(one), vector, band * across, (1, 1))

    numbers = np.zeros(SUMS_ALL, np.int64)
    numbers[SUMS_DY] = start = end[0] // 4 + lanes * lanes
    numbers[SUMS_BANDS] = bands = -(-down // band)
    numbers[SUMS_SLICES] = slices
    numbers[SUMS_PARTS] = parts = min(wanted, blocks * bands)
    numbers[SUMS_OUTPUTS], numbers[SUMS_ROW] = round_up(outputs, 4), 4 * round_up(channels, 4)
    numbers[SUMS_POINT] = g.group * int(numbers[SUMS_OUTPUTS] * numbers[SUMS_ROW])
    shape = (parts, N * N, g.group, round_up(outputs, 4), round_up(channels, 4))
    if 4 * math.prod(shape) > SUMS_BYTES:
        return None
    tiles = blocks * lanes * down * across
    products = tiles * N * N * round_up(channels, 4) * round_up(outputs, 4) * g.group
    # summing lanes up takes as long as some more tiles do
    work = products * (1 + LANE_SUM * bands / (down * across))
    work += tiles * TRANSFORM[r] * (g.C * slices + g.O)
    work += (WEIGHT + PART * parts) * channels * g.O
    return SumPlan(numbers, of_x, of_dy, start + end[1] // 4 + lanes * lanes, shape, work)


def _numbers(g: Geometry, lanes: int) -> Ints:
    numbers = np.zeros(ALL, np.int64)
    numbers[LANES_ARE_IMAGES] = 1
    numbers[IMAGES], numbers[GROUPS] = g.N, g.group
    m = OUTPUTS[g.kernel[0]]
    numbers[TILES_DOWN], numbers[TILES_ACROSS] = (-(-size // m) for size in g.output)
    numbers[JOINED] = numbers[JOINED_STEP] = numbers[ROW_STEP] = 1
    return numbers


def _add_source(numbers: Ints, channels: int, size: tuple[int, int], vector: int) -> None:
    numbers[SOURCE_CHANNELS] = numbers[RUN + 2] = channels
    numbers[SOURCE_HEIGHT], numbers[SOURCE_WIDTH] = size
    numbers[SOURCE_PLANE] = 4 * size[0] * size[1]
    numbers[STAGED_PIXEL] = _odd(channels) * vector


def _add_target(numbers: Ints, channels: int, size: tuple[int, int], pooled: bool = False) -> None:
    numbers[TARGET_CHANNELS] = channels
    numbers[TARGET_HEIGHT], numbers[TARGET_WIDTH] = size
    numbers[TARGET_PLANE] = 4 * size[0] * size[1] // (4 if pooled else 1)


def _add_tiles(numbers: Ints, at: int, vector: int, count: int, tile: tuple[int, int]) -> int:
    """Lay out room for so many tiles from byte ``at`` of the scratch memory; return its end."""
    rows, columns = tile
    channels, targets = int(numbers[SOURCE_CHANNELS]), round_up(int(numbers[TARGET_CHANNELS]), rows)
    count = round_up(count, columns)
    numbers[PRODUCT_TILE] = targets * vector
    numbers[RESULT_PIXEL] = _odd(targets) * vector
    numbers[INPUT_TILE] = channels * vector
    numbers[INPUT_POINT], numbers[PRODUCT_POINT] = (
        _odd(count * channels) * vector, _odd(count * targets) * vector
    )  # fmt: skip
    numbers[BETWEEN] = at
    numbers[INPUTS] = at = at + N * N * vector
    numbers[PRODUCTS] = at = at + N * N * int(numbers[INPUT_POINT])
    return at + N * N * int(numbers[PRODUCT_POINT])


def _add_weights(numbers: Ints, outputs: int, channels: int, tiles: Tiles, back: bool) -> int:
    """Say where the transformed weights lie; return how many there are, and are read past the end.

    Args:
        outputs, channels: of a group, of the convolution.
        back: whether the target is that of the gradient of its data.
    """
    row, group = 4 * channels, int(numbers[GROUPS])
    numbers[[WEIGHT_TARGET, WEIGHT_SOURCE]] = (4, row) if back else (row, 4)
    numbers[WEIGHT_GROUP] = outputs * row
    numbers[WEIGHT_POINT] = group * outputs * row
    past = max(rows for rows, _ in tiles) * (channels + 1)
    return N * N * group * outputs * channels + past


def _staged_row(numbers: Ints) -> int:
    return int(numbers[STAGED_WIDTH] * numbers[STAGED_PIXEL])


def _choose(numbers: Ints, tiles: Tiles, count: int, most: int) -> tuple[tuple[int, int], int]:
    """Choose the tile of products of which the least is done in vain, and set STEP; return both.

    Args:
        count: tiles of a chunk.
        most: of them there is room for in the cache.
    """

    def step(columns: int) -> int:
        return min(count, max(columns, most // columns * columns))

    def work(tile: tuple[int, int]) -> int:
        rows, columns = tile
        steps, rest = divmod(count, step(columns))
        done = steps * round_up(step(columns), columns) + round_up(rest, columns)
        return round_up(int(numbers[TARGET_CHANNELS]), rows) * done

    tile = min(tiles, key=work)
    numbers[STEP] = chosen = step(tile[1])
    return tile, chosen


def _work(g: Geometry, lanes: int, rows: int) -> float:
    m = OUTPUTS[g.kernel[0]]
    tiles = -(-g.N // lanes) * lanes * -(-g.output[0] // m) * -(-g.output[1] // m)
    products = N * N * g.C * round_up(g.O // g.group, rows)
    products += TRANSFORM[g.kernel[0]] * (g.C + g.O)
    return tiles * products + WEIGHT * g.C // g.group * g.O


def _odd(count: int) -> int:
    """Streams an odd number of vectors apart do not fight for the same places in the cache."""
    return count | 1
