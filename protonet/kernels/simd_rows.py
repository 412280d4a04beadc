"""Vector code of a convolution along rows, written as LLVM IR: Numba intrinsics. See simd.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numba import types

from protonet.kernels.simd import VECTOR_BYTES, Code, Loop, Value, intrinsic, number


def _emit_sums(builder: Any, args: Sequence[Value], rows: int, columns: int) -> None:
    code = Code(builder)
    a, b, table, count, init, out, out_row = (
        arg if i in (3, 6) else code.pointer(arg) for i, arg in enumerate(args)
    )
    starts = [code.load(code.offset(init, r * VECTOR_BYTES)) for r in range(rows)]
    loop = Loop(builder, count, [a, table, *[s for s in starts for _ in range(columns)]])
    factors, tap, *sums = loop.carried
    seen = code.offset(b, code.load_int(tap))
    vectors = [code.load(code.offset(seen, c * VECTOR_BYTES)) for c in range(columns)]
    new = []
    for r in range(rows):
        factor = code.load_splat(code.offset(factors, 4 * r))
        for c in range(columns):
            new.append(code.multiply_add(factor, vectors[c], sums[r * columns + c]))
    loop.close([code.offset(factors, 4 * rows), code.offset(tap, 8), *new])
    for i, total in enumerate(loop.carried[2:]):
        row = code.offset(out, builder.mul(out_row, number(i // columns)))
        code.store(total, code.offset(row, i % columns * VECTOR_BYTES))


def _make_sums(rows: int, columns: int) -> Any:
    @intrinsic
    def sums(
        context: Any, a: Value, b: Value, table: Value, count: Value, init: Value, out: Value,
        out_row: Value,
    ) -> Any:  # fmt: skip
        """out[r][c] = init[r] + sum over i of a[i][r] * b[table[i]][c].

        Each ``out[r][c]``, ``init[r]`` and ``b[..][c]`` is a vector, each ``a[i][r]`` one float32.
        Those of one r, or of one i, lie together.

        table: address of ``count`` int64: offsets from b. out_row: from one r to the next. All in
        bytes; the other arguments are addresses.
        """

        def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
            _emit_sums(builder, args, rows, columns)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 7), emit

    return sums


sums_4x3, sums_5x2 = _make_sums(4, 3), _make_sums(5, 2)
sums_14x2, sums_10x2, sums_8x3, sums_7x3 = (
    _make_sums(*tile) for tile in ((14, 2), (10, 2), (8, 3), (7, 3))
)
