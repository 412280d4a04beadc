"""Recurrent layers' steps: h of one step goes into the next.

See recurrence.py for how threads share out many streams, recurrence_units.py for few.
"""

from __future__ import annotations

import numpy as np

from protonet.blob import Array
from protonet.kernels import cpu, scratch, threads
from protonet.kernels.correlation_plan import Ints
from protonet.kernels.jit import Kernel
from protonet.kernels.kept import Kept

TILES = {32: (8, 3), 16: (4, 3)}  # rows, columns of vectors; by number of registers
FEW = 15  # streams, up to which threads share out units, forward
FEW_BACK = {32: 24, 16: 15}  # and backward, by number of registers
BLOCK_WORK = 64 * 1024  # multiply-adds below which a part is not worth a thread


def forward(
    cell: str, w: Array, z: Array, cont: Array, first: Array, cells: Array, h: Array,
    h_before: Array, kept: Kept, version: int | None = None,
) -> None:  # fmt: skip
    """Go through T steps of N streams.

    Args:
        cell: "lstm" (G = 4) or "rnn" (G = 1).
        w: (G·H, H).
        z: (T, N, G·H) what x gives to the gates; the gates i, f, o, g come out with "lstm".
        cont: (T, N), what h and the cells before a step are multiplied by.
        first: (N, H) h before the first step.
        cells: (T + 1, N, H): those before the first step are read, the others written; with "rnn"
            (T + 1, N, 0).
        h: (T, N, H), written.
        h_before: (T, N, H) what w was multiplied by, written.
        kept: where w may be kept, rearranged, as long as its version stays the same.
    """
    N, H = h.shape[1:]
    if N <= FEW:
        h_before[0] = cont[0, :, None] * first
        packed, panels = _packed(w, True, _COLUMNS, len(w) // H, kept, version)
        _share_units(_unit_kernels(cell, N)[0], packed, panels, z, cont, cells, h, h_before)
        return
    columns = TILES[cpu.registers()][1]
    packed, panels = _packed(w, True, columns, 1, kept, version)
    _share_streams(
        _stream_kernels(cell)[0], w, panels * columns * cpu.lanes(), H,
        packed, z, cont, first, cells, h, h_before,
    )  # fmt: skip


def backward(
    cell: str, w: Array, z: Array, cont: Array, cells: Array, h: Array, dh: Array, dz: Array
) -> None:
    """Write dz (T, N, G·H) from dh (T, N, H); the rest as :func:`forward` left it."""
    N, H = h.shape[1:]
    dc = np.zeros((N, H), np.float32)
    if N <= FEW_BACK[cpu.registers()]:
        packed, panels = _packed(w, False, _COLUMNS, 1, Kept(), None)
        _share_units(_unit_kernels(cell, N)[1], packed, panels, z, cont, cells, h, dh, dz, dc)
        return
    columns = TILES[cpu.registers()][1]
    packed, panels = _packed(w, False, columns, 1, Kept(), None)
    _share_streams(
        _stream_kernels(cell)[1], w, panels * columns * cpu.lanes(), len(w),
        packed, z, cont, cells, h, dh, dz, dc,
    )  # fmt: skip


_COLUMNS = 4  # of vectors in a block of units


def _unit_kernels(cell: str, streams: int) -> tuple[Kernel, Kernel]:
    from protonet.kernels import recurrence_units

    return recurrence_units.VARIANTS[cell, min(streams, 4 if cpu.registers() == 32 else 2)]


def _stream_kernels(cell: str) -> tuple[Kernel, Kernel]:
    from protonet.kernels import recurrence

    return recurrence.VARIANTS[(cell, *TILES[cpu.registers()])]


def _share_units(kernel: Kernel, packed: Array, panels: int, z: Array, *arrays: Array) -> None:
    """Go through the steps; threads share out the panels of each."""
    T, N = z.shape[:2]
    threads.share_in_turns(
        kernel, T, panels, packed, z, *arrays,
        scratch.each("sums", N * panels * _COLUMNS * cpu.lanes()), _runs(),
        grain=max(1, BLOCK_WORK * panels // max(1, N * packed.size)),
    )  # fmt: skip


def _share_streams(
    kernel: Kernel, w: Array, width: int, depth: int, packed: Array, z: Array, *arrays: Array
) -> None:
    """Have threads share out blocks of streams, and go through all steps of each.

    Args:
        width, depth: of the packed weights.
    """
    T, N = z.shape[:2]
    rows = TILES[cpu.registers()][0]
    blocks = -(-N // rows)
    count = blocks * rows  # that a worker may have to do; what it does not is never touched
    threads.share(
        kernel, blocks, packed, z, *arrays,
        scratch.each("rows", count * depth), scratch.each("sums", count * width), _runs(), width,
        grain=max(1, BLOCK_WORK // max(1, w.size * T * rows)),
        whole=True,
    )  # fmt: skip


def _packed(
    w: Array, transposed: bool, columns: int, gates: int, kept: Kept, version: int | None
) -> tuple[Array, int]:
    """Return w, or the transposed of it, in panels of so many vectors; and how many panels.

    The vectors of a panel are of so many gates, or side by side if that is 1.
    """
    from protonet.kernels import recurrence

    depth, wide = w.shape[::-1] if transposed else w.shape
    size, lanes = wide // gates, cpu.lanes()
    across, spread = (lanes, size) if gates > 1 else (columns * lanes, lanes)
    panels = -(-size // across)
    block = columns * lanes * depth
    packed, there = kept.take(version, panels * block)
    if not there:
        threads.share(
            recurrence.pack, panels, w, transposed, columns, across, spread, size, packed,
            grain=max(1, BLOCK_WORK // block),
        )  # fmt: skip
    return packed, panels


def _runs() -> Ints:
    """Return for each worker the table of one run of steps for a tile, and zeros behind it."""
    return np.zeros((threads.count(), 3 + cpu.lanes()), np.int64)
