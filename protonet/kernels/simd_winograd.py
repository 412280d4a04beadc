"""Vector code of Winograd's convolution: its matrices, and products that are summed over lanes.

For m outputs of a kernel of r values n = m + r - 1 products are enough (Toom and Cook; Winograd;
for images Lavin and Gray, 2015). Along one axis, with g the kernel and x the n inputs that it
meets,

    y = A' [(G g) * (B' x)]

where * goes value by value. Each row of A and G has the powers of a point, a last one those of
infinity; each row of B' the coefficients of the polynomial that is zero at all points but its own.
The gradients come from the same matrices: that of x is B [(G g) * (A dy)], that of g is
G' [(A dy) * (B' x)]. With two axes each matrix is applied along both.

All kernels here have n = 6, and share B'. The points decide how much is lost by rounding: with
those below, a few times what plain sums in float32 lose; with the customary 0, 1, -1, 2, -2 twice
as much. tests/kernels/test_winograd.py measures it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from llvmlite import ir
from numba import types

from protonet.kernels.simd import LANES, VECTOR, ZEROS, Code, Loop, Value, intrinsic, number

POINTS = (0, 1, -1, Fraction(1, 2), -2)  # and infinity

Matrix = list[list[Fraction]]


def matrices(m: int) -> tuple[Matrix, Matrix, Matrix]:
    """Return A (n, m), G (n, r) and B' (n, n) for m outputs, exact."""
    points = [Fraction(point) for point in POINTS]
    A, G = _powers(points, m), _powers(points, len(points) + 2 - m)
    B = []
    for i, point in enumerate(points):
        others = points[:i] + points[i + 1 :]
        # B' gets the simpler numbers: what its row is not divided by, that of G is
        scale = math.prod(point - other for other in others)
        G[i] = [value / scale for value in G[i]]
        B.append([*_product(others), Fraction(0)])
    return A, G, [*B, _product(points)]


def _powers(points: Sequence[Fraction], count: int) -> Matrix:
    infinity = [Fraction(0)] * (count - 1) + [Fraction(1)]
    return [[point**j for j in range(count)] for point in points] + [infinity]


def _product(points: Sequence[Fraction]) -> list[Fraction]:
    """Return the coefficients of the polynomial that is zero at these points, lowest first."""
    made = [Fraction(1)]
    for point in points:
        padded = [Fraction(0), *made, Fraction(0)]
        made = [padded[i] - point * padded[i + 1] for i in range(len(made) + 1)]
    return made


def _transposed(matrix: Matrix) -> Matrix:
    return [list(column) for column in zip(*matrix, strict=True)]


def _times(matrix: Matrix, add: bool = False) -> Any:
    @intrinsic
    def times(
        context: Any, source: Value, source_step: Value, target: Value, target_step: Value
    ) -> Any:
        """target[i] = sum over j of matrix[i][j] * source[j]: all are vectors, steps in bytes.

        With ``add`` that is added to target[i].
        """

        def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
            code = Code(builder)
            source, source_step, target, target_step = args
            start = code.pointer(source)
            steps = code.multiples(source_step, len(matrix[0]))
            values = [code.load(code.offset(start, step)) for step in steps]
            start = code.pointer(target)
            for row, step in zip(matrix, code.multiples(target_step, len(matrix)), strict=True):
                place = code.offset(start, step)
                total = code.load(place) if add else None
                for factor, value in zip(row, values, strict=True):
                    total = _plus(code, total, factor, value)
                code.store(total, place)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 4), emit

    return times


def _plus(code: Code, total: Value | None, factor: Fraction, value: Value) -> Value | None:
    """Emit total + factor * value; no total stands for 0."""
    if factor == 0:
        return total
    if factor == 1:
        return value if total is None else code.builder.fadd(total, value)
    if factor == -1 and total is not None:
        return code.builder.fsub(total, value)
    constant = ir.Constant(VECTOR, [float(factor)] * LANES)
    if total is None:
        return code.builder.fmul(constant, value)
    return code.multiply_add(constant, value, total)


(_A2, _, _B), (_A4, _, _) = matrices(2), matrices(4)
from_inputs, to_inputs, add_to_inputs = (
    _times(_B), _times(_transposed(_B)), _times(_transposed(_B), add=True)
)  # fmt: skip
from_outputs_2, to_outputs_2 = _times(_A2), _times(_transposed(_A2))
from_outputs_4, to_outputs_4 = _times(_A4), _times(_transposed(_A4))


def _split(m: int, count: int) -> Any:
    @intrinsic
    def split(context: Any, source: Value, target: Value, target_step: Value) -> Any:
        """Write a vector of every m-th of m * LANES values, from each of the first ``count`` on."""

        def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
            code = Code(builder)
            source, target, target_step = args
            places = [code.offset(code.pointer(source), number(4 * LANES * i)) for i in range(m)]
            parts = _every(code, [code.load(place) for place in places])
            steps = code.multiples(target_step, count)
            for part, step in zip(parts, steps, strict=False):
                code.store(part, code.offset(code.pointer(target), step))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 3), emit

    return split


