"""Vector code of a depthwise convolution, written as LLVM IR: Numba intrinsics. See simd.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numba import types

from protonet.kernels.depthwise_plan import TOGETHER as DOTS
from protonet.kernels.simd import LANES, VECTOR_BYTES, ZEROS, Code, Loop, Value, intrinsic, number


def _make_taps(vectors: int) -> Any:
    @intrinsic
    def taps(
        context: Any, factors: Value, source: Value, table: Value, count: Value, start: Value,
        out: Value,
    ) -> Any:  # fmt: skip
        """out[j] = start + sum over taps of factors[k] * source[at + j], for so many vectors.

        start: address of LANES float32. table: of ``count`` taps, two int64 each: k and at, as
        offsets in bytes. All other arguments are addresses of float32.
        """

        def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
            code = Code(builder)
            factors, source, table, count, start, out = (
                args[3] if i == 3 else code.pointer(arg) for i, arg in enumerate(args)
            )
            first = code.load(start)
            loop = Loop(builder, count, [table, *[first] * vectors])
            tap, *sums = loop.carried
            factor = code.load_splat(code.offset(factors, code.load_int(tap)))
            seen = code.offset(source, code.load_int(code.offset(tap, 8)))
            new = [
                code.multiply_add(factor, code.load(code.offset(seen, j * VECTOR_BYTES)), total)
                for j, total in enumerate(sums)
            ]
            loop.close([code.offset(tap, 16), *new])
            for j, total in enumerate(loop.carried[1:]):
                code.store(total, code.offset(out, j * VECTOR_BYTES))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6), emit

    return taps


taps_8, taps_4 = _make_taps(8), _make_taps(4)


@intrinsic
def dots(
    context: Any, source: Value, places: Value, values: Value, pairs: Value, sums: Value
) -> Any:
    """sums[t] = sum over i of source[places[t] + i] * values[i], lane by lane, for DOTS places.

    places: address of DOTS int64, offsets in bytes. pairs: of vectors, along which i runs.
    sums: address of DOTS vectors; source, values: of float32.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
        code = Code(builder)
        source, places, values, pairs, sums = (
            args[3] if i == 3 else code.pointer(arg) for i, arg in enumerate(args)
        )
        starts = [
            code.offset(source, code.load_int(code.offset(places, 8 * t))) for t in range(DOTS)
        ]
        loop = Loop(builder, pairs, [number(0), *[ZEROS] * (2 * DOTS)])
        at, *totals = loop.carried
        new = []
        for half in range(2):
            value = code.load(code.offset(code.offset(values, at), half * VECTOR_BYTES))
            for t, place in enumerate(starts):
                seen = code.load(code.offset(code.offset(place, at), half * VECTOR_BYTES))
                new.append(code.multiply_add(seen, value, totals[half * DOTS + t]))
        loop.close([builder.add(at, number(2 * VECTOR_BYTES)), *new])
        _, *totals = loop.carried
        for t in range(DOTS):
            total = builder.fadd(totals[t], totals[DOTS + t])
            code.store(total, code.offset(sums, t * VECTOR_BYTES))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), emit


@intrinsic
def every_second(context: Any, source: Value, target: Value) -> Any:
    """Write LANES values: every second one of twice as many, the first one included."""

    def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
        code = Code(builder)
        source, target = map(code.pointer, args)
        near, far = code.load(source), code.load(code.offset(source, VECTOR_BYTES))
        code.store(code.shuffle(near, far, range(0, 2 * LANES, 2)), target)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 2), emit
