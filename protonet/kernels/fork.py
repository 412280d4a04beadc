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
from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic as _numba_intrinsic

from protonet.kernels.board import (
    ABOVE,
    ARGUMENTS,
    ASLEEP,
    BOX_BYTES,
    BOXES,
    CALLED,
    CODE,
    ENDED,
    IDLE,
    LEAD,
    LEFT,
    PARTS,
    PIECES,
    POSTED,
    STATE,
    STEP,
    TAKEN,
    TOTAL,
)
from protonet.kernels.compiling import optimized_by_caller
from protonet.kernels.jit import kernel

PATIENCE = 2000  # looks at helpers that are still at work, before others get the processor

_INT64, _VOID = ir.IntType(64), ir.VoidType()
_PART = ir.FunctionType(_VOID, [_INT64] * 4)
_HAS_PAUSE = platform.machine().lower() in ("x86_64", "amd64")
_LEAD = types.boolean(*[types.int64] * 5)

Value = Any  # of llvmlite's IR
intrinsic: Any = _numba_intrinsic


def _int(value: int) -> Value:
    return ir.Constant(_INT64, value)


def _word(builder: Any, address: Value, offset: int = 0) -> Value:
    """Return a pointer to the word so many bytes from an address."""
    return builder.inttoptr(builder.add(address, _int(offset)), _INT64.as_pointer())


@intrinsic
def look(context: Any, address: Value) -> Any:
    """Return a word that other threads write, and see what they wrote before it."""

    def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
        return builder.load_atomic(_word(builder, args[0]), "acquire", 8)

    return types.int64(types.int64), emit


@intrinsic
def tell(context: Any, address: Value, value: Value) -> Any:
    """Write a word. Who sees it sees what was written before it as well."""

    def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
        builder.store_atomic(args[1], _word(builder, args[0]), "release", 8)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 2), emit


@intrinsic
def exchange(context: Any, address: Value, old: Value, new: Value) -> Any:
    """Change a word from ``old`` to ``new``; return whether it was ``old``."""

    def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
        address, old, new = args
        done = builder.cmpxchg(_word(builder, address), old, new, "seq_cst")
        return builder.extract_value(done, 1)

    return types.boolean(*[types.int64] * 3), emit


@intrinsic
def pause(context: Any) -> Any:
    """Spare the other threads of the processor for a moment, where it has a word for that."""

    def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
        if _HAS_PAUSE:
            kind = ir.FunctionType(_VOID, [])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause")
            builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), emit


@intrinsic
def do_part(context: Any, board: Value, lo: Value, hi: Value, worker: Value) -> Any:
    """Do lo to hi - 1 of the job on the board."""

    def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
        board, *rest = args
        code = builder.load(_word(builder, board, CODE), align=8)
        block = builder.add(board, _int(ARGUMENTS))
        builder.call(builder.inttoptr(code, _PART.as_pointer()), [block, *rest])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), emit


@kernel("inline")
def work(board: int, worker: int) -> None:
    """Take pieces of the job on the board and do them, until none is left in any box.

    If parts are not cut into pieces, only the caller looks at others: at what no helper has begun.
    """
    parts, pieces = look(board + PARTS), look(board + PIECES)
    total, step = look(board + TOTAL), look(board + STEP)
    steps = (total + step - 1) // step
    for i in range(parts if worker == 0 or pieces > parts else 1):
        box = board + BOXES + (worker + i) % parts * BOX_BYTES
        left = box + LEFT
        while True:
            there = look(left)
            first, last = there & (ABOVE - 1), there // ABOVE
            if first >= last:
                break
            count = (last - first + 1) // 2
            begin = first if i == 0 else last - count
            rest = there + count if i == 0 else there - count * ABOVE
            if exchange(left, there, rest):
                lo, hi = begin * steps // pieces * step, (begin + count) * steps // pieces * step
                do_part(board, lo, min(hi, total), worker)
    if worker == 0:
        for part in range(1, parts):  # who has not begun need not any more
            exchange(board + BOXES + part * BOX_BYTES + STATE, POSTED, IDLE)


