"""Vector code that LLVM does not find by itself, written as LLVM IR: Numba intrinsics.

Numba inlines an intrinsic into the kernel that calls it. Addresses and strides are int64, in
bytes; values are float32; a *vector* is LANES of them, as wide as the processor's registers. Loads
and stores need no alignment.

- ``tile_10x2`` and its like: a small product of matrices held in registers, which is
  where convolution, inner product and gemm spend their time.
- :func:`transpose`: a square of LANES x LANES values, or a part of one.

Multiply-adds are ``fmul`` and ``fadd`` marked ``contract``: one instruction where the processor
has it. (LLVM's own ``fma`` would be a slow library call where it has not.)

Intrinsics are module-level names since Numba's cache cannot find a kernel again that closes over
one made in a function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic as _numba_intrinsic

from protonet.kernels import cpu

LANES = cpu.lanes()
VECTOR_BYTES = 4 * LANES
LINE_BYTES = 64  # of a line of the caches

_FLOAT, _BYTE, INT32, _INT64 = ir.FloatType(), ir.IntType(8), ir.IntType(32), ir.IntType(64)
VECTOR = ir.VectorType(_FLOAT, LANES)
_MASK = ir.VectorType(ir.IntType(1), LANES)
ZEROS = ir.Constant(VECTOR, [0.0] * LANES)
_CONTRACT = ("contract",)

Value = Any  # of llvmlite's IR
intrinsic: Any = _numba_intrinsic


def number(value: int) -> Value:
    return ir.Constant(_INT64, value)


class Code:
    """Writes IR in terms of vectors and addresses."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def pointer(self, address: Value) -> Value:
        return self.builder.inttoptr(address, ir.PointerType())

    def offset(self, pointer: Value, amount: Value | int) -> Value:
        """Return the pointer so many bytes further on."""
        amount = number(amount) if isinstance(amount, int) else amount
        return self.builder.gep(pointer, [amount], source_etype=_BYTE)

    def multiples(self, stride: Value, count: int) -> list[Value]:
        """Return 0, stride, 2 stride, ..."""
        return [self.builder.mul(stride, number(i)) for i in range(count)]

    def load_int(self, pointer: Value) -> Value:
        return self.builder.load(pointer, typ=_INT64, align=8)

    def load(self, pointer: Value) -> Value:
        return self.builder.load(pointer, typ=VECTOR, align=4)

    def store(self, vector: Value, pointer: Value) -> None:
        self.builder.store(vector, pointer, align=4)

    def load_splat(self, pointer: Value) -> Value:
        """Load one float32 into all lanes."""
        return self.splat(self.builder.load(pointer, typ=_FLOAT, align=4))

    def splat(self, scalar: Value) -> Value:
        kind = ir.VectorType(scalar.type, LANES)
        nothing = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(nothing, scalar, ir.Constant(INT32, 0))
        return self.shuffle(first, nothing, [0] * LANES)

    def shuffle(self, a: Value, b: Value, lanes: Sequence[int]) -> Value:
        """Pick lanes of a (0 ..) and b (LANES ..)."""
        mask = ir.Constant(ir.VectorType(INT32, len(lanes)), list(lanes))
        return self.builder.shuffle_vector(a, b, mask)

    def multiply_add(self, a: Value, b: Value, c: Value) -> Value:
        return self.builder.fadd(self.builder.fmul(a, b, flags=_CONTRACT), c, flags=_CONTRACT)

    def lanes_below(self, count: Value) -> Value:
        """Return a mask of the lanes 0 .. count - 1."""
        numbers = ir.Constant(ir.VectorType(INT32, LANES), list(range(LANES)))
        return self.builder.icmp_signed("<", numbers, self.splat(self.builder.trunc(count, INT32)))

    def if_whole(self, count: Value) -> Any:
        """Return a context for what is done with all LANES lanes, and else with only ``count``."""
        return self.builder.if_else(self.builder.icmp_signed(">=", count, number(LANES)))

    def load_masked(self, pointer: Value, mask: Value) -> Value:
        """Load the lanes of the mask; the others are zero, and their memory is not touched."""
        kind = ir.FunctionType(VECTOR, [ir.PointerType(), INT32, _MASK, VECTOR])
        name = f"llvm.masked.load.v{LANES}f32.p0"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, [pointer, ir.Constant(INT32, 4), mask, ZEROS])

    def store_part(self, vector: Value, pointer: Value, count: Value) -> None:
        """Store the first ``count`` lanes: none if it is below 1, all if it is above LANES."""
        if cpu.has_masks():
            self._store_masked(vector, pointer, count)
            return
        with self.if_whole(count) as (whole, part):
            with whole:
                self.store(vector, pointer)
            with part, self.builder.if_then(self.builder.icmp_signed(">", count, number(0))):
                self._store_masked(vector, pointer, count)

    def _store_masked(self, vector: Value, pointer: Value, count: Value) -> None:
        kind = ir.FunctionType(ir.VoidType(), [VECTOR, ir.PointerType(), INT32, _MASK])
        name = f"llvm.masked.store.v{LANES}f32.p0"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        mask = self.lanes_below(count)
        self.builder.call(function, [vector, pointer, ir.Constant(INT32, 4), mask])


