"""Winograd's convolution of few images: vectors run over the tiles of an image.

The maths is in simd_winograd.py. The rows of tiles of all images are taken in *bands*, and the
tiles of a band in vectors, LANES at a time, across rows and images. Three steps follow each other:
the source's tiles are written by points, multiplied with the weights at each point, and the target
is written. Between them lie

    inputs    [point][group][vector of tiles][channel][lane]
    products  [point][group][vector of tiles][target channel][lane]

and the weights as winograd_plan.py says. Where there are bands enough, each thread does its own, so
that what lies between stays in its cache; otherwise threads share out each step of a band.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from protonet.blob import Array
from protonet.kernels import scratch, threads
from protonet.kernels.copies import in_a_row
from protonet.kernels.correlation_plan import Ints
from protonet.kernels.finish import Finish
from protonet.kernels.weight_gradient_plan import Geometry, round_up
from protonet.kernels.winograd_plan import OUTPUTS, N

# Indices into the numbers of a plan. Offsets and steps: bytes.
(
    GROUPS,
    CHANNELS,  # of a group, of the source
    HEIGHT,  # of the source
    WIDTH,
    TARGETS,  # channels of a group, of the target
    TARGET_HEIGHT,
    TARGET_WIDTH,
    PAD_TOP,
    PAD_LEFT,
    DOWN,  # rows of tiles of an image
    ACROSS,  # tiles of a row
    INPUT_TILE,  # from one vector of tiles to the next, one group, one point
    INPUT_GROUP,
    INPUT_POINT,
    PRODUCT_TILE,
    PRODUCT_GROUP,
    PRODUCT_POINT,
    WEIGHT_TARGET,  # in the weights, from one target channel to the next, one source channel,
    WEIGHT_SOURCE,
    WEIGHT_GROUP,  # one group, and one point
    WEIGHT_POINT,
    BLOCKS,  # tiles of products along the target channels
    LINE,  # values of a row with its margins, as far as vectors of tiles reach
    PITCH,  # values from one place in a tile to the next, for each tile of a band
    BAND,  # rows of tiles
    ROWS_OF_TILES,  # of all images
    PRODUCTS,  # where behind the inputs of a band its products begin, in values
    TOGETHER,  # parts of each step of a band that threads share out; 0: they share out bands
    COUNT,
) = range(29)

SUMMED = 128  # channels that are summed up at once: longer sums lose more by rounding
TILES = {32: (8, 2), 16: (5, 2)}  # of products, by number of registers: one, compiling takes long
OWN_TILES = 48  # tiles of a band of a thread's own, at least: weights are read for each band
OWN_BANDS = 2  # for each thread
BAND_BYTES = 4 * 1024 * 1024  # of inputs and products of a band of all, more where weights are
MOST_BAND_BYTES = 16 * 1024 * 1024  # large, which are read for each band, but no more than this
PARTS = 96  # of a step of such a band
# Multiply-adds that take as long as all else that is done to one channel of a tile, of the source
# and of the target; to one channel of a vector of tiles of a row; in a band to the weights of one
# pair of channels, and to all; to the weights of one pair of channels before.
SOURCE_TILE, TARGET_TILE = 900, 900
SOURCE_ROW, TARGET_ROW = 4500, 2000
READ, CALLS = 400, 600_000
WEIGHT = 1100
MEASURED = 0.77  # what all that really takes, beside the estimates of winograd_plan.py
PART_WORK = 64 * 1024  # multiply-adds for which a thread of its own is worth while


class Bands(NamedTuple):
    """Images cut into bands.

    Attributes:
        rows, columns: of the tiles of products, in registers: target channels, vectors of tiles.
        numbers: see the indices above.
        runs: of each sum of products, three numbers, and zeros.
        bands: how many there are.
        values: of inputs and products of a band.
        memory: values of each worker, for the tiles of one channel and a tile of products.
    """

    rows: int
    columns: int
    numbers: Ints
    runs: Ints
    bands: int
    values: int
    memory: int


class TilePlan(NamedTuple):
    """How few images are convolved.

    Attributes:
        geometry: of the convolution.
        together: bands that threads do together, step by step.
        own: bands that each thread does by itself.
        weights: float32 values of the transformed weights.
        work: multiply-adds of plain sums that would take as long.
    """

    geometry: Geometry
    together: Bands
    own: Bands
    weights: int
    work: float


def plan(g: Geometry, lanes: int, tile: tuple[int, int], turned: bool) -> TilePlan:
    """Work out the tables of a convolution.

    Args:
        tile: of products, rows and columns.
        turned: the weights are those of a convolution whose gradient of the data this is.
    """
    down, across = _tiles(g)
    pairs = g.C // g.group * g.O
    row_bytes = N * N * across * (g.C + g.O) * 4
    band_bytes = min(MOST_BAND_BYTES, max(BAND_BYTES, N * N * pairs * 4 // 2))
    rows, work = _cut(g, lanes, tile, max(1, band_bytes // row_bytes))
    together = _bands(g, lanes, tile, rows, turned, PARTS)
    rows, _ = _cut(g, lanes, tile, 2 * -(-OWN_TILES // across))
    own = _bands(g, lanes, tile, rows, turned, 0)
    weights = N * N * pairs + tile[0] * (max(g.C, g.O) // g.group + 1)
    work += WEIGHT * pairs
    work += g.N * down * across * (SOURCE_TILE * g.C + TARGET_TILE * g.O)
    work += g.N * down * -(-across // lanes) * (SOURCE_ROW * g.C + TARGET_ROW * g.O)
    return TilePlan(g, together, own, weights, work * MEASURED)


def _tiles(g: Geometry) -> tuple[int, int]:
    """Return the tiles of an image, down and across."""
    down, across = (-(-size // OUTPUTS[g.kernel[0]]) for size in g.output)
    return down, across


def _cut(g: Geometry, lanes: int, tile: tuple[int, int], most: int) -> tuple[int, float]:
    """Choose the rows of tiles in a band that are the least work.

    Args:
        most: of them, half of which are the least.

    Returns:
        rows, and the work of the products.
    """
    down, across = _tiles(g)
    pairs, targets, all_rows = g.C // g.group * g.O, g.O // g.group, g.N * down
    each = N * N * g.C * round_up(targets, tile[0]) * lanes
    most = min(most, all_rows)

    def work(rows: int) -> float:
        whole, rest = divmod(all_rows, rows)
        vectors = [round_up(-(-n * across // lanes), tile[1]) for n in (rows, rest)]
        bands = whole + (rest > 0)
        return float(each * (whole * vectors[0] + vectors[1]) + bands * (READ * pairs + CALLS))

    rows = min(range(-(-most // 2), most + 1), key=work)
    return rows, work(rows)


def _bands(
    g: Geometry, lanes: int, tile: tuple[int, int], band: int, turned: bool, parts: int
) -> Bands:
    """Work out the tables for bands of so many rows of tiles."""
    (rows, columns), (down, across), m = tile, _tiles(g), OUTPUTS[g.kernel[0]]
    channels, targets = g.C // g.group, g.O // g.group
    vectors, room = round_up(-(-band * across // lanes), columns), round_up(targets, rows)
    numbers, vector = np.zeros(COUNT, np.int64), 4 * lanes
    numbers[: TARGET_WIDTH + 1] = g.group, channels, *g.size, targets, *g.output
    numbers[PAD_TOP], numbers[PAD_LEFT] = g.pad
    numbers[DOWN], numbers[ACROSS] = down, across
    for count, at in ((channels, INPUT_TILE), (room, PRODUCT_TILE)):
        # Streams an odd number of vectors apart do not fight for the same places in the cache.
        numbers[at] = step = (count | 1) * vector
        numbers[at + 1] = step = step * vectors
        numbers[at + 2] = (step * g.group // vector | 1) * vector
    outer, inner = (channels, targets) if turned else (targets, channels)
    numbers[[WEIGHT_TARGET, WEIGHT_SOURCE]] = (4, 4 * inner) if turned else (4 * inner, 4)
    numbers[WEIGHT_GROUP] = 4 * inner * outer
    numbers[WEIGHT_POINT] = 4 * inner * outer * g.group
    numbers[BLOCKS] = room // rows
    numbers[LINE] = line = round_up(across, lanes) * m + N + lanes * m
    # odd numbers of vectors apart, and room for what a row's last vector writes beyond it
    numbers[PITCH] = pitch = ((vectors + 1) | 1) * lanes
    numbers[BAND], numbers[ROWS_OF_TILES], numbers[TOGETHER] = band, g.N * down, parts
    numbers[PRODUCTS] = inputs = N * N * int(numbers[INPUT_POINT]) // 4
    values = inputs + N * N * int(numbers[PRODUCT_POINT]) // 4
    memory = rows * columns * lanes + line + N * N * (pitch + lanes)
    firsts = np.arange(0, max(channels, 1), SUMMED)
    runs = np.zeros((len(firsts), 3 + lanes), np.int64)
    runs[:, 0], runs[:, 1] = firsts * int(numbers[WEIGHT_SOURCE]), firsts * vector
    runs[:, 2] = np.minimum(SUMMED, channels - firsts)
    return Bands(rows, columns, numbers, runs, -(-g.N * down // band), values, memory)


def convolve(
    p: TilePlan, source: Array, packed: Array, bias: Array, target: Array, end: Finish
) -> None:
    """Write the target, whose images may lie apart.

    Args:
        bias: (target channels,).
    """
    from protonet.kernels.winograd_tiles_kernels import KERNELS

    g = p.geometry
    own = p.own.bands >= OWN_BANDS * threads.count()
    bands = p.own if own else p.together
    if own:
        memory, turns, total, grain = scratch.each("bands", bands.values), 1, bands.bands, 1
    else:
        memory = scratch.get("band", bands.values)[: bands.values].reshape(1, -1)
        each = N * N * g.C * g.O // g.group * g.N * math.prod(_tiles(g)) // bands.bands
        turns, total, grain = 3 * bands.bands, PARTS, max(1, PART_WORK * PARTS // each)
    threads.share_in_turns(
        KERNELS[g.kernel[0]][bands.rows, bands.columns], turns, total,
        source.reshape(-1), packed, bias, *end, *in_a_row(target), memory,
        scratch.each("tiles", bands.memory), bands.numbers, bands.runs, grain=grain,
    )  # fmt: skip
