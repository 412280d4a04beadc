"""Vector code for pooling, written as LLVM IR: Numba intrinsics. See simd.py.

- ``largest_whole_2`` and its like: the largest values of windows that lie side by side in an image.
- :func:`largest_squares`, :func:`spread_squares`: the same for windows of 2 x 2, and the gradient.
- :func:`largest_lanes`: of one such window in each of LANES images at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types

from protonet.kernels.simd import (
    INT32,
    LANES,
    VECTOR,
    VECTOR_BYTES,
    ZEROS,
    Code,
    Loop,
    Value,
    intrinsic,
    number,
)

_INDICES = ir.VectorType(INT32, LANES)
_LOWEST = ir.Constant(VECTOR, [-3.4028234663852886e38] * LANES)
_NOWHERE = ir.Constant(_INDICES, [-1] * LANES)
_STEPS = [2 * i for i in range(LANES)]  # from one window of 2 x 2 to the next


def _larger(
    builder: Any, best: tuple[Value, Value], other: tuple[Value, Value]
) -> tuple[Value, Value]:
    """Return values and places of the larger ones; of equal ones those of ``best``."""
    larger = builder.fcmp_ordered(">", other[0], best[0])
    value, where = (builder.select(larger, new, old) for new, old in zip(other, best, strict=True))
    return value, where


def _emit_largest(builder: Any, args: Sequence[Value], stride: int, whole: bool) -> None:
    """See :func:`_make_largest`."""
    code = Code(builder)
    x, row_bytes, height, width, first, count, y, mask = args
    columns = builder.sdiv(row_bytes, number(4))
    # A window's neighbour lies ``stride`` further on: so many values cover ``count`` of them.
    needed = builder.add(builder.mul(builder.sub(count, number(1)), number(stride)), number(1))
    steps = [i * stride for i in range(LANES)]
    places = builder.add(code.splat(builder.trunc(first, INT32)), ir.Constant(_INDICES, steps))
    loaded = [code.lanes_below(builder.sub(needed, number(part * LANES))) for part in range(stride)]

    def load(pointer: Value) -> Value:
        parts = []
        for part in range(stride):
            at = code.offset(pointer, part * VECTOR_BYTES)
            # Of the last part only lanes up to the last window's are there.
            last = part == stride - 1 and stride > 1
            parts.append(code.load_masked(at, loaded[part]) if last or not whole else code.load(at))
        return parts[0] if stride == 1 else code.shuffle(parts[0], parts[1], steps)

    down = Loop(builder, height, [code.pointer(x), places, _LOWEST, _NOWHERE])
    row, row_places, best, where = down.carried
    across = Loop(builder, width, [row, row_places, best, where])
    pointer, at, best, where = across.carried
    value = load(pointer)
    one = ir.Constant(_INDICES, [1] * LANES)
    better = _larger(builder, (best, where), (value, at))
    across.close([code.offset(pointer, 4), builder.add(at, one), *better])
    below = builder.add(row_places, code.splat(builder.trunc(columns, INT32)))
    down.close([code.offset(row, row_bytes), below, *across.carried[2:]])
    best, where = down.carried[2:]
    if whole:
        code.store(best, code.pointer(y))
        builder.store(where, code.pointer(mask), align=4)
    else:
        code.store_part(best, code.pointer(y), count)
        code.store_part(builder.bitcast(where, VECTOR), code.pointer(mask), count)


def _make_largest(stride: int, whole: bool) -> Any:
    @intrinsic
    def largest(
        context: Any, x: Value, row_bytes: Value, height: Value, width: Value, first: Value,
        count: Value, y: Value, mask: Value,
    ) -> Any:  # fmt: skip
        """Write the largest values of ``count`` windows of height x width and where they lie.

        x: address of the first window's first value, number ``first`` of the image; the next
        window begins ``stride`` values further on. y, mask: float32 and int32, one per window;
        the lowest float32 and -1 if no value is larger than that. ``whole``: count is LANES.
        """

        def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
            _emit_largest(builder, args, stride, whole)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 8), emit

    return largest


largest_whole_1, largest_part_1 = _make_largest(1, True), _make_largest(1, False)
largest_whole_2, largest_part_2 = _make_largest(2, True), _make_largest(2, False)


def _load_row(code: Code, pointer: Value, values: Value, whole: bool) -> list[Value]:
    """Return 2 LANES values in a row; unless ``whole`` only so many are read, the others zero."""
    parts = []
    for part in range(2):
        at = code.offset(pointer, part * VECTOR_BYTES)
        left = code.builder.sub(values, number(part * LANES))
        parts.append(code.load(at) if whole else code.load_masked(at, code.lanes_below(left)))
    return parts


def _emit_squares(builder: Any, args: Sequence[Value], whole: bool) -> None:
    """See :func:`_make_squares`."""
    code = Code(builder)
    x, row_bytes, first, count, y, mask = args
    columns = builder.trunc(builder.sdiv(row_bytes, number(4)), INT32)
    places = builder.add(code.splat(builder.trunc(first, INT32)), ir.Constant(_INDICES, _STEPS))
    best: tuple[Value, Value] = (_LOWEST, _NOWHERE)
    row = code.pointer(x)
    for down in range(2):
        near, far = _load_row(code, row, builder.mul(count, number(2)), whole)
        for across in range(2):
            value = code.shuffle(near, far, [step + across for step in _STEPS])
            at = builder.add(places, ir.Constant(_INDICES, [across] * LANES))
            best = _larger(builder, best, (value, at))
        if down == 0:
            row, places = code.offset(row, row_bytes), builder.add(places, code.splat(columns))
    bits = builder.bitcast(best[1], VECTOR)
    for vector, to in ((best[0], y), (bits, mask)):
        if whole:
            code.store(vector, code.pointer(to))
        else:
            code.store_part(vector, code.pointer(to), count)


def _emit_spread_squares(builder: Any, args: Sequence[Value], whole: bool) -> None:
    """See :func:`_make_squares`."""
    code = Code(builder)
    dx, row_bytes, first, count, dy, mask = args
    columns = builder.trunc(builder.sdiv(row_bytes, number(4)), INT32)
    places = builder.add(code.splat(builder.trunc(first, INT32)), ir.Constant(_INDICES, _STEPS))
    below = code.lanes_below(count)
    given, bits = (
        code.load(code.pointer(at)) if whole else code.load_masked(code.pointer(at), below)
        for at in (dy, mask)
    )
    where = builder.bitcast(bits, _INDICES)
    row = code.pointer(dx)
    for down in range(2):
        even, odd = (
            builder.select(
                builder.icmp_signed(
                    "==", where, builder.add(places, ir.Constant(_INDICES, [across] * LANES))
                ),
                given,
                ZEROS,
            )
            for across in range(2)
        )
        for part in range(2):
            half = range(part * LANES // 2, (part + 1) * LANES // 2)
            vector = code.shuffle(even, odd, [lane for i in half for lane in (i, i + LANES)])
            to = code.offset(row, part * VECTOR_BYTES)
            if whole:
                code.store(vector, to)
            else:
                left = builder.sub(builder.mul(count, number(2)), number(part * LANES))
                code.store_part(vector, to, left)
        if down == 0:
            row, places = code.offset(row, row_bytes), builder.add(places, code.splat(columns))


def _make_squares(emit_squares: Any, whole: bool) -> Any:
    """Make an intrinsic for ``count`` windows of 2 x 2 beside each other; whole: it is LANES.

    Its arguments: the address of the first value of the first window in an image, bytes from one
    row of the image to the next, number of that value in the image, count, and the addresses of
    one float32 and one int32 for each window. It reads the image and writes the windows' largest
    values and where they lie, or reads those and writes the image's gradient.
    """

    @intrinsic
    def squares(
        context: Any, image: Value, row_bytes: Value, first: Value, count: Value, values: Value,
        mask: Value,
    ) -> Any:  # fmt: skip
        def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
            emit_squares(builder, args, whole)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6), emit

    return squares


largest_squares, largest_squares_part = (_make_squares(_emit_squares, w) for w in (True, False))
spread_squares, spread_squares_part = (
    _make_squares(_emit_spread_squares, w) for w in (True, False)
)


@intrinsic
def largest_lanes(
    context: Any, image: Value, column_bytes: Value, row_bytes: Value, first: Value, columns: Value,
    values: Value, mask: Value,
) -> Any:  # fmt: skip
    """Write the largest value of a window of 2 x 2 in each of LANES images, and where it lies.

    image: address of a vector with the first value of each image's window, number ``first`` of an
    image of so many columns; from it so many bytes to the next column and row. values, mask:
    addresses of LANES float32 and int32, which may be where vectors are read.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
        code = Code(builder)
        image, column_bytes, row_bytes, first, columns, values, mask = args
        best: tuple[Value, Value] = (_LOWEST, _NOWHERE)
        row, place = code.pointer(image), first
        for down in range(2):
            for across in range(2):
                at = code.splat(builder.trunc(builder.add(place, number(across)), INT32))
                value = code.load(code.offset(row, column_bytes) if across else row)
                best = _larger(builder, best, (value, at))
            if down == 0:
                row, place = code.offset(row, row_bytes), builder.add(place, columns)
        code.store(best[0], code.pointer(values))
        builder.store(best[1], code.pointer(mask), align=4)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7), emit
