"""Functions of one float32 that LLVM turns into vector code, unlike calls into the C library.

For use inside other kernels. Right to 2 units in the last place.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from protonet.kernels.jit import kernel

ZERO, HALF, ONE, TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
LOG2_E = np.float32(1.4426950408889634)
# ln 2 as a sum: multiples of the first part, which has 9 bits, are exact
LN2_HIGH, LN2_LOW = np.float32(355 / 512), np.float32(np.log(2.0) - 355 / 512)
LOWEST, HIGHEST = np.float32(-87.33), np.float32(88.72)  # between them e^x is a normal number
INFINITY, LARGEST_POWER = np.float32(np.inf), np.float32(127)
BIAS, MANTISSA = np.int32(127), np.int32(23)  # of a float32's exponent

# Taylor's coefficients: on |r| <= ln 2 / 2 the eighth term is below 1e-8.
E2, E3, E4 = np.float32(1 / 2), np.float32(1 / 6), np.float32(1 / 24)
E5, E6, E7 = np.float32(1 / 120), np.float32(1 / 720), np.float32(1 / 5040)
T3, T5 = np.float32(-1 / 3), np.float32(2 / 15)
T7, T9 = np.float32(-17 / 315), np.float32(62 / 2835)
SMALL = np.float32(0.3)


@kernel("inline", reorder=False)
def _less_multiple(x: Any, k: Any) -> Any:
    """Return x - k · ln 2, which may be small beside both."""
    return (x - k * LN2_HIGH) - k * LN2_LOW


@kernel("inline")
def exp(x: Any) -> Any:
    """Return e^x for float32 x, 0 where it is less than a normal number (1.2e-38).

    e^x = 2^k · e^r with k the nearest integer to x / ln 2; the bits of 2^k are put together.
    """
    v = min(max(x, LOWEST), HIGHEST)
    k = min(np.floor(v * LOG2_E + HALF), LARGEST_POWER)
    r = _less_multiple(v, k)
    p = E4 + r * (E5 + r * (E6 + r * E7))
    p = ONE + r * (ONE + r * (E2 + r * (E3 + r * p)))
    y = p * np.int32((np.int32(k) + BIAS) << MANTISSA).view(np.float32)
    return ZERO if x < LOWEST else (INFINITY if x > HIGHEST else y)


@kernel("inline")
def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + e^-x) for float32 x."""
    return ONE / (ONE + exp(-x))


@kernel("inline")
def tanh(x: Any) -> Any:
    """Return tanh x for float32 x: near 0 by its series, elsewhere (1 - e^-2x) / (1 + e^-2x)."""
    s = x * x
    near = x + x * s * (T3 + s * (T5 + s * (T7 + s * T9)))
    e = exp(-TWO * abs(x))
    far = (ONE - e) / (ONE + e)
    return near if abs(x) < SMALL else (far if x > ZERO else -far)
