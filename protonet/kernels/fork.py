"""Handing parts of a loop to helper threads without Python: Numba intrinsics, the helpers' loop.

The caller of a shared kernel writes the arguments and the address of the code to the board (see
board.py), lays a part of the loop into each box, some pieces of it, and goes to work as the helpers
do. A thread takes pieces from the front of its own part, half of what is left each time; when there
are none it takes them from the ends of the others' parts. So all end at about the same time, also
where processors are not equally fast or have other things to do, and a thread mostly meets its own
data. Neither side needs the interpreter's lock meanwhile: while a helper is awake that takes less
than a microsecond, where waking a thread takes thirty.

Imports Numba: import it when needed.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic as _numba_intrinsic

from protonet.kernels.board import (
    ARGUMENTS,
    ASLEEP,
    BOX_BYTES,
    BOXES,
    CALLED,
    CODE,
    ENDED,
    IDLE,
    LEFT,
    PARTS,
    PIECES,
    POSTED,
    STATE,
    STEP,
    TAKEN,
    TOTAL,
)
from protonet.kernels.jit import kernel, optimized_by_caller

PATIENCE = 2000  # looks at helpers that are still at work, before others get the processor

_INT64, _VOID = ir.IntType(64), ir.VoidType()
_PART = ir.FunctionType(_VOID, [_INT64] * 4)
_HAS_PAUSE = platform.machine().lower() in ("x86_64", "amd64")

Value = Any  # of llvmlite's IR
intrinsic: Any = _numba_intrinsic


def _int(value: int) -> Value:
    return ir.Constant(_INT64, value)


def _word(builder: Any, base: Value, offset: int) -> Value:
    """Return a pointer to the word so many bytes from an address."""
    return builder.inttoptr(builder.add(base, _int(offset)), _INT64.as_pointer())


def _emit_exchange(builder: Any, box: Value, old: Value, new: Value) -> Value:
    """Write ``new`` into a box where there is ``old``; return whether there was."""
    return builder.extract_value(
        builder.cmpxchg(_word(builder, box, STATE), old, new, "seq_cst"), 1
    )


def _emit_state(builder: Any, box: Value) -> Value:
    return builder.load_atomic(_word(builder, box, STATE), "acquire", 8)


def _box(builder: Any, board: Value, part: Value) -> Value:
    return builder.add(board, builder.add(_int(BOXES), builder.mul(part, _int(BOX_BYTES))))


def _emit_pause(builder: Any) -> None:
    """Spare the other threads of the processor for a moment, where it has a word for that."""
    if _HAS_PAUSE:
        kind = ir.FunctionType(_VOID, [])
        pause = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause")
        builder.call(pause, [])


def _emit_cut(builder: Any, piece: Value, total: Value, step: Value, pieces: Value) -> Value:
    """Return where in the loop a piece begins: no piece is empty that has a step to itself."""
    steps = builder.udiv(builder.add(total, builder.sub(step, _int(1))), step)
    start = builder.mul(builder.udiv(builder.mul(steps, piece), pieces), step)
    return builder.select(builder.icmp_signed("<", start, total), start, total)


def _emit_post(builder: Any, board: Value, pieces: Value, parts: Value) -> None:
    """Lay the pieces of the parts into the boxes, then tell the helpers that look."""
    with cgutils.for_range(builder, parts) as loop:
        bounds = [
            builder.udiv(builder.mul(pieces, part), parts)
            for part in (loop.index, builder.add(loop.index, _int(1)))
        ]
        left = builder.or_(bounds[0], builder.shl(bounds[1], _int(32)))
        builder.store(left, _word(builder, _box(builder, board, loop.index), LEFT), align=8)
    with cgutils.for_range(builder, parts, start=_int(1)) as loop:
        _emit_exchange(builder, _box(builder, board, loop.index), _int(IDLE), _int(POSTED))


def _emit_work(
    builder: Any, board: Value, worker: Value, parts: Value, do: Callable[[Value, Value], None]
) -> None:
    """Take pieces and do them, until none is left in any of the parts' boxes.

    Args:
        do: emits the pieces from one to before another.
    """
    with cgutils.for_range(builder, parts) as loop:
        own = builder.icmp_signed("==", loop.index, _int(0))
        part = builder.urem(builder.add(worker, loop.index), parts)
        place = _word(builder, _box(builder, board, part), LEFT)
        look, take, work, after = (
            builder.append_basic_block(name) for name in ("look", "take", "work", "after")
        )
        builder.branch(look)
        builder.position_at_end(look)
        there = builder.load_atomic(place, "acquire", 8)
        first, last = builder.and_(there, _int(2**32 - 1)), builder.lshr(there, _int(32))
        builder.cbranch(builder.icmp_signed("<", first, last), take, after)
        builder.position_at_end(take)
        left = builder.sub(last, first)
        count = builder.lshr(builder.add(left, _int(1)), _int(1))
        rest = builder.sub(last, count)
        begin = builder.select(own, first, rest)
        end = builder.add(begin, count)
        first, last = builder.select(own, end, first), builder.select(own, last, rest)
        new = builder.or_(first, builder.shl(last, _int(32)))
        taken = builder.extract_value(builder.cmpxchg(place, there, new, "seq_cst"), 1)
        builder.cbranch(taken, work, look)
        builder.position_at_end(work)
        do(begin, end)
        builder.branch(look)
        builder.position_at_end(after)


def _emit_wait(builder: Any, board: Value, parts: Value) -> Value:
    """Look at helpers until none works, or patience ends; take notice of what they have ended."""
    working = cgutils.alloca_once_value(builder, _int(0))
    with cgutils.for_range(builder, _int(PATIENCE)) as looks:
        builder.store(_int(0), working)
        with cgutils.for_range(builder, parts, start=_int(1)) as loop:
            box = _box(builder, board, loop.index)
            _emit_exchange(builder, box, _int(ENDED), _int(IDLE))
            # It may have ended just now: a box that was left so would take no other part.
            state = _emit_state(builder, box)
            at_work = builder.or_(
                builder.icmp_signed("==", state, _int(TAKEN)),
                builder.icmp_signed("==", state, _int(ENDED)),
            )
            busy = builder.add(builder.load(working), builder.zext(at_work, _INT64))
            builder.store(busy, working)
        with builder.if_then(builder.icmp_signed("==", builder.load(working), _int(0))):
            looks.do_break()
        _emit_pause(builder)
    return builder.icmp_signed("==", builder.load(working), _int(0))


@intrinsic
def wait(context: Any, board: Value, parts: Value) -> Any:
    """Wait a while for the helpers; return whether all have ended the parts that they took."""

    def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
        return _emit_wait(builder, *args)

    return types.boolean(types.int64, types.int64), emit


@intrinsic
def look(context: Any, box: Value) -> Any:
    """Return the state of a box, after a pause that spares the other threads of the processor."""

    def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
        _emit_pause(builder)
        return _emit_state(builder, args[0])

    return types.int64(types.int64), emit


@intrinsic
def exchange(context: Any, box: Value, old: Value, new: Value) -> Any:
    """Change the state of a box from ``old`` to ``new``; return whether it was ``old``."""

    def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
        return _emit_exchange(builder, *args)

    return types.boolean(*[types.int64] * 3), emit


@intrinsic
def take_part(context: Any, board: Value, box: Value, worker: Value) -> Any:
    """Do pieces of the job on the board until none is left; then the box says ENDED."""

    def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
        board, box, worker = args
        code, total, step, pieces, parts = (
            builder.load(_word(builder, board, at), align=8)
            for at in (CODE, TOTAL, STEP, PIECES, PARTS)
        )
        block = builder.add(board, _int(ARGUMENTS))

        def do(begin: Value, end: Value) -> None:
            bounds = [_emit_cut(builder, piece, total, step, pieces) for piece in (begin, end)]
            builder.call(builder.inttoptr(code, _PART.as_pointer()), [block, *bounds, worker])

        _emit_work(builder, board, worker, parts, do)
        builder.store_atomic(_int(ENDED), _word(builder, box, STATE), "release", 8)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), emit


@kernel("boolean(int64, int64, int64)")
def change(box: int, old: int, new: int) -> bool:
    """Change the state of a box from ``old`` to ``new``; return whether it was ``old``."""
    return exchange(box, old, new)


@kernel("void(int64, int64, int64, int64)")
def serve(board: int, box: int, worker: int, patience: int) -> None:
    """Help with what is posted; return, the box ASLEEP, when called or when nothing comes.

    Args:
        patience: how many looks at the box to wait for the next part.
    """
    left = patience
    while True:
        state = look(box)
        if state == POSTED and exchange(box, POSTED, TAKEN):
            take_part(board, box, worker)
            left = patience
        elif state == CALLED and exchange(box, CALLED, ASLEEP):
            return
        elif state == IDLE:
            left -= 1
            if left < 0 and exchange(box, IDLE, ASLEEP):
                return


@kernel("boolean(int64, int64)")
def ended(board: int, parts: int) -> bool:
    """Wait a while for the helpers; return whether all have ended the parts that they took."""
    return wait(board, parts)


@intrinsic
def fork(
    context: Any, inner: Value, given: Value, total: Value, step: Value, pieces: Value,
    parts: Value, board: Value,
) -> Any:  # fmt: skip
    """Call ``inner(*given, lo, hi)``, or ``(*given, lo, hi, worker)``, for parts of range(total).

    Pieces begin at multiples of ``step``; each of the parts has at least one. Returns whether all
    are done; if not, helpers need longer, see :func:`ended`.
    """
    bounds = inner.dispatcher.py_func.__code__.co_argcount - len(given.types)
    kinds = (*given.types, *[types.int64] * bounds)
    with optimized_by_caller():
        inner.dispatcher.compile(kinds)

    def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
        _, given, total, step, pieces, parts, board = args
        compiled = inner.dispatcher.overloads[kinds]
        context.add_linking_libs([compiled.library])
        values = [
            _not_counted(context, builder, kind, value)
            for kind, value in zip(kinds, cgutils.unpack_tuple(builder, given), strict=False)
        ]
        block = ir.LiteralStructType([value.type for value in values])
        if context.get_abi_sizeof(block) > BOXES - ARGUMENTS:
            raise TypeError(f"the arguments of {compiled.fndesc.qualname} do not fit on the board")
        do = _part(context, builder.module, compiled.fndesc, block)
        several = builder.icmp_signed(">", parts, _int(1))
        own = builder.ptrtoint(cgutils.alloca_once(builder, block), _INT64)
        given = builder.select(several, builder.add(board, _int(ARGUMENTS)), own)
        for place, value in zip(_places(builder, given, block), values, strict=True):
            builder.store(value, place)

        def call(begin: Value, end: Value) -> None:
            bounds = [_emit_cut(builder, piece, total, step, pieces) for piece in (begin, end)]
            builder.call(do, [given, *bounds, _int(0)])

        with builder.if_else(several) as (shared, alone):
            with shared:
                words = {CODE: builder.ptrtoint(do, _INT64), TOTAL: total, STEP: step}
                for at, value in (words | {PIECES: pieces, PARTS: parts}).items():
                    builder.store(value, _word(builder, board, at), align=8)
                _emit_post(builder, board, pieces, parts)
                _emit_work(builder, board, _int(0), parts, call)
                with cgutils.for_range(builder, parts, start=_int(1)) as loop:
                    box = _box(builder, board, loop.index)
                    _emit_exchange(builder, box, _int(POSTED), _int(IDLE))
            with alone:
                builder.call(do, [given, _int(0), total, _int(0)])
        return _emit_wait(builder, board, parts)

    return types.boolean(inner, given, *[types.int64] * 5), emit


def _not_counted(context: Any, builder: Any, kind: Any, value: Value) -> Value:
    """Return the value without the counter of its references.

    An array lives as long as the caller of ``threads.share`` holds it. The counter does not: it
    ends with this call of the kernel, when a helper may still be at work.
    """
    if not isinstance(kind, types.Array):
        return value
    array = context.make_array(kind)(context, builder, value=value)
    array.meminfo = cgutils.get_null_value(array.meminfo.type)
    array.parent = cgutils.get_null_value(array.parent.type)
    return array._getvalue()


def _places(builder: Any, block: Value, kind: Any) -> list[Value]:
    """Return pointers to the elements of a structure at an address."""
    start = builder.inttoptr(block, ir.PointerType())
    indices = [[ir.Constant(ir.IntType(32), n) for n in (0, i)] for i in range(len(kind.elements))]
    return [builder.gep(start, pair, source_etype=kind) for pair in indices]


def _part(context: Any, module: Any, function: Any, kind: Any) -> Value:
    """Return a function (block, lo, hi, worker) that calls another one.

    Args:
        function: Numba's description of the one to call; its first arguments lie in the block.
        kind: the block's type.
    """
    part = ir.Function(module, _PART, f"{function.llvm_func_name}.part")
    part.linkage = "internal"
    part.attributes.add("noinline")
    builder = ir.IRBuilder(part.append_basic_block("entry"))
    block, *bounds = part.args
    values = [
        builder.load(place, typ=element)
        for place, element in zip(_places(builder, block, kind), kind.elements, strict=True)
    ]
    context.call_conv.call_function(
        builder,
        context.declare_function(module, function),
        function.restype,
        function.argtypes,
        [*values, *bounds][: len(function.argtypes)],
    )
    builder.ret_void()
    return part
