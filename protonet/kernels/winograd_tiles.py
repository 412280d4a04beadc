"""Winograd's convolution of few images: vectors run over the tiles of an image.

The maths is in simd_winograd.py. The rows of tiles of all images are taken in *bands*, and the
tiles of a band in vectors, LANES at a time, across rows and images. Three kernels follow each other
for each band, each shared out anew: the first writes the source's tiles by points, the second
multiplies them with the weights at each point, the third writes the target. Between them lie

    inputs    [point][group][vector of tiles][channel][lane]
    products  [point][group][vector of tiles][target channel][lane]

which should stay in the cache that the cores share. The weights lie as winograd_plan.py says.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from protonet.blob import Array
from protonet.kernels import cpu, scratch, threads
from protonet.kernels.copies import in_a_row
from protonet.kernels.correlation_plan import Ints
from protonet.kernels.finish import Finish
from protonet.kernels.weight_gradient_plan import Geometry, round_up
from protonet.kernels.winograd_plan import OUTPUTS, N, Tiles

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
    COUNT,
) = range(25)

SUMMED = 128  # channels that are summed up at once: longer sums lose more by rounding
BAND_BYTES = 4 * 1024 * 1024  # of inputs and products of a band, more where weights are large,
MOST_BAND_BYTES = 16 * 1024 * 1024  # which are read for each band, but no more than this
# Multiply-adds that take as long as all else that is done to one channel of a tile, of the source
# and of the target; to one channel of a vector of tiles of a row; in a band to the weights of one
# pair of channels, and to all; to the weights of one pair of channels before.
SOURCE_TILE, TARGET_TILE = 450, 300
SOURCE_ROW, TARGET_ROW = 4500, 2000
READ, CALLS = 400, 2_000_000
WEIGHT = 1100
MEASURED = 0.77  # what all that really takes, beside the estimates of winograd_plan.py
GRAIN = 4096  # tiles, of all channels, for which a thread of its own is worth while
PRODUCT_GRAIN = 256 * 1024  # multiply-adds for which it is


class TilePlan(NamedTuple):
    """How few images are convolved.

    Attributes:
        geometry: of the convolution.
        rows, columns: of the tiles of products, in registers: target channels, vectors of tiles.
        band: rows of tiles.
        numbers: see the indices above.
        memory: values of each worker, for the tiles of one channel.
        runs: of each sum of products, three numbers, and zeros.
        inputs, products: values of a band.
        weights: float32 values of the transformed weights.
        work: multiply-adds of plain sums that would take as long.
    """

    geometry: Geometry
    rows: int
    columns: int
    band: int
    numbers: Ints
    runs: Ints
    memory: int
    inputs: int
    products: int
    weights: int
    work: float


def plan(g: Geometry, lanes: int, tiles: Tiles, turned: bool) -> TilePlan:
    """Work out the tables of a convolution.

    Args:
        tiles: rows and columns of vectors to choose from, the more efficient first.
        turned: the weights are those of a convolution whose gradient of the data this is.
    """
    m = OUTPUTS[g.kernel[0]]
    channels, targets = g.C // g.group, g.O // g.group
    down, across = (-(-size // m) for size in g.output)
    (rows, columns), band, products_work = _cut(g, lanes, tiles, down, across)
    vectors = round_up(-(-band * across // lanes), columns)
    room = round_up(targets, rows)
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
    memory = line + N * N * (pitch + lanes)
    firsts = np.arange(0, max(channels, 1), SUMMED)
    runs = np.zeros((len(firsts), 3 + lanes), np.int64)
    runs[:, 0], runs[:, 1] = firsts * int(numbers[WEIGHT_SOURCE]), firsts * vector
    runs[:, 2] = np.minimum(SUMMED, channels - firsts)
    inputs, products = (N * N * int(numbers[at]) // 4 for at in (INPUT_POINT, PRODUCT_POINT))
    weights = N * N * inner * outer * g.group + max(rows for rows, _ in tiles) * (inner + 1)
    work = products_work + WEIGHT * channels * g.O
    work += g.N * down * across * (SOURCE_TILE * g.C + TARGET_TILE * g.O)
    work += g.N * down * -(-across // lanes) * (SOURCE_ROW * g.C + TARGET_ROW * g.O)
    work *= MEASURED
    return TilePlan(
        g, rows, columns, band, numbers, runs, memory, inputs, products, weights, float(work)
    )


def _cut(
    g: Geometry, lanes: int, tiles: Tiles, down: int, across: int
) -> tuple[tuple[int, int], int, float]:
    """Choose the tile of products and the rows of tiles in a band that are the least work.

    Returns:
        both, and the work of the products.
    """
    pairs, targets, all_rows = g.C // g.group * g.O, g.O // g.group, g.N * down
    row_bytes = N * N * across * (g.C + g.O) * 4
    band_bytes = min(MOST_BAND_BYTES, max(BAND_BYTES, N * N * pairs * 4 // 2))
    most = min(all_rows, max(1, band_bytes // row_bytes))

    def work(tile: tuple[int, int], rows: int) -> float:
        each = N * N * g.C * round_up(targets, tile[0]) * lanes
        whole, rest = divmod(all_rows, rows)
        vectors = [round_up(-(-n * across // lanes), tile[1]) for n in (rows, rest)]
        bands = whole + (rest > 0)
        return float(each * (whole * vectors[0] + vectors[1]) + bands * (READ * pairs + CALLS))

    choices = itertools.product(tiles, range(-(-most // 2), most + 1))
    tile, rows = min(choices, key=lambda choice: work(*choice))
    return tile, rows, work(tile, rows)


def convolve(
    p: TilePlan, source: Array, packed: Array, bias: Array, target: Array, end: Finish
) -> None:
    """Write the target, whose images may lie apart.

    Args:
        bias: (target channels,).
    """
    from protonet.kernels.winograd_tiles_kernels import KERNELS

    kernels, g, lanes = KERNELS[p.geometry.kernel[0]], p.geometry, cpu.lanes()
    across, all_rows = int(p.numbers[ACROSS]), g.N * int(p.numbers[DOWN])
    inputs = scratch.get("inputs", p.inputs)
    products = scratch.get("products", p.products)
    flat, flat_target = source.reshape(-1), in_a_row(target)
    blocks = N * N * g.group * int(p.numbers[BLOCKS])
    each = N * N * g.C * g.O // g.group  # multiply-adds of a tile
    for first in range(0, all_rows, p.band):
        rows = min(p.band, all_rows - first)
        count = rows * across
        grain = max(1, GRAIN // count)
        threads.share(
            kernels.take, g.C, flat, inputs, scratch.each("tiles", p.memory),
            p.numbers, first, rows, grain=grain,
        )  # fmt: skip
        threads.share(
            kernels.multiply[p.rows, p.columns], blocks, inputs, packed, products, p.numbers,
            p.runs, scratch.each("part", p.rows * p.columns * lanes), -(-count // lanes),
            grain=max(1, PRODUCT_GRAIN * blocks // (each * count)),
        )  # fmt: skip
        threads.share(
            kernels.give, g.O, products, bias, *end, *flat_target,
            scratch.each("tiles", p.memory), p.numbers, first, rows, grain=grain,
        )  # fmt: skip
