"""The kernels of Winograd's convolution: see winograd_plan.py. Imports Numba."""

from __future__ import annotations

from typing import Any, NamedTuple

from protonet.blob import Array
from protonet.kernels import simd, simd_winograd
from protonet.kernels.correlation import clear, finish, pool_out, stage, write_out
from protonet.kernels.correlation_plan import (
    GROUPS,
    IMAGES,
    RESULT,
    RESULT_PIXEL,
    SOURCE_CHANNELS,
    SOURCE_PLANE,
    STAGED_PIXEL,
    STAGED_WIDTH,
    TARGET_CHANNELS,
    TARGET_PLANE,
    TARGET_WIDTH,
    Ints,
)
from protonet.kernels.direct import ALL_TILES
from protonet.kernels.jit import Kernel, kernel
from protonet.kernels.pooling import Mask
from protonet.kernels.simd import LANES, VECTOR_BYTES, tile_5x2
from protonet.kernels.simd_winograd import LANE_COLUMNS, LANE_ROWS, sum_lanes
from protonet.kernels.winograd_plan import (
    BACK,
    BAND,
    BETWEEN,
    CHUNK,
    INPUT_POINT,
    INPUT_TILE,
    INPUTS,
    MARGIN_TOP,
    OUTPUTS,
    PRODUCT_POINT,
    PRODUCT_TILE,
    PRODUCTS,
    REACH,
    RESULT_INSIDE,
    RESULT_ROW,
    RUN,
    STEP,
    SUMS_BANDS,
    SUMS_DY,
    SUMS_OUTPUTS,
    SUMS_PARTS,
    SUMS_POINT,
    SUMS_ROW,
    SUMS_SLICES,
    SUMS_VECTORS,
    TARGET_HEIGHT,
    TILES_ACROSS,
    TILES_DOWN,
    WEIGHT_GROUP,
    WEIGHT_POINT,
    WEIGHT_SOURCE,
    WEIGHT_TARGET,
    N,
)

SUMS_ROWS, SUMS_COLUMNS = 5, SUMS_VECTORS * LANES  # of the tile that makes weights of sums

# Each variant has its own: M outputs of a tile along an axis, the kernel's size R, a tile of
# products; what a tile TAKES of the source along an axis and GIVES to the target; and matrices.
M = R = TAKES = GIVES = ROWS = COLUMNS = 0
tile: Any = None
take: Any = None  # of simd_winograd's, from values to points
give: Any = None  # from points to values, along the first axis
store: Any = None  # and along the second
_take_dy: Any = None  # _take and _give of a gradient's two sides
_give_dx: Any = None

_POINT = N * VECTOR_BYTES  # of what is between the two axes: from one row to the next
_ONES = N + 1  # the point 1, 1, which sees all of a tile alike


@kernel("inline")
def _take(staged: int, base: int, first: int, count: int, numbers: Ints) -> None:
    """Write the inputs of tiles first to first + count - 1.

    base: the row of tiles with which what is staged begins.
    """
    pixel, across = numbers[STAGED_PIXEL], numbers[TILES_ACROSS]
    row, point = numbers[STAGED_WIDTH] * pixel, numbers[INPUT_POINT]
    between = staged + numbers[BETWEEN]
    for t in range(count):
        y, x = (first + t) // across - base, across - 1 - (first + t) % across
        source = staged + y * M * row + x * M * pixel
        target = staged + numbers[INPUTS] + t * numbers[INPUT_TILE]
        for _ in range(numbers[SOURCE_CHANNELS]):
            for j in range(TAKES):
                take(source + j * pixel, row, between + j * VECTOR_BYTES, _POINT)
            for i in range(N):
                take(between + i * _POINT, VECTOR_BYTES, target + i * N * point, point)
            source += VECTOR_BYTES
            target += VECTOR_BYTES


@kernel("inline")
def _multiply(
    staged: int, weights: int, count: int, start: int, numbers: Ints
) -> None:  # fmt: skip
    """Write the products of count tiles.

    Args:
        weights: address of those of the group.
        start: address of the vectors that are added to the results, one for each target channel.
    """
    blocks = (numbers[TARGET_CHANNELS] + ROWS - 1) // ROWS
    run, row = numbers.ctypes.data + 8 * RUN, numbers[WEIGHT_TARGET]
    nothing = staged + numbers[BETWEEN]
    for p in range(N * N):
        a = weights + p * numbers[WEIGHT_POINT]
        b = staged + numbers[INPUTS] + p * numbers[INPUT_POINT]
        out = staged + numbers[PRODUCTS] + p * numbers[PRODUCT_POINT]
        begin, begin_row = nothing, 0
        if p == _ONES:
            begin, begin_row = start, VECTOR_BYTES
        for block in range(0, blocks * ROWS, ROWS):
            for t in range(0, count, COLUMNS):
                tile(
                    a + block * row, row, numbers[WEIGHT_SOURCE],
                    b + t * numbers[INPUT_TILE], numbers[INPUT_TILE], VECTOR_BYTES,
                    run, 1, begin + block * begin_row, begin_row, 0,
                    out + t * numbers[PRODUCT_TILE] + block * VECTOR_BYTES,
                    VECTOR_BYTES, numbers[PRODUCT_TILE],
                )  # fmt: skip