class Loop:
    """``for i in range(n)`` with values carried from one round to the next; n may be 0.

    After ``close(new)``, ``carried`` holds the values after the last round.
    """

    def __init__(self, builder: Any, n: Value, carried: Sequence[Value]) -> None:
        self._builder = builder
        self._head = builder.append_basic_block("loop")
        body = builder.append_basic_block("body")
        self._after = builder.append_basic_block("after")
        before = builder.basic_block
        builder.branch(self._head)
        builder.position_at_end(self._head)
        self._counter = builder.phi(_INT64)
        self._counter.add_incoming(number(0), before)
        self.carried = []
        for value in carried:
            phi = builder.phi(value.type)
            phi.add_incoming(value, before)
            self.carried.append(phi)
        builder.cbranch(builder.icmp_signed("<", self._counter, n), body, self._after)
        builder.position_at_end(body)

    def close(self, new: Sequence[Value]) -> None:
        last = self._builder.basic_block
        self._counter.add_incoming(self._builder.add(self._counter, number(1)), last)
        for phi, value in zip(self.carried, new, strict=True):
            phi.add_incoming(value, last)
        self._builder.branch(self._head)
        self._builder.position_at_end(self._after)


def _emit_tile(builder: Any, args: Sequence[Value], rows: int, columns: int) -> None:
    code = Code(builder)
    a, a_row, a_step, b, b_column, b_step, runs, count = args[:8]
    init, init_row, init_column, out, out_row, out_column = args[8:]

    def places(base: Value, row: Value, column: Value) -> list[Value]:
        rows_at = [code.offset(code.pointer(base), m) for m in code.multiples(row, rows)]
        return [code.offset(p, m) for p in rows_at for m in code.multiples(column, columns)]

    sums = [code.load(place) for place in places(init, init_row, init_column)]
    a_rows, b_columns = code.multiples(a_row, rows), code.multiples(b_column, columns)
    over_runs = Loop(builder, count, [code.pointer(runs), *sums])
    run, *sums = over_runs.carried
    a_start = code.offset(code.pointer(a), code.load_int(run))
    b_start = code.offset(code.pointer(b), code.load_int(code.offset(run, 8)))
    along_run = Loop(builder, code.load_int(code.offset(run, 16)), [a_start, b_start, *sums])
    a_now, b_now, *sums = along_run.carried
    vectors = [code.load(code.offset(b_now, c)) for c in b_columns]
    new = []
    for r in range(rows):
        factor = code.load_splat(code.offset(a_now, a_rows[r]))
        for c in range(columns):
            new.append(code.multiply_add(factor, vectors[c], sums[r * columns + c]))
    along_run.close([code.offset(a_now, a_step), code.offset(b_now, b_step), *new])
    over_runs.close([code.offset(run, 24), *along_run.carried[2:]])
    for value, place in zip(over_runs.carried[1:], places(out, out_row, out_column), strict=True):
        code.store(value, place)


_TILE = types.void(*[types.int64] * 14)


def _make_tile(rows: int, columns: int) -> Any:
    @intrinsic
    def tile(
        context: Any, a: Value, a_row: Value, a_step: Value, b: Value, b_column: Value,
        b_step: Value, runs: Value, count: Value, init: Value, init_row: Value,
        init_column: Value, out: Value, out_row: Value, out_column: Value,
    ) -> Any:  # fmt: skip
        """out[r][c] = init[r][c] + sum over runs, over the steps of a run, of a[r] * b[c].

        Each ``out[r][c]``, ``init[r][c]`` and ``b[c]`` is a vector, each ``a[r]`` one float32. Row
        r of a lies ``r * a_row`` further on, column c of b ``c * b_column``.

        runs: address of count triples of int64: where the run starts in a, where in b (offsets),
        and its steps. With each step a moves on by ``a_step``, b by ``b_step``.
        """

        def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
            _emit_tile(builder, args, rows, columns)
            return context.get_dummy_value()

        return _TILE, emit

    return tile


tile_10x2, tile_8x3, tile_14x2, tile_7x3 = (
    _make_tile(rows, columns) for rows, columns in ((10, 2), (8, 3), (14, 2), (7, 3))
)
tile_8x2, tile_5x2, tile_4x3 = _make_tile(8, 2), _make_tile(5, 2), _make_tile(4, 3)
tile_14x1, tile_10x1, tile_8x1 = _make_tile(14, 1), _make_tile(10, 1), _make_tile(8, 1)
tile_7x1, tile_5x1, tile_4x1 = _make_tile(7, 1), _make_tile(5, 1), _make_tile(4, 1)
tile_1x4, tile_2x4, tile_3x4, tile_4x4 = (_make_tile(rows, 4) for rows in range(1, 5))


