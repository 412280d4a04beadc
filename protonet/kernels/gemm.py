"""Products of float32 matrices of any size."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from protonet.blob import Array
from protonet.kernels import cpu, scratch, threads
from protonet.kernels.correlation_plan import Ints
from protonet.kernels.jit import Kernel
from protonet.kernels.weight_gradient_plan import round_up

# Rows and columns of vectors of the tiles that there are, by number of registers.
TILES = {32: ((8, 3), (14, 2)), 16: ((4, 3),)}
# How long the same work was seen to take in them, and where steps of A are laid straight.
PACE = {(8, 3): (1.0, 1.1), (14, 2): (1.05, 1.0), (4, 3): (1.0, 1.0)}
NARROW = (14, 1)  # the same where C is no wider than a vector
ITEMS = 32  # work for threads should come in at least so many parts
ITEM_WORK = 768 * 1024  # multiply-adds below which a part is not worth a thread
THIN_WORK = 128 * 1024  # the same where memory sets the pace
BY_ROWS = 4  # rows of C for each of B from which on threads share out rows
COPY_A = 64 * 1024  # values from which on it may pay to lay a transposed A straight
# And its rows, by number of registers: shorter steps from k to k were seen not to fight for a place
# in the cache.
COPY_ROWS = {32: 2048, 16: 512}
FAR_STEPS = 256  # of a transposed A, from which on a tile's are laid straight with 32 registers
LARGE_B = 256 * 1024  # values from which on reading it counts
FEW_ROWS, FEW_ROWS_TRANSPOSED = 7, 3  # of A, up to which B had better be read as it lies
# Rows of B that are read at once where they lie, by number of registers and of vectors of A's rows.
SIDE_BY_SIDE = {32: {1: 10, 2: 10}, 16: {1: 7, 2: 5}}


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
    M, N = c.shape
    K = a.shape[0] if trans_a else a.shape[1]
    if not M or not N:
        return
    if N == 1 and M > 1 and bias is None:  # a column is a row of the transposed product
        multiply(b.reshape(1, K), a, c.reshape(1, M), False, not trans_a, keep)
        return
    if trans_a and (M <= FEW_ROWS or _had_better_be_copied(M, N, a.size)):
        a, trans_a = _transposed(a), False
    if M <= (FEW_ROWS_TRANSPOSED if trans_b else FEW_ROWS):
        from protonet.kernels import thin

        added = np.zeros(N, np.float32) if bias is None else bias
        times = thin.times_transposed if trans_b else thin.times
        threads.share(
            times, N, a, b, c, added, keep,
            grain=max(64, -(-THIN_WORK // max(1, M * K)) // 64 * 64),
            whole=not trans_b,  # a part is of all rows of b: they had better be long
        )  # fmt: skip
        return
    if trans_b and not trans_a and N >= NARROW[0] and b.size >= LARGE_B:
        vectors = -(-M // cpu.lanes())
        if SIDE_BY_SIDE[cpu.registers()].get(vectors, cpu.ways()) < cpu.ways():
            multiply_side_by_side(a, b, c, keep, bias)
            return
        if vectors == 1 and cpu.registers() == 32:
            multiply_by_lanes(a, b, c, keep, bias)
            return
    _multiply_panels(a, b, c, trans_a, trans_b, keep, bias)


def _had_better_be_copied(M: int, N: int, values: int) -> bool:
    """Return whether a transposed A of so many values is laid straight first."""
    return values > COPY_A and N > M // 8 and M >= COPY_ROWS[cpu.registers()]


def _transposed(a: Array, room: int = 0) -> Array:
    """Return a copy of the transposed matrix, with ``room`` values of any kind behind it."""
    from protonet.kernels import product

    result = np.empty(a.size + room, np.float32)[: a.size].reshape(a.shape[::-1])
    squares = product.LANES
    threads.share(
        product.transpose_matrix,
        a.shape[0],
        a,
        result,
        grain=max(squares, COPY_A // max(1, a.shape[1]) // squares * squares),
    )
    return result


def multiply_by_lanes(a: Array, b: Array, c: Array, keep: bool, bias: Array | None) -> None:
    """Write a b^T, where a row of a is a lane of vectors: b is read once, as it lies."""
    from protonet.kernels import thin

    _share_rows_of_b(thin.times_by_lanes, thin.ROWS, thin.SCRATCH, 1, a, b, c, keep, bias)


def multiply_side_by_side(a: Array, b: Array, c: Array, keep: bool, bias: Array | None) -> None:
    """As multiply_by_lanes; a row of a is a lane of one vector, or of two.

    Rows of b as long as some pages all want the same places of the first cache.
    """
    from protonet.kernels import thin

    vectors = -(-len(a) // cpu.lanes())
    rows = SIDE_BY_SIDE[cpu.registers()][vectors]
    room = (1 + rows) * vectors * cpu.lanes()
    _share_rows_of_b(thin.SIDE_BY_SIDE[rows, vectors], rows, room, vectors, a, b, c, keep, bias)


def _share_rows_of_b(
    kernel: Kernel, rows: int, room: int, vectors: int, a: Array, b: Array, c: Array, keep: bool,
    bias: Array | None,
) -> None:  # fmt: skip
    """Have threads share out blocks of so many rows of b; they need so much scratch memory."""
    (M, K), N = a.shape, len(b)
    threads.share(
        kernel, -(-N // rows),
        _transposed(a, room=vectors * cpu.lanes()).base, b, c,
        np.zeros(N, np.float32) if bias is None else bias, keep,
        scratch.each("packed", room), scratch.each("runs", 32).view(np.int64),
        grain=max(1, THIN_WORK // max(1, rows * M * K)),
    )  # fmt: skip


def _tile(M: int, N: int, far: bool) -> tuple[int, int]:
    """Return rows and columns of vectors of the tile to use for a C of this size.

    Args:
        far: whether rows of a transposed A are laid straight.
    """

    def time(tile: tuple[int, int]) -> tuple[bool, float]:
        rows, width = tile[0], tile[1] * cpu.lanes()
        # fewer rows than a tile's have to be copied
        return M < rows, round_up(M, rows) * round_up(N, width) * PACE[tile][far]

    return NARROW if cpu.lanes() >= N else min(TILES[cpu.registers()], key=time)


class _Panels(NamedTuple):
    """How a product of one shape is cut up."""

    kernel: Kernel
    numbers: Ints
    zeros: Array  # as many as all panels are wide, and one more panel
    packed: int
    edge: int
    padded: int  # rows of A that a tile reads, where A has fewer: it must be copied; else 0
    items: int
    grain: int


@functools.lru_cache(maxsize=512)
def _panels(M: int, N: int, K: int, trans_a: bool, trans_b: bool, keep: bool) -> _Panels:
    from protonet.kernels import product

    far = trans_a and K >= FAR_STEPS and M >= NARROW[0] and cpu.registers() == 32
    rows, columns = tile = _tile(M, N, far)
    width = columns * cpu.lanes()
    panels, blocks = -(-N // width), -(-M // rows)
    work = panels * width * M * K
    wanted = max(1, min(ITEMS, work // ITEM_WORK))
    # Of a large C each thread takes rows, which lie together, and packs all of B, which is small.
    # So it does where the rows that it takes are laid straight, and are more than B is.
    by_rows = M >= BY_ROWS * K or (far and M >= N)
    chunk = rows * -(-blocks // min(blocks, wanted if by_rows else -(-wanted // panels)))
    items = -(-M // chunk) * (1 if by_rows else panels)
    a_strides, b_row = (1, M) if trans_a and rows <= M else (K, 1), K if trans_b else N
    return _Panels(
        product.VARIANTS[TILES[cpu.registers()][0] if tile == NARROW else tile],
        np.array(
            (
                M,
                N,
                K,
                *a_strides,
                b_row,
                trans_b,
                keep,
                panels * width,
                chunk,
                cpu.lanes() >= N,
                by_rows,
                rows * width if far else 0,
            ),
            np.int64,
        ),
        np.zeros((panels + 1) * width, np.float32),
        min(panels, product.GROUP) * product.STRETCH * width,
        rows * width + (product.STRETCH * round_up(rows, cpu.lanes()) if far else 0),
        0 if rows <= M else rows,
        items,
        max(1, ITEM_WORK * items // max(1, work)),
    )


def _multiply_panels(
    a: Array,
    b: Array,
    c: Array,
    trans_a: bool,
    trans_b: bool,
    keep: bool,
    bias: Array | None,
) -> None:
    M, N = c.shape
    K = a.shape[0] if trans_a else a.shape[1]
    plan = _panels(M, N, K, trans_a, trans_b, keep)
    if plan.padded:
        padded = np.zeros((plan.padded, K), np.float32)
        padded[:M] = a.T if trans_a else a
        a = padded
    added = plan.zeros
    if bias is not None:
        added = added.copy()
        added[:N] = bias
    threads.share(
        plan.kernel,
        plan.items,
        a.reshape(-1),
        b.reshape(-1),
        c.reshape(-1),
        added,
        scratch.each("packed", plan.packed),
        scratch.each("edge", plan.edge),
        scratch.each("runs", 32).view(np.int64),
        plan.numbers,
        grain=plan.grain,
        whole=True,  # the more panels a call has, the more often what it reads of a is in the cache
    )
