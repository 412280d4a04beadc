"""The kernels of a depthwise convolution: see depthwise_plan.py. Imports Numba."""

from __future__ import annotations

import numpy as np

from protonet.blob import Array
from protonet.kernels.correlation_plan import Ints
from protonet.kernels.depthwise_plan import AT, COLUMN, COLUMNS, FIRST_RUN, ROW, ROWS, RUNS
from protonet.kernels.jit import kernel
from protonet.kernels.simd import LANES, VECTOR_BYTES, copy_part, store_part, tile_1x4

CHUNK = 4 * LANES  # values of a tile


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
                for i in range(first, last, LANES):
                    copy_part(
                        image.ctypes.data + (source + i) * 4, last - i,
                        staged.ctypes.data + (start + i) * 4,
                    )  # fmt: skip
            else:
                for i in range(first, last):
                    staged[start + i] = image[source + i * across]


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
    sources: Ints, targets: Ints, runs: Ints, pitch: int,
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
                for i in range(0, rows * pitch, CHUNK):
                    tile_1x4(
                        factors, 0, 4, staged.ctypes.data + i * 4, VECTOR_BYTES, 4,
                        runs.ctypes.data + targets[f, FIRST_RUN] * 24, targets[f, RUNS],
                        begin, 0, 0, results.ctypes.data + i * 4, 0, VECTOR_BYTES,
                    )  # fmt: skip
                _finish(results[: rows * pitch], factor, shift, c, slope)
                for r in range(rows):
                    to = p * target.shape[2] * TW + targets[f, COLUMN]
                    to += (targets[f, ROW] + r * target_down) * TW
                    if target_across == 1 and j == 0:
                        for i in range(0, columns, LANES):
                            store_part(
                                results.ctypes.data + (r * pitch + i) * 4, columns - i,
                                out.ctypes.data + (to + i) * 4,
                            )  # fmt: skip
                    else:
                        for i in range(columns):
                            old = out[to + i * target_across] if j > 0 else 0
                            out[to + i * target_across] = results[r * pitch + i] + old


@kernel(
    "void(float32[:,:,:,::1], float32[:,:,:,::1], float32[:,::1], float32[:,::1], float32[:,::1],"
    " int64[:,::1], int64[::1], int64, int64, int64, int64, int64, int64)",
    shared=True,
)
def add_weights(
    x: Array, dy: Array, dw: Array, staged_of: Array, flat_of: Array,
    sources: Ints, places: Ints, pitch: int, down: int, across: int,
    lo: int, hi: int, worker: int,
) -> None:  # fmt: skip
    """Add to dw (O, taps) for output channels lo to hi - 1.

    flat_of: scratch memory of each worker for a plane of dy with rows of ``pitch`` values.
    """
    staged, flat_dy = staged_of[worker], flat_of[worker]
    O, C, H, W = dy.shape[1], x.shape[1], x.shape[2], x.shape[3]  # noqa: E741
    OH, OW = dy.shape[2], dy.shape[3]
    images = x.reshape(-1)
    count = OH * pitch
    staged[:] = 0
    flat_dy[:] = 0
    for o in range(lo, hi):
        for n in range(x.shape[0]):
            at = (n * C + o // (O // C)) * H * W
            _stage(images, at, H, W, staged, sources, pitch, down, across)
            for y in range(OH):
                source = dy.ctypes.data + ((n * O + o) * OH + y) * OW * 4
                for i in range(0, OW, LANES):
                    to = flat_dy.ctypes.data + (y * pitch + i) * 4
                    copy_part(source + i * 4, OW - i, to)
            for t in range(places.size):
                seen = staged[places[t] : places[t] + count]
                total = dw[o, t] * 0
                for i in range(count):
                    total += seen[i] * flat_dy[i]
                dw[o, t] += total