def _emit_transpose(code: Code, rows: list[Value]) -> list[Value]:
    """Return the columns of a square given by its rows, by swapping ever smaller sub-squares."""
    span = LANES // 2
    while span:
        first = [i for i in range(LANES) if not i & span]
        upper = [i if not i & span else i - span + LANES for i in range(LANES)]
        lower = [i + span if not i & span else i + LANES for i in range(LANES)]
        for i in first:
            a, b = rows[i], rows[i + span]
            rows[i], rows[i + span] = code.shuffle(a, b, upper), code.shuffle(a, b, lower)
        span //= 2
    return rows


@intrinsic
def transpose(
    context: Any, source: Value, source_row: Value, target: Value, target_row: Value
) -> Any:
    """target[c][r] = source[r][c] for a square of LANES x LANES values."""

    def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
        code = Code(builder)
        source, source_row, target, target_row = args
        start = code.pointer(source)
        rows = [code.load(code.offset(start, m)) for m in code.multiples(source_row, LANES)]
        start = code.pointer(target)
        for vector, m in zip(
            _emit_transpose(code, rows), code.multiples(target_row, LANES), strict=True
        ):
            code.store(vector, code.offset(start, m))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), emit


@intrinsic
def transpose_part(
    context: Any, source: Value, source_row: Value, rows: Value, columns: Value, target: Value,
    target_row: Value, lanes: Value,
) -> Any:  # fmt: skip
    """target[c][r] = source[r][c] for r < rows, c < columns, both at most LANES.

    Of each row of target the first ``lanes`` values are written, zero from ``rows`` on. No memory
    but the named is touched.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
        code = Code(builder)
        source, source_row, rows, columns, target, target_row, lanes = args
        loaded, nothing = code.lanes_below(columns), ir.Constant(_MASK, [0] * LANES)

        def inside(i: int, count: Value, there: Value, otherwise: Value) -> Value:
            return builder.select(builder.icmp_signed("<", number(i), count), there, otherwise)

        square, start = [], code.pointer(source)
        for i, m in enumerate(code.multiples(source_row, LANES)):
            # A masked access is slow where no memory is mapped, even if no lane is wanted.
            place = inside(i, rows, code.offset(start, m), start)
            square.append(code.load_masked(place, inside(i, rows, loaded, nothing)))
        start = code.pointer(target)
        multiples = code.multiples(target_row, LANES)
        for i, (vector, m) in enumerate(zip(_emit_transpose(code, square), multiples, strict=True)):
            place = inside(i, columns, code.offset(start, m), start)
            code.store_part(vector, place, inside(i, columns, lanes, number(0)))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7), emit


def _make_copy(copy_fewer: Callable[[Code, Value, Value, Value], None]) -> Any:
    @intrinsic
    def copy(context: Any, source: Value, count: Value, target: Value) -> Any:
        """Write the first LANES values of source or, if count is less, what ``copy_fewer`` does."""

        def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
            code = Code(builder)
            source, count, target = args
            with code.if_whole(count) as (whole, part):
                with whole:
                    code.store(code.load(code.pointer(source)), code.pointer(target))
                with part:
                    copy_fewer(code, code.pointer(source), count, code.pointer(target))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 3), emit

    return copy


def _copy_then_zeros(code: Code, source: Value, count: Value, target: Value) -> None:
    # Where nothing is wanted of the source it may not even be there: slow to find out.
    wanted = code.builder.icmp_signed(">", count, number(0))
    place = code.builder.select(wanted, source, target)
    code.store(code.load_masked(place, code.lanes_below(count)), target)


def _copy_alone(code: Code, source: Value, count: Value, target: Value) -> None:
    with code.builder.if_then(code.builder.icmp_signed(">", count, number(0))):
        code.store_part(code.load_masked(source, code.lanes_below(count)), target, count)


copy_part = _make_copy(_copy_then_zeros)  # zeros stand for what is less than LANES values
move_part = _make_copy(_copy_alone)  # nothing behind them is touched


@intrinsic
def store_part(context: Any, source: Value, count: Value, target: Value) -> Any:
    """Write the first ``count`` values of a vector, all LANES if it is more."""

    def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
        code = Code(builder)
        source, count, target = args
        code.store_part(code.load(code.pointer(source)), code.pointer(target), count)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), emit


def _expect(to_write: int, nearness: int) -> Any:
    """Return an intrinsic that has the cache line at an address brought nearer."""

    @intrinsic
    def expect(context: Any, address: Value) -> Any:
        """Have the cache line at an address brought nearer. Any address will do."""

        def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
            numbers = [ir.Constant(INT32, n) for n in (to_write, nearness, 1)]  # 1: it is data
            kind = ir.FunctionType(ir.VoidType(), [ir.PointerType(), *[INT32] * 3])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            builder.call(function, [Code(builder).pointer(args[0]), *numbers])
            return context.get_dummy_value()

        return types.void(types.int64), emit

    return expect


expect_write = _expect(to_write=1, nearness=3)
expect_read_later = _expect(to_write=0, nearness=2)  # not into the first cache, which is small