@kernel("boolean(int64, int64, int64, int64, int64)")
def lead(board: int, total: int, step: int, pieces: int, parts: int) -> bool:
    """Share out the job on the board; return whether all of it is done, or see :func:`ended`.

    Pieces begin at multiples of ``step``; each of the parts has at least one.
    """
    tell(board + TOTAL, total)
    tell(board + STEP, step)
    tell(board + PIECES, pieces)
    tell(board + PARTS, parts)
    for part in range(parts):
        first, last = pieces * part // parts, pieces * (part + 1) // parts
        box = board + BOXES + part * BOX_BYTES
        tell(box + LEFT, first + last * ABOVE)
        exchange(box + STATE, IDLE, POSTED)  # not the caller's, which is ASLEEP
    work(board, 0)
    return wait(board, parts)


@kernel("inline")
def wait(board: int, parts: int) -> bool:
    """Wait a while for the helpers; return whether all have ended what they took."""
    for _ in range(PATIENCE):
        working = False
        for part in range(1, parts):
            box = board + BOXES + part * BOX_BYTES
            state = look(box + STATE)
            if state == ENDED:
                tell(box + STATE, IDLE)
            elif state == TAKEN:
                working = True
        if not working:
            return True
        pause()
    return False


@kernel("boolean(int64, int64)")
def ended(board: int, parts: int) -> bool:
    """Wait a while for the helpers; return whether all have ended what they took."""
    return wait(board, parts)


@kernel("boolean(int64, int64, int64)")
def change(box: int, old: int, new: int) -> bool:
    """Change the state of a box from ``old`` to ``new``; return whether it was ``old``."""
    return exchange(box + STATE, old, new)


@kernel("void(int64, int64, int64, int64)")
def serve(board: int, box: int, worker: int, patience: int) -> None:
    """Help with what is posted; return, the box ASLEEP, when called or when nothing comes.

    Args:
        patience: how many looks at the box to wait for the next job.
    """
    left = patience
    while True:
        pause()
        state = look(box + STATE)
        if state == POSTED and exchange(box + STATE, POSTED, TAKEN):
            work(board, worker)
            tell(box + STATE, ENDED)
            left = patience
        elif state == CALLED and exchange(box + STATE, CALLED, ASLEEP):
            return
        elif state == IDLE:
            left -= 1
            if left < 0 and exchange(box + STATE, IDLE, ASLEEP):
                return


def address_of_lead() -> int:
    """Return where the code of :func:`lead` is, as Numba's functions call it."""
    dispatcher: Any = lead.compile()
    (compiled,) = dispatcher.overloads.values()
    address: int = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
    return address


@intrinsic
def fork(
    context: Any, inner: Value, given: Value, total: Value, step: Value, pieces: Value,
    parts: Value, board: Value,
) -> Any:  # fmt: skip
    """Call ``inner(*given, lo, hi)``, or ``(*given, lo, hi, worker)``, for parts of range(total).

    Returns whether all is done, see :func:`lead`, whose address the board has. With one part the
    board is not used.
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
        done = cgutils.alloca_once_value(builder, ir.Constant(ir.IntType(1), 1))
        with builder.if_else(several) as (shared, alone):
            with shared:
                builder.store(builder.ptrtoint(do, _INT64), _word(builder, board, CODE), align=8)
                kind = context.call_conv.get_function_type(_LEAD.return_type, _LEAD.args)
                code = builder.load(_word(builder, board, LEAD), align=8)
                _, result = context.call_conv.call_function(
                    builder, builder.inttoptr(code, kind.as_pointer()), _LEAD.return_type,
                    _LEAD.args, [board, total, step, pieces, parts],
                )  # fmt: skip
                builder.store(result, done)
            with alone:
                builder.call(do, [given, _int(0), total, _int(0)])
        return builder.load(done)

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