@kernel("inline")
def _give(staged: int, t: int, target: int, row: int, numbers: Ints) -> None:
    """Write tile t's results, or add them: address and bytes of a row of the target."""
    point, pixel = numbers[PRODUCT_POINT], numbers[RESULT_PIXEL]
    source = staged + numbers[PRODUCTS] + t * numbers[PRODUCT_TILE]
    between = staged + numbers[BETWEEN]
    for _ in range(numbers[TARGET_CHANNELS]):
        for j in range(N):
            give(source + j * point, N * point, between + j * VECTOR_BYTES, _POINT)
        for i in range(GIVES):
            store(between + i * _POINT, VECTOR_BYTES, target + i * row, pixel)
        source += VECTOR_BYTES
        target += VECTOR_BYTES


@kernel(
    "void(float32[::1], float32[::1], float32[::1], float32[::1], float32[::1], float32,"
    " float32[::1], int64, int32[::1], float32[:,::1], int64[::1], int64, int64, int64)",
    shared=True,
)
def convolve(
    source: Array, weights: Array, start: Array, factor: Array, shift: Array, slope: float,
    target: Array, image_bytes: int, mask: Mask, memory: Array, numbers: Ints,
    lo: int, hi: int, worker: int,
) -> None:  # fmt: skip
    """Do items lo to hi - 1 of a convolution, or of the gradient of its data.

    Args: as those of correlation.correlate.
    """
    scratch = memory[worker]
    staged = scratch.ctypes.data
    groups, outputs, back = numbers[GROUPS], numbers[TARGET_CHANNELS], numbers[BACK] != 0
    across, down, band_rows = numbers[TILES_ACROSS], numbers[TILES_DOWN], numbers[BAND]
    bands, pixel = (down + band_rows - 1) // band_rows, numbers[RESULT_PIXEL]
    width, height, row = numbers[TARGET_WIDTH], numbers[TARGET_HEIGHT], numbers[RESULT_ROW]
    for item in range(lo, hi):
        base, place = item % bands * band_rows, item // bands
        group, image = place % groups, place // groups * LANES
        images = min(LANES, numbers[IMAGES] - image)
        source_at = source.ctypes.data
        source_at += (image * groups + group) * numbers[SOURCE_CHANNELS] * numbers[SOURCE_PLANE]
        plane = numbers[TARGET_PLANE]
        target_at = target.ctypes.data + image * image_bytes + group * outputs * plane
        mask_at = mask.ctypes.data + (image * groups + group) * outputs * plane
        ready = offset = base * M - numbers[MARGIN_TOP]
        end = min(down, base + band_rows)
        for top in range(base, end, numbers[CHUNK]):
            bottom = min(end, top + numbers[CHUNK])
            last = bottom * M - numbers[MARGIN_TOP] + numbers[REACH]
            stage(source_at, scratch, ready, last, offset, images, numbers)
            ready = last
            if back:  # tiles are added to what is there
                past = numbers[RESULT] + ((bottom - top) * M + R - 1) * row
                clear(scratch, numbers[RESULT], past)
            for first in range(top * across, bottom * across, numbers[STEP]):
                count = min(numbers[STEP], bottom * across - first)
                if back:
                    _take_dy(staged, base, first, count, numbers)
                else:
                    _take(staged, base, first, count, numbers)
                clear(scratch, numbers[BETWEEN], numbers[BETWEEN] + VECTOR_BYTES)
                _multiply(
                    staged, weights.ctypes.data + group * numbers[WEIGHT_GROUP], count,
                    start.ctypes.data + group * pixel, numbers,
                )  # fmt: skip
                for t in range(count):
                    y, x = (first + t) // across - top, across - 1 - (first + t) % across
                    to = staged + numbers[RESULT] + y * M * row + x * M * pixel
                    if back:
                        _give_dx(staged, t, to, row, numbers)
                    else:
                        _give(staged, t, to, row, numbers)
            begin, stop = top * M, height if bottom == down else bottom * M
            finish(
                scratch, numbers[RESULT] // 4, (stop - begin) * width, pixel // 4, pixel // 4,
                factor, shift, group * pixel // 4, slope,
            )  # fmt: skip
            # Rows that nothing lies between are written as one.
            together = stop - begin if row == width * pixel else 1
            for y in range(begin, stop, together):
                write_out(
                    staged + numbers[RESULT] + numbers[RESULT_INSIDE] + (y - begin) * row,
                    target_at, image_bytes, mask_at,
                    y * width, (y + together) * width, 0, outputs, images, numbers,
                )  # fmt: skip


