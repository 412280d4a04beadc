"""Products of float32 matrices of any size."""

from __future__ import annotations

import numpy as np

from protonet.blob import Array
from protonet.kernels import cpu, scratch, threads

TILES = {32: (8, 3), 16: (5, 2)}  # rows, columns of vectors; by number of registers
ITEMS = 8  # work for threads should come in about so many parts
ITEM_WORK = 64 * 1024  # multiply-adds below which a part is not worth a thread
COPY_A = 64 * 1024  # values from which on it pays to lay a transposed A straight


def gemm(
    a: Array,
    b: Array,
    c: Array,
    trans_a: bool = False,
    trans_b: bool = False,
    alpha: float = 1.0,
    beta: float = 0.0,
) -> None:
    """Write ``c = alpha * op(a) op(b) + beta * c``. With beta 0, what c held does not matter.

    Args:
        a: (M, K), or (K, M) with trans_a.
        b: (K, N), or (N, K) with trans_b.
        c: (M, N), shares no memory with a and b. All three C-contiguous.
    """
    if beta not in (0.0, 1.0):
        c *= np.float32(beta)
    if alpha != 1.0:
        a = a * np.float32(alpha)
    multiply(a, b, c, trans_a, trans_b, keep=beta != 0.0)


def multiply(
    a: Array,
    b: Array,
    c: Array,
    trans_a: bool = False,
    trans_b: bool = False,
    keep: bool = False,
    bias: Array | None = None,
) -> None:
    """Write ``c = op(a) op(b)``, plus what c holds with ``keep``, or plus bias (N,).

    Args: as :func:`gemm`.
    """
    from protonet.kernels import product

    M, N = c.shape
    K = a.shape[0] if trans_a else a.shape[1]
    if not M or not N:
        return
    rows, columns = TILES[cpu.registers()]
    width = columns * cpu.lanes()
    if M < rows:
        padded = np.zeros((rows, K), np.float32)
        padded[:M] = a.T if trans_a else a
        a, trans_a = padded, False
    elif trans_a and a.size > COPY_A and N > M // 8:
        a, trans_a = np.ascontiguousarray(a.T), False
    panels, blocks = -(-N // width), -(-M // rows)
    chunk = rows * -(-blocks // max(1, min(blocks, -(-ITEMS // panels))))
    # The bias, zeros up to the end of the last panel, and as many as a panel is wide.
    added = np.zeros((panels + 1) * width, np.float32)
    if bias is not None:
        added[:N] = bias
    numbers = np.array(
        (
            *(M, N, K),
            *((1, M) if trans_a else (K, 1)),
            *(K if trans_b else N, trans_b),
            *(keep, panels * width, chunk),
        ),
        np.int64,
    )
    kernel = product.VARIANTS[rows, columns]
    flat_a, flat_b, flat_c = a.reshape(-1), b.reshape(-1), c.reshape(-1)
    room = min(panels, product.GROUP) * product.STRETCH * width

    def task(lo: int, hi: int, worker: int) -> None:
        packed, edge = scratch.get("packed", room), scratch.get("edge", rows * width)
        run = np.zeros(3, np.int64)
        kernel(flat_a, flat_b, flat_c, added, packed, edge, run, numbers, lo, hi)

    items = panels * -(-M // chunk)
    threads.run(items, task, max(1, ITEM_WORK * items // max(1, M * N * K)))