def _every(code: Code, vectors: list[Value]) -> list[Value]:
    """Return, of n vectors that follow each other, the values 0, n, 2n, ..., then 1, n + 1, ..."""
    if len(vectors) == 1:
        return vectors
    pairs = list(zip(vectors[::2], vectors[1::2], strict=True))
    even, odd = (
        _every(code, [code.shuffle(a, b, range(first, 2 * LANES, 2)) for a, b in pairs])
        for first in (0, 1)
    )
    return [part for both in zip(even, odd, strict=True) for part in both]


def _merge(m: int) -> Any:
    @intrinsic
    def merge(context: Any, source: Value, source_step: Value, target: Value) -> Any:
        """Write m * LANES values: the first of each of m vectors, the second of each, ..."""

        def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
            code = Code(builder)
            source, source_step, target = args
            steps = code.multiples(source_step, m)
            parts = [code.load(code.offset(code.pointer(source), step)) for step in steps]
            for i, vector in enumerate(_by_turns(code, parts)):
                code.store(vector, code.offset(code.pointer(target), number(4 * LANES * i)))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 3), emit

    return merge


def _by_turns(code: Code, parts: list[Value]) -> list[Value]:
    """Return n vectors that hold the first of each of n parts, the second of each, ..."""
    if len(parts) == 1:
        return parts
    even, odd = _by_turns(code, parts[::2]), _by_turns(code, parts[1::2])
    half = LANES // 2
    turns = [[start + i // 2 + i % 2 * LANES for i in range(LANES)] for start in (0, half)]
    return [code.shuffle(a, b, lanes) for a, b in zip(even, odd, strict=True) for lanes in turns]


split_2, split_4, merge_2, merge_4 = _split(2, 2), _split(4, 4), _merge(2), _merge(4)
split_rest_2, split_rest_4 = split_2, _split(4, 2)  # of 6, what whole numbers of m leave

LANE_ROWS, LANE_COLUMNS = LANES // 4, 4
_ROW = ir.VectorType(ir.FloatType(), LANE_COLUMNS)


@intrinsic
def sum_lanes(
    context: Any, a: Value, a_row: Value, a_step: Value, b: Value, b_column: Value, b_step: Value,
    steps: Value, out: Value, out_row: Value, begin: Value,
) -> Any:  # fmt: skip
    """out[r][c] += sum over steps and lanes of a[r] * b[c], for LANE_ROWS x LANE_COLUMNS values.

    Each a[r] and b[c] is a vector; an out[r] is LANE_COLUMNS float32. Row r of a lies ``r * a_row``
    further on, and so on. With each step a moves on by ``a_step``, b by ``b_step``.

    begin: boolean, whether out is written instead of added to.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Sequence[Value]) -> Value:
        code = Code(builder)
        a, a_row, a_step, b, b_column, b_step, steps, out, out_row, begin = args
        rows, columns = code.multiples(a_row, LANE_ROWS), code.multiples(b_column, LANE_COLUMNS)
        loop = Loop(builder, steps, [code.pointer(a), code.pointer(b), *[ZEROS] * LANES])
        a_now, b_now, *sums = loop.carried
        left = [code.load(code.offset(a_now, row)) for row in rows]
        right = [code.load(code.offset(b_now, column)) for column in columns]
        pairs = itertools.product(left, right)
        new = [code.multiply_add(x, y, z) for (x, y), z in zip(pairs, sums, strict=True)]
        loop.close([code.offset(a_now, a_step), code.offset(b_now, b_step), *new])
        total = _sum_each(code, loop.carried[2:])
        start, zeros = code.pointer(out), ir.Constant(_ROW, [0.0] * LANE_COLUMNS)
        for r, step in enumerate(code.multiples(out_row, LANE_ROWS)):
            place = code.offset(start, step)
            first = r * LANE_COLUMNS
            part = code.shuffle(total, total, range(first, first + LANE_COLUMNS))
            before = builder.select(begin, zeros, builder.load(place, typ=_ROW, align=4))
            builder.store(builder.fadd(before, part), place, align=4)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 9, types.boolean), emit


def _sum_each(code: Code, vectors: list[Value]) -> Value:
    """Return a vector of the sums of the lanes of each of LANES vectors.

    Two vectors are folded into one, whose lower and upper parts are one's and the other's.
    """
    span = LANES // 2
    while span:
        lower = [i if not i & span else i - span + LANES for i in range(LANES)]
        upper = [i + span if not i & span else i + LANES for i in range(LANES)]
        half = len(vectors) // 2
        vectors = [
            code.builder.fadd(code.shuffle(a, b, lower), code.shuffle(a, b, upper))
            for a, b in zip(vectors[:half], vectors[half:], strict=True)
        ]
        span //= 2
    return vectors[0]
