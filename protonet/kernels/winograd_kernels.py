"""The kernels of Winograd's convolution: see winograd_plan.py. Imports Numba."""

from __future__ import annotations

from typing import Any, NamedTuple

from protonet.blob import Array
from protonet.kernels import simd, simd_winograd
from protonet.kernels.correlation import finish, pool_out, square, stage, write_out
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
from protonet.kernels.jit import Kernel, kernel
from protonet.kernels.pooling import Mask
from protonet.kernels.simd import LANES, VECTOR_BYTES
from protonet.kernels.simd_winograd import LANE_COLUMNS, LANE_ROWS, sum_lanes
from protonet.kernels.winograd_plan import (
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
    RESULT_LEFT,
    RESULT_TOP,
    RESULT_WIDTH,
    RUN,
    STEP,
    SUMS_BANDS,
    SUMS_DY,
    SUMS_PARTS,
    SUMS_POINT,
    SUMS_ROW,
    SUMS_SLICES,
    TARGET_HEIGHT,
    TILES_ACROSS,
    TILES_DOWN,
    WEIGHT_POINT,
    WEIGHT_ROW,
    N,
)

# Each variant has its own: M outputs of a tile along an axis, the kernel's size R, a tile of
# products; what a tile TAKES of the source along an axis and GIVES to the target; and matrices.
M = R = TAKES = GIVES = ROWS = COLUMNS = 0
tile: Any = None
take: Any = None  # of simd_winograd's, from values to points
give: Any = None  # from points to values, along the first axis
store: Any = None  # and along the second
_take_dy: Any = None

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
    staged: int, weights: int, row: int, step: int, count: int, start: int, start_row: int,
    numbers: Ints,
) -> None:  # fmt: skip
    """Write the products of count tiles.

    Args:
        weights: address of those of the group.
        row, step: from the weights of one target channel to the next, and of one source channel.
        start: vectors that are added to the results, ``start_row`` bytes apart.
    """
    blocks = (numbers[TARGET_CHANNELS] + ROWS - 1) // ROWS
    run = numbers.ctypes.data + 8 * RUN
    nothing = staged + numbers[BETWEEN]
    for p in range(N * N):
        a = weights + p * numbers[WEIGHT_POINT]
        b = staged + numbers[INPUTS] + p * numbers[INPUT_POINT]
        out = staged + numbers[PRODUCTS] + p * numbers[PRODUCT_POINT]
        begin, begin_row = nothing, 0
        if p == _ONES:
            begin, begin_row = start, start_row
        for block in range(0, blocks * ROWS, ROWS):
            for t in range(0, count, COLUMNS):
                tile(
                    a + block * row, row, step,
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


@kernel("inline")
def _clear(values: Array, at: int, count: int) -> None:
    """Write zeros from byte ``at``."""
    for i in range(at // 4, (at + count) // 4):
        values[i] = 0


@kernel(
    "void(float32[::1], float32[::1], float32[::1], float32[::1], float32[::1], float32,"
    " float32[::1], int32[::1], float32[:,::1], int64[::1], int64, int64, int64)",
    shared=True,
)
def convolve(
    source: Array, weights: Array, start: Array, factor: Array, shift: Array, slope: float,
    target: Array, mask: Mask, memory: Array, numbers: Ints, lo: int, hi: int, worker: int,
) -> None:  # fmt: skip
    """Do items lo to hi - 1 of a convolution: as correlation.correlate."""
    scratch = memory[worker]
    staged = scratch.ctypes.data
    groups, outputs = numbers[GROUPS], numbers[TARGET_CHANNELS]
    across, down, band_rows = numbers[TILES_ACROSS], numbers[TILES_DOWN], numbers[BAND]
    bands, pixel = (down + band_rows - 1) // band_rows, numbers[RESULT_PIXEL]
    width, height = numbers[TARGET_WIDTH], numbers[TARGET_HEIGHT]
    for item in range(lo, hi):
        base, place = item % bands * band_rows, item // bands
        group, image = place % groups, place // groups * LANES
        images = min(LANES, numbers[IMAGES] - image)
        source_at = source.ctypes.data
        source_at += (image * groups + group) * numbers[SOURCE_CHANNELS] * numbers[SOURCE_PLANE]
        target_at = (image * groups + group) * outputs * numbers[TARGET_PLANE]
        ready = offset = base * M - numbers[MARGIN_TOP]
        end = min(down, base + band_rows)
        for top in range(base, end, numbers[CHUNK]):
            bottom = min(end, top + numbers[CHUNK])
            last = bottom * M - numbers[MARGIN_TOP] + R - 1
            stage(source_at, scratch, ready, last, offset, images, numbers)
            ready = last
            for first in range(top * across, bottom * across, numbers[STEP]):
                count = min(numbers[STEP], bottom * across - first)
                _take(staged, base, first, count, numbers)
                _clear(scratch, numbers[BETWEEN], VECTOR_BYTES)
                _multiply(
                    staged, weights.ctypes.data + group * N * N * numbers[WEIGHT_POINT],
                    numbers[WEIGHT_ROW], 4, count,
                    start.ctypes.data + group * pixel, VECTOR_BYTES, numbers,
                )  # fmt: skip
                for t in range(count):
                    y, x = (first + t) // across - top, across - 1 - (first + t) % across
                    to = staged + numbers[RESULT] + (y * M * width + x * M) * pixel
                    _give(staged, t, to, width * pixel, numbers)
            begin, stop = top * M * width, min(height, bottom * M) * width
            finish(
                scratch, numbers[RESULT] // 4, stop - begin, pixel // 4, pixel // 4,
                factor, shift, group * pixel // 4, slope,
            )  # fmt: skip
            write_out(
                staged + numbers[RESULT], target.ctypes.data + target_at,
                mask.ctypes.data + target_at, begin, stop, 0, outputs, images, numbers,
            )  # fmt: skip


@kernel(
    "void(float32[::1], float32[::1], float32[::1], float32[:,::1], int64[::1], int64, int64,"
    " int64)",
    shared=True,
)
def convolve_back(
    source: Array, weights: Array, target: Array, memory: Array, numbers: Ints, lo: int, hi: int,
    worker: int,
) -> None:  # fmt: skip
    """Do items lo to hi - 1 of a gradient of the data.

    Args:
        source, target: dy and dx, flat.
        weights: as those of :func:`convolve`.
    """
    scratch = memory[worker]
    staged = scratch.ctypes.data
    groups, outputs = numbers[GROUPS], numbers[TARGET_CHANNELS]
    across, down, pixel = numbers[TILES_ACROSS], numbers[TILES_DOWN], numbers[RESULT_PIXEL]
    width, height = numbers[TARGET_WIDTH], numbers[TARGET_HEIGHT]
    row = numbers[RESULT_WIDTH] * pixel
    for item in range(lo, hi):
        group, image = item % groups, item // groups * LANES
        images = min(LANES, numbers[IMAGES] - image)
        at = source.ctypes.data
        at += (image * groups + group) * numbers[SOURCE_CHANNELS] * numbers[SOURCE_PLANE]
        stage(at, scratch, 0, down * M, 0, images, numbers)
        _clear(scratch, numbers[RESULT], (down * M + R - 1) * row)
        for first in range(0, down * across, numbers[STEP]):
            count = min(numbers[STEP], down * across - first)
            _take(staged, 0, first, count, numbers)
            _clear(scratch, numbers[BETWEEN], VECTOR_BYTES)
            _multiply(
                staged, weights.ctypes.data + group * N * N * numbers[WEIGHT_POINT],
                4, numbers[WEIGHT_ROW], count, staged + numbers[BETWEEN], 0, numbers,
            )  # fmt: skip
            for t in range(count):
                y, x = (first + t) // across, across - 1 - (first + t) % across
                to = staged + numbers[RESULT] + y * M * row + x * M * pixel
                _give(staged, t, to, row, numbers)
        at = staged + numbers[RESULT] + numbers[RESULT_TOP] * row + numbers[RESULT_LEFT] * pixel
        target_at = target.ctypes.data
        target_at += (image * groups + group) * outputs * numbers[TARGET_PLANE]
        # Rows of results lie together where nothing is between them.
        together = height if numbers[RESULT_WIDTH] == width else 1
        for y in range(0, height, together):
            write_out(
                at + y * row, target_at, 0, y * width, (y + together) * width, 0, outputs, images,
                numbers,
            )  # fmt: skip


@kernel(
    "void(float32[::1], float32[::1], int64, int64, int64, int64, boolean, float32[:,::1],"
    " int64[::1], int64, int64, int64)",
    shared=True,
)
def transform_weights(
    w: Array, weights: Array, targets: int, sources: int, target_step: int, source_step: int,
    turned: bool, memory: Array, numbers: Ints, lo: int, hi: int, worker: int,
) -> None:  # fmt: skip
    """Write the weights of target channels lo to hi - 1, of all groups, by points.

    Args:
        w: flat; the taps of one pair of channels lie together.
        targets, sources: channels of a group.
        target_step, source_step: from one of them to the next in w, in values.
        turned: whether the taps are taken from the last to the first.
    """
    staged = memory[worker].ctypes.data
    between = staged + R * R * VECTOR_BYTES
    begin, step = staged, VECTOR_BYTES
    if turned:
        begin, step = staged + (R * R - 1) * VECTOR_BYTES, -VECTOR_BYTES
    for target in range(lo, hi):
        group, row = target // targets, target % targets
        to = weights.ctypes.data + group * N * N * numbers[WEIGHT_POINT]
        to += row * numbers[WEIGHT_ROW]
        at = w.ctypes.data + (group * targets * sources * R * R + row * target_step) * 4
        for c in range(0, sources, LANES):
            for k in range(0, R * R, LANES):
                square(
                    at + (c * source_step + k) * 4, source_step * 4, min(LANES, sources - c),
                    min(LANES, R * R - k), staged + k * VECTOR_BYTES, VECTOR_BYTES, LANES,
                )  # fmt: skip
            for j in range(R):
                take(begin + j * step, R * step, between + j * VECTOR_BYTES, _POINT)
            for i in range(N):
                take(
                    between + i * _POINT, VECTOR_BYTES,
                    to + i * N * numbers[WEIGHT_POINT] + c * 4, numbers[WEIGHT_POINT],
                )  # fmt: skip


@kernel(
    "void(float32[::1], float32[::1], float32[::1], boolean, float32[::1], float32[:,::1],"
    " int64[::1], int64[::1], int64[::1], int64, int64, int64)",
    shared=True,
)
def sum_products(
    x: Array, dy: Array, sums: Array, bias: bool, ones: Array, memory: Array, numbers: Ints,
    of_x: Ints, of_dy: Ints, lo: int, hi: int, worker: int,
) -> None:  # fmt: skip
    """Sum products of x and dy, both by points, over tiles and images: items lo to hi - 1.

    Args:
        sums: ``[part][group][point][output channel][input channel]``.
        bias: whether to sum dy for it: behind the input channels, at the point that sees all of it.
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
        target = sums.ctypes.data + item // slices * N * N * numbers[SUMS_POINT]
        target += one * outputs * row
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
                    if bias and p == _ONES:
                        sum_lanes(
                            a + k * VECTOR_BYTES, VECTOR_BYTES, of_dy[INPUT_TILE],
                            ones.ctypes.data, 0, 0,
                            count, to + row - LANE_COLUMNS * 4, row, block == begin,
                        )  # fmt: skip


@kernel(
    "void(float32[::1], float32[::1], float32[::1], int64, int64, float32[:,::1], int64[::1],"
    " int64, int64, int64)",
    shared=True,
)
def add_sums(
    sums: Array, dw: Array, db: Array, outputs: int, channels: int, memory: Array, numbers: Ints,
    lo: int, hi: int, worker: int,
) -> None:  # fmt: skip
    """Add what the sums give to dw, flat, for output channels lo to hi - 1, of all groups.

    Args:
        sums: those of the first part are overwritten.
        db: (all output channels,), or empty if it is not wanted.
        outputs, channels: of a group.
    """
    scratch = memory[worker]
    between = scratch.ctypes.data
    taps = between + R * _POINT
    added = R * (N + R) * LANES  # where in scratch the gradients of a pair's taps lie together
    row, point = numbers[SUMS_ROW] // 4, numbers[SUMS_POINT] // 4
    part = point * N * N * (dw.size // (outputs * channels * R * R))
    for o in range(lo, hi):
        first = o // outputs * N * N * point + o % outputs * row
        for p in range(N * N):
            for more in range(part, part * numbers[SUMS_PARTS], part):
                for i in range(first + p * point, first + p * point + row):
                    sums[i] += sums[more + i]
        if db.size:
            db[o] += sums[first + _ONES * point + row - LANE_COLUMNS]
        for c in range(0, channels, LANES):
            at, count = sums.ctypes.data + (first + c) * 4, min(LANES, channels - c)
            for j in range(N):
                give(at + j * point * 4, N * point * 4, between + j * VECTOR_BYTES, _POINT)
            for i in range(R):
                give(between + i * _POINT, VECTOR_BYTES, taps + i * R * VECTOR_BYTES, VECTOR_BYTES)
            for k in range(0, R * R, LANES):
                rows = min(LANES, R * R - k)
                square(
                    taps + k * VECTOR_BYTES, VECTOR_BYTES, rows, count,
                    scratch.ctypes.data + (added + k) * 4, R * R * 4, rows,
                )  # fmt: skip
            to = (o * channels + c) * R * R
            for i in range(count * R * R):
                dw[to + i] += scratch[added + i]


class Kernels(NamedTuple):
    """The kernels for one size of kernel; those that multiply, by the rows and columns of tiles."""

    transform_weights: Kernel
    sum_products: Kernel
    add_sums: Kernel
    convolve: dict[tuple[int, int], Kernel]
    convolve_pooled: dict[tuple[int, int], Kernel]
    convolve_back: dict[tuple[int, int], Kernel]


def _kernels(r: int) -> Kernels:
    m = OUTPUTS[r]
    sizes = {"M": m, "R": r}
    matrix = vars(simd_winograd)
    from_inputs = _take.variant(f"_inputs_{r}", take=matrix["from_inputs"], TAKES=N, **sizes)
    from_outputs = _take.variant(
        f"_outputs_{r}", take=matrix[f"from_outputs_{m}"], TAKES=m, **sizes
    )
    outputs = matrix[f"to_outputs_{m}"]
    to_outputs = _give.variant(f"_outputs_{r}", give=outputs, store=outputs, GIVES=m, **sizes)
    to_inputs = _give.variant(
        f"_inputs_{r}",
        give=matrix["to_inputs"], store=matrix["add_to_inputs"], GIVES=N, **sizes,
    )  # fmt: skip
    forward, pooled, back = {}, {}, {}
    for rows, columns in ((10, 2), (8, 3), (14, 2), (7, 3), (5, 2), (4, 3)):
        name = f"{rows}x{columns}"
        multiply = _multiply.variant(
            f"_{name}", tile=getattr(simd, f"tile_{name}"), ROWS=rows, COLUMNS=columns
        )
        label, names = f"_{r}_{name}", sizes | {"_multiply": multiply}
        ways = {"_take": from_inputs, "_give": to_outputs}
        forward[rows, columns] = convolve.variant(label, **names, **ways)
        pooled[rows, columns] = convolve.variant(
            f"{label}_pooled", **names, **ways, write_out=pool_out
        )
        back[rows, columns] = convolve_back.variant(
            label, **names, _take=from_outputs, _give=to_inputs
        )
    return Kernels(
        transform_weights.variant(f"_{r}", take=matrix[f"from_weights_{r}"], **sizes),
        sum_products.variant(f"_{r}", _take=from_inputs, _take_dy=from_outputs, **sizes),
        add_sums.variant(f"_{r}", give=matrix[f"to_weights_{r}"], **sizes),
        forward,
        pooled,
        back,
    )


KERNELS = {r: _kernels(r) for r in OUTPUTS}
