"""Handing parts of a loop to helper threads without Python: Numba intrinsics, the helpers' loop.

The caller of a shared kernel writes the arguments and the address of the code to the board (see
board.py), posts a part to each helper, does part 0, and takes back what no helper has begun.
Neither side needs the interpreter's lock meanwhile: while a helper is awake that takes less than
a microsecond, where waking a thread takes thirty.

Imports Numba: import it when needed.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
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
    FROM,
    IDLE,
    POSTED,
    STATE,
    TAKEN,
    TO,
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
def do_part(context: Any, board: Value, box: Value, worker: Value) -> Any:
    """Do the part that a box names of the job on the board; then the box says ENDED."""

    def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
        board, box, worker = args
        bounds = [builder.load(_word(builder, box, at), align=8) for at in (FROM, TO)]
        code = builder.load(_word(builder, board, CODE), align=8)
        block = builder.add(board, _int(ARGUMENTS))
        builder.call(builder.inttoptr(code, _PART.as_pointer()), [block, *bounds, worker])
        builder.store_atomic(_int(ENDED), _word(builder, box, STATE), "release", 8)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), emit


@kernel("boolean(int64, int64, int64)")
def change(box: int, old: int, new: int) -> bool:
    """Change the state of a box from ``old`` to ``new``; return whether it was ``old``."""
    return exchange(box, old, new)


@kernel("void(int64, int64, int64, int64)")
def serve(board: int, box: int, worker: int, patience: int) -> None:
    """Do the parts that are posted; return, the box ASLEEP, when called or when nothing comes.

    Args:
        patience: how many looks at the box to wait for the next part.
    """
    left = patience
    while True:
        state = look(box)
        if state == POSTED and exchange(box, POSTED, TAKEN):
            do_part(board, box, worker)
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
    context: Any, inner: Value, given: Value, total: Value, step: Value, parts: Value, board: Value
) -> Any:
    """Call ``inner(*given, lo, hi)``, or ``(*given, lo, hi, worker)``, for parts of range(total).

    Parts begin at multiples of ``step``. Part i is for worker i and uses its memory, whoever does
    it. Returns whether all parts are done; if not, helpers need longer, see :func:`ended`.
    """
    bounds = inner.dispatcher.py_func.__code__.co_argcount - len(given.types)
    kinds = (*given.types, *[types.int64] * bounds)
    with optimized_by_caller():
        inner.dispatcher.compile(kinds)

    def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
        _, given, total, step, parts, board = args
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

        def cut(part: Value) -> tuple[Value, Value]:
            following = builder.add(part, _int(1))
            cuts = []
            for i in (part, following):
                share = builder.udiv(builder.mul(total, i), parts)
                cuts.append(builder.mul(builder.udiv(share, step), step))
            last = builder.icmp_signed("==", following, parts)
            return cuts[0], builder.select(last, total, cuts[1])

        def box(part: Value) -> Value:
            return _box(builder, board, part)

        with builder.if_then(several):
            code = builder.ptrtoint(do, _INT64)
            builder.store(code, _word(builder, board, CODE), align=8)
            with cgutils.for_range(builder, parts, start=_int(1)) as loop:
                lo, hi = cut(loop.index)
                builder.store(lo, _word(builder, box(loop.index), FROM), align=8)
                builder.store(hi, _word(builder, box(loop.index), TO), align=8)
                _emit_exchange(builder, box(loop.index), _int(IDLE), _int(POSTED))
        with cgutils.for_range(builder, parts) as loop:
            # The caller's own box is always asleep.
            back = _emit_exchange(builder, box(loop.index), _int(POSTED), _int(IDLE))
            asleep = builder.icmp_signed("==", _emit_state(builder, box(loop.index)), _int(ASLEEP))
            with builder.if_then(builder.or_(back, asleep)):
                builder.call(do, [given, *cut(loop.index), loop.index])
        return _emit_wait(builder, board, parts)

    return types.boolean(inner, given, *[types.int64] * 4), emit


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
