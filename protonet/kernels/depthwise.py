"""The kernels of a depthwise convolution: see depthwise_plan.py. Imports Numba."""

from __future__ import annotations

import numpy as np

from protonet.blob import Array
from protonet.kernels.correlation_plan import Ints
from protonet.kernels.depthwise_plan import AT, COLUMN, COLUMNS, FIRST_TAP, ROW, ROWS, TAPS
from protonet.kernels.jit import kernel
from protonet.kernels.simd import LANES, VECTOR_BYTES, copy_part, store_part
from protonet.kernels.simd_depthwise import DOTS, dots, every_second, taps_4, taps_8


@kernel("inline")
def _copy_row(source: int, target: int, count: int) -> None:
    """Copy ``count`` values, and write zeros after them up to a whole vector."""
    for i in range(0, count, LANES):
        copy_part(source + i * 4, count - i, target + i * 4)


@kernel("inline")
def _stage(
    image: Array, at: int, H: int, W: int, staged: Array, phases: Ints, pitch: int,
    down: int, across: int,
) -> None:  # fmt: skip
    """Split the plane that begins at image[at] into phases.

    What lies outside the image is zero in ``staged`` before the first call and stays so: vectors
    write zeros past the end of a row, and the next row is written after it.
    """
    for f in range(phases.shape[0]):
        top, left, to = phases[f, ROW], phases[f, COLUMN], phases[f, AT]
        # Rows and columns first to last - 1 are in the image.
        first_row, first = max(0, (down - 1 - top) // down), max(0, (across - 1 - left) // across)
        last_row = min(phases[f, ROWS], (H - 1 - top) // down + 1)
        last = min(phases[f, COLUMNS], (W - 1 - left) // across + 1)
        for r in range(first_row, last_row):
            source, start = at + (top + r * down) * W + left, to + r * pitch
            if across == 1:
                _copy_row(
                    image.ctypes.data + (source + first) * 4,
                    staged.ctypes.data + (start + first) * 4, last - first,
                )  # fmt: skip
            else:
                i = first
                if across == 2:
                    while i + LANES < last:
                        every_second(
                            image.ctypes.data + (source + i * 2) * 4,
                            staged.ctypes.data + (start + i) * 4,
                        )  # fmt: skip
                        i += LANES
                for j in range(i, last):
                    staged[start + j] = image[source + j * across]


@kernel("inline")
def _finish(values: Array, factor: Array, shift: Array, c: int, slope: float) -> None:
    """Do to the sums of channel c what finish.Finish says; no factor where the array is empty."""
    scales = factor.size > 0
    if scales or slope != 1:
        scale, offset = np.float32(1), np.float32(0)
        if scales:
            scale, offset = factor[c], shift[c]
        for i in range(values.size):
            v = values[i] * scale + offset
            values[i] = v if v > 0 else slope * v


@kernel(
    "void(float32[:,:,:,::1], float32[:,::1], float32[:,::1], float32[::1], float32[::1],"
    " float32, float32[:,:,:,::1], float32[:,::1],"
    " float32[:,::1], int64[:,::1], int64[:,::1], int64[:,::1], int64, int64, int64, int64, int64,"
    " boolean, int64, int64, int64)",
    shared=True,
)
def convolve(
    source: Array, w: Array, start: Array, factor: Array, shift: Array, slope: float,
    target: Array, staged_of: Array, results_of: Array,
    sources: Ints, targets: Ints, taps: Ints, pitch: int,
    down: int, across: int, target_down: int, target_across: int, backward: bool,
    lo: int, hi: int, worker: int,
) -> None:  # fmt: skip
    """Write planes lo to hi - 1 of the target, (N * channels of the target).

    Args:
        w: (O, taps).
        start: (channels of the target, LANES): what the sums begin with.
        factor, shift, slope: (channels of the target,) how they end, forward: see :func:`_finish`.
        staged_of, results_of: scratch memory of each worker.
        backward: the source is dy. Each source channel then has one target channel, each target
            channel has ``multiple`` source channels; forward it is the other way round.
    """
    channels, inputs = target.shape[1], source.shape[1]
    H, W, TW = source.shape[2], source.shape[3], target.shape[3]
    flat, out = source.reshape(-1), target.reshape(-1)
    staged, results = staged_of[worker], results_of[worker]
    staged[:] = 0
    multiple = inputs // channels if backward else channels // inputs
    for p in range(lo, hi):
        n, c = p // channels, p % channels
        first = c * multiple if backward else c // multiple
        for j in range(multiple if backward else 1):
            if backward or p == lo or c % multiple == 0:
                _stage(
                    flat, (n * inputs + first + j) * H * W, H, W, staged, sources, pitch, down,
                    across,
                )  # fmt: skip
            factors = w.ctypes.data + (first + j if backward else c) * w.shape[1] * 4
            for f in range(targets.shape[0]):
                rows, columns = targets[f, ROWS], targets[f, COLUMNS]
                begin = start.ctypes.data + c * VECTOR_BYTES
                table, i = taps.ctypes.data + targets[f, FIRST_TAP] * 16, 0
                while i < rows * pitch:
                    seen, made = staged.ctypes.data + i * 4, results.ctypes.data + i * 4
                    if i + 4 * LANES < rows * pitch:
                        taps_8(factors, seen, table, targets[f, TAPS], begin, made)
                        i += 8 * LANES
                    else:
                        taps_4(factors, seen, table, targets[f, TAPS], begin, made)
                        i += 4 * LANES
                _finish(results[: rows * pitch], factor, shift, c, slope)
                for r in range(rows):
                    to = p * target.shape[2] * TW + targets[f, COLUMN]
                    to += (targets[f, ROW] + r * target_down) * TW
                    if target_across == 1 and j == 0:
                        at, place = results.ctypes.data + r * pitch * 4, out.ctypes.data + to * 4
                        for i in range(0, columns, LANES):
                            store_part(at + i * 4, columns - i, place + i * 4)
                    else:
                        for i in range(columns):
                            old = out[to + i * target_across] if j > 0 else 0
                            out[to + i * target_across] = results[r * pitch + i] + old


@kernel(
    "void(float32[:,:,:,::1], float32[:,:,:,::1], float32[:,::1], float32[:,::1], float32[:,::1],"
    " float32[:,::1], int64[:,::1], int64[::1], int64, int64, int64, int64, int64, int64)",
    shared=True,
)
def add_weights(
    x: Array, dy: Array, dw: Array, staged_of: Array, flat_of: Array, sums_of: Array,
    sources: Ints, places: Ints, pitch: int, down: int, across: int,
    lo: int, hi: int, worker: int,
) -> None:  # fmt: skip
    """Add to dw (O, taps) for output channels lo to hi - 1.

    Args:
        flat_of: scratch memory of each worker for a plane of dy with rows of ``pitch`` values.
        sums_of: of each worker for DOTS vectors.
    """
    staged, flat_dy, sums = staged_of[worker], flat_of[worker], sums_of[worker]
    O, C, H, W = dy.shape[1], x.shape[1], x.shape[2], x.shape[3]  # noqa: E741
    OH, OW = dy.shape[2], dy.shape[3]
    images = x.reshape(-1)
    pairs = (OH * pitch + 2 * LANES - 1) // (2 * LANES)
    staged[:] = 0
    flat_dy[:] = 0
    for o in range(lo, hi):
        for n in range(x.shape[0]):
            at = (n * C + o // (O // C)) * H * W
            _stage(images, at, H, W, staged, sources, pitch, down, across)
            for y in range(OH):
                source = dy.ctypes.data + ((n * O + o) * OH + y) * OW * 4
                _copy_row(source, flat_dy.ctypes.data + y * pitch * 4, OW)
            for first in range(0, dw.shape[1], DOTS):
                dots(
                    staged.ctypes.data, places.ctypes.data + first * 8, flat_dy.ctypes.data, pairs,
                    sums.ctypes.data,
                )  # fmt: skip
                for t in range(first, min(first + DOTS, dw.shape[1])):
                    total = dw[o, t] * 0
                    for i in range((t - first) * LANES, (t - first + 1) * LANES):
                        total += sums[i]
                    dw[o, t] += total