@kernel(
    "void(float32[::1], float32[::1], float32[::1], float32[::1], float32[::1], float32[:,::1],"
    " int64[::1], int64[::1], int64[::1], int64, int64, int64)",
    shared=True,
)
def sum_products(
    x: Array, dy: Array, sums: Array, of_bias: Array, ones: Array, memory: Array, numbers: Ints,
    of_x: Ints, of_dy: Ints, lo: int, hi: int, worker: int,
) -> None:  # fmt: skip
    """Sum products of x and dy, both by points, over tiles and images: items lo to hi - 1.

    Args:
        sums: ``[part][point][group][output channel][input channel]``.
        of_bias: sums of dy, ``[part][group][output channel][4]``, four times the same; empty if
            they are not wanted.
        ones: LANES ones.
        numbers, of_x, of_dy: of the SumPlan.
    """
    scratch = memory[worker]
    behind = scratch[numbers[SUMS_DY] :]
    staged_x, staged_dy = scratch.ctypes.data, behind.ctypes.data
    groups, channels, outputs = of_x[GROUPS], of_x[SOURCE_CHANNELS], of_dy[SOURCE_CHANNELS]
    across, down, slices = of_x[TILES_ACROSS], of_x[TILES_DOWN], numbers[SUMS_SLICES]
    bands, band_rows, row = numbers[SUMS_BANDS], of_x[BAND], numbers[SUMS_ROW]
    parts, blocks = numbers[SUMS_PARTS], (of_x[IMAGES] + LANES - 1) // LANES * bands
    for item in range(lo, hi):
        one, group = item % slices, item // slices % groups
        part = item // slices // groups
        channel = group * numbers[SUMS_OUTPUTS] + one * outputs
        target = sums.ctypes.data + part * N * N * numbers[SUMS_POINT] + channel * row
        bias = part * groups * numbers[SUMS_OUTPUTS] + channel
        begin = part * blocks // parts
        for block in range(begin, (part + 1) * blocks // parts):
            image, top = block // bands * LANES, block % bands * band_rows
            images, bottom = min(LANES, of_x[IMAGES] - image), min(down, top + band_rows)
            first = top * M - of_x[MARGIN_TOP]
            at = x.ctypes.data + (image * groups + group) * channels * of_x[SOURCE_PLANE]
            stage(
                at, scratch, first, bottom * M - of_x[MARGIN_TOP] + R - 1, first, images, of_x
            )  # fmt: skip
            at = dy.ctypes.data
            at += ((image * groups + group) * slices + one) * outputs * of_dy[SOURCE_PLANE]
            stage(at, behind, top * M, bottom * M, top * M, images, of_dy)
            count = (bottom - top) * across
            _take(staged_x, top, top * across, count, of_x)
            _take_dy(staged_dy, top, top * across, count, of_dy)
            for p in range(N * N):
                a = staged_dy + of_dy[INPUTS] + p * of_dy[INPUT_POINT]
                b = staged_x + of_x[INPUTS] + p * of_x[INPUT_POINT]
                for k in range(0, outputs, LANE_ROWS):
                    to = target + p * numbers[SUMS_POINT] + k * row
                    for c in range(0, channels, LANE_COLUMNS):
                        sum_lanes(
                            a + k * VECTOR_BYTES, VECTOR_BYTES, of_dy[INPUT_TILE],
                            b + c * VECTOR_BYTES, VECTOR_BYTES, of_x[INPUT_TILE],
                            count, to + c * 4, row, block == begin,
                        )  # fmt: skip
                    if of_bias.size and p == _ONES:
                        sum_lanes(
                            a + k * VECTOR_BYTES, VECTOR_BYTES, of_dy[INPUT_TILE],
                            ones.ctypes.data, 0, 0, count,
                            of_bias.ctypes.data + (bias + k) * LANE_COLUMNS * 4, LANE_COLUMNS * 4,
                            block == begin,
                        )  # fmt: skip


@kernel(
    "void(float32[::1], float32[::1], float32[::1], float32[::1], float32[::1], float32[:,::1],"
    " int64[:,::1], int64[::1], int64[::1], int64, int64, int64, int64)",
    shared=True,
)
def add_weights(
    sums: Array, of_bias: Array, matrix: Array, dw: Array, db: Array, memory: Array, runs: Ints,
    numbers: Ints, of_x: Ints, outputs: int, lo: int, hi: int, worker: int,
) -> None:  # fmt: skip
    """Add to the weights of output channels lo to hi - 1 what sums by points are to them.

    Args:
        sums, of_bias: of :func:`sum_products`; their parts are added up. SUMS_COLUMNS values
            behind the sums are read, too.
        matrix: what a kernel's weights are multiplied by to have points, ``[point][weight]``.
        db: empty if it is not wanted.
        memory: of each worker, N * N + R * R + 1 rows of sums, padded to SUMS_COLUMNS.
        runs: memory for three numbers of each worker.
        outputs: of a group.
    """
    parts, channels, row = numbers[SUMS_PARTS], of_x[SOURCE_CHANNELS], numbers[SUMS_ROW] // 4
    point = numbers[SUMS_POINT] // 4
    width = (channels + SUMS_COLUMNS - 1) // SUMS_COLUMNS * SUMS_COLUMNS
    run, total, weights = runs[worker], memory[worker], memory[worker, N * N * width :]
    none = memory[worker, (N * N + R * R) * width :]
    run[0] = run[1] = 0
    run[2] = N * N
    for c in range(SUMS_COLUMNS):
        none[c] = 0
    for o in range(lo, hi):
        place = o // outputs * numbers[SUMS_OUTPUTS] + o % outputs
        for part in range(parts):
            for p in range(N * N):
                at = (part * N * N + p) * point + place * row
                some, whole = sums[at : at + width], total[p * width : (p + 1) * width]
                for c in range(width):
                    whole[c] = some[c] if part == 0 else whole[c] + some[c]
            if db.size:
                db[o] += of_bias[(part * (point // row) + place) * LANE_COLUMNS]
        for c in range(0, width, SUMS_COLUMNS):
            for w in range(0, R * R, SUMS_ROWS):
                first = min(w, R * R - SUMS_ROWS)  # the last tile reaches back
                tile_5x2(
                    matrix.ctypes.data + first * 4, 4, R * R * 4,
                    total.ctypes.data + c * 4, VECTOR_BYTES, width * 4, run.ctypes.data, 1,
                    none.ctypes.data, 0, VECTOR_BYTES,
                    weights.ctypes.data + (first * width + c) * 4, width * 4, VECTOR_BYTES,
                )  # fmt: skip
        for c in range(channels):
            own = dw[(o * channels + c) * R * R : (o * channels + c + 1) * R * R]
            for w in range(R * R):
                own[w] += weights[w * width + c]


class Kernels(NamedTuple):
    """The kernels for one size of kernel; those that multiply, by the rows and columns of tiles."""

    sum_products: Kernel
    add_weights: Kernel
    convolve: dict[tuple[int, int], Kernel]
    convolve_pooled: dict[tuple[int, int], Kernel]


def _kernels(r: int) -> Kernels:
    m = OUTPUTS[r]
    sizes = {"M": m, "R": r}
    matrix = vars(simd_winograd)
    to_outputs = matrix[f"to_outputs_{m}"]
    sides: dict[str, Any] = {
        "_take": _take.variant(f"_x_{r}", take=matrix["from_inputs"], TAKES=N, **sizes),
        "_take_dy": _take.variant(f"_dy_{r}", take=matrix[f"from_outputs_{m}"], TAKES=m, **sizes),
        "_give": _give.variant(f"_y_{r}", give=to_outputs, store=to_outputs, GIVES=m, **sizes),
        "_give_dx": _give.variant(
            f"_dx_{r}", give=matrix["to_inputs"], store=matrix["add_to_inputs"], GIVES=N, **sizes
        ),
    }
    whole, pooled = {}, {}
    for rows, columns in ALL_TILES:
        name = f"{rows}x{columns}"
        multiply = _multiply.variant(
            f"_{name}", tile=getattr(simd, f"tile_{name}"), ROWS=rows, COLUMNS=columns
        )
        label, names = f"_{r}_{name}", {"_multiply": multiply, **sides, **sizes}
        whole[rows, columns] = convolve.variant(label, **names)
        pooled[rows, columns] = convolve.variant(f"{label}_pooled", **names, write_out=pool_out)
    sums = sum_products.variant(f"_{r}", **sides, **sizes)
    return Kernels(sums, add_weights.variant(f"_{r}", **sizes), whole, pooled)


KERNELS = {r: _kernels(r) for r in OUTPUTS}
