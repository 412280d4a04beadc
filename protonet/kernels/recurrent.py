"""Recurrent layers' steps: h of one step goes into the next. See recurrence.py for how."""

from __future__ import annotations

import numpy as np

from protonet.blob import Array
from protonet.kernels import cpu, scratch, threads
from protonet.kernels.correlation_plan import Ints
from protonet.kernels.gemm import TILES
from protonet.kernels.jit import Kernel
from protonet.kernels.kept import Kept

FEW = 3  # streams, up to which they had better be done one by one
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
    T, N, H = h.shape
    kernel, rows, columns = _kernels(cell, N)[0], *_tile(N)
    packed, width = _packed(w, True, columns, kept, version)

    blocks, grain = -(-N // rows), _grain(w, T * rows)
    count = blocks * rows  # that a worker may have to do; what it does not is never touched
    threads.share(
        kernel, blocks, packed, z, cont, first, cells, h, h_before,
        scratch.each("rows", count * H), scratch.each("sums", count * width), _runs(), width,
        grain=grain,
    )  # fmt: skip


def backward(
    cell: str, w: Array, z: Array, cont: Array, cells: Array, h: Array, dh: Array, dz: Array
) -> None:
    """Write dz (T, N, G·H) from dh (T, N, H); the rest as :func:`forward` left it."""
    T, N, H = h.shape
    kernel, rows, columns = _kernels(cell, N)[1], *_tile(N)
    packed, width = _packed(w, False, columns, Kept(), None)
    dc = np.zeros((N, H), np.float32)

    blocks, grain = -(-N // rows), _grain(w, T * rows)
    count = blocks * rows  # that a worker may have to do; what it does not is never touched
    threads.share(
        kernel, blocks, packed, z, cont, cells, h, dh, dz, dc,
        scratch.each("rows", count * len(w)), scratch.each("sums", count * width), _runs(), width,
        grain=grain,
    )  # fmt: skip


def _tile(streams: int) -> tuple[int, int]:
    """Return rows and columns of vectors of the tile to use."""
    return (1, 4) if streams <= FEW else TILES[cpu.registers()]


def _kernels(cell: str, streams: int) -> tuple[Kernel, Kernel]:
    from protonet.kernels import recurrence

    rows, columns = _tile(streams)
    return recurrence.VARIANTS[cell, rows, columns]


def _packed(
    w: Array, transposed: bool, columns: int, kept: Kept, version: int | None
) -> tuple[Array, int]:
    """Return w in panels, and how wide all of them are."""
    from protonet.kernels import recurrence

    depth, wide = w.shape[::-1] if transposed else w.shape
    width = columns * cpu.lanes()
    panels = -(-wide // width)
    packed, there = kept.take(version, panels * width * depth)
    if not there:
        threads.share(
            recurrence.pack,
            panels,
            w,
            transposed,
            width,
            packed,
            grain=max(1, BLOCK_WORK // (width * depth)),
        )
    return packed, panels * width


def _runs() -> Ints:
    """Return for each worker the table of one run of steps for a tile, and zeros behind it."""
    return np.zeros((threads.count(), 3 + cpu.lanes()), np.int64)


def _grain(w: Array, rows: int) -> int:
    """So many blocks of streams that a part is worth a thread, if each does so many rows."""
    return max(1, BLOCK_WORK // max(1, w.size * rows))
