"""What a recurrent layer does to each unit in a step, forward and backward. Imports Numba.

A kernel does it to some units of one stream: U of H, from ``first`` on. c_prev, c, h, dh and dc
hold those alone, z and dz (G·H,) hold all; of ``added``, (G, U or more) flat, U of each gate are
read. Each loop writes one array: LLVM makes vectors only where few arrays might overlap.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from protonet.blob import Array
from protonet.kernels.functions import sigmoid, tanh
from protonet.kernels.jit import kernel

ONE = np.float32(1)


@kernel("inline")
def lstm(
    z: Array, added: Array, first: int, cont: Any, c_prev: Array, c: Array, h: Array
) -> None:  # fmt: skip
    """Turn z + added into the gates i, f, o, g; write c and h."""
    H, U, pitch = z.size // 4, h.size, added.size // 4
    for gate in range(3):
        some, more = z[gate * H + first :][:U], added[gate * pitch :][:U]
        for j in range(U):
            some[j] = sigmoid(some[j] + more[j])
    i, f, o, g = z[first:][:U], z[H + first :][:U], z[2 * H + first :][:U], z[3 * H + first :][:U]
    more = added[3 * pitch :][:U]
    for j in range(U):
        g[j] = tanh(g[j] + more[j])
    if cont == 0:
        for j in range(U):
            c[j] = i[j] * g[j]
    else:
        for j in range(U):
            c[j] = cont * f[j] * c_prev[j] + i[j] * g[j]
    for j in range(U):
        h[j] = o[j] * tanh(c[j])


@kernel("inline")
def lstm_back(
    z: Array, first: int, cont: Any, c_prev: Array, c: Array, h: Array, dh: Array, dz: Array,
    dc: Array,
) -> None:  # fmt: skip
    """Write dz, from the gates z; take dc from after the step to before it."""
    H, U = z.size // 4, dh.size
    i, f, o, g = z[first:][:U], z[H + first :][:U], z[2 * H + first :][:U], z[3 * H + first :][:U]
    di, df = dz[first:][:U], dz[H + first :][:U]
    do, dg = dz[2 * H + first :][:U], dz[3 * H + first :][:U]
    for j in range(U):
        do[j] = tanh(c[j])
    for j in range(U):
        dc[j] += dh[j] * o[j] * (ONE - do[j] * do[j])
    for j in range(U):
        do[j] *= dh[j] * o[j] * (ONE - o[j])
    for j in range(U):
        di[j] = dc[j] * g[j] * i[j] * (ONE - i[j])
    for j in range(U):
        dg[j] = dc[j] * i[j] * (ONE - g[j] * g[j])
    if cont == 0:
        df[:] = 0
        dc[:] = 0
        return
    for j in range(U):
        kept = cont * f[j]
        df[j] = dc[j] * c_prev[j] * kept * (ONE - kept)
    for j in range(U):
        dc[j] *= cont * f[j]


@kernel("inline")
def rnn(
    z: Array, added: Array, first: int, cont: Any, c_prev: Array, c: Array, h: Array
) -> None:  # fmt: skip
    """Write h = tanh(z + added)."""
    U = h.size
    some, more = z[first:][:U], added[:U]
    for j in range(U):
        h[j] = tanh(some[j] + more[j])


@kernel("inline")
def rnn_back(
    z: Array, first: int, cont: Any, c_prev: Array, c: Array, h: Array, dh: Array, dz: Array,
    dc: Array,
) -> None:  # fmt: skip
    """Write dz from dh and h."""
    U = dh.size
    some = dz[first:][:U]
    for j in range(U):
        some[j] = dh[j] * (ONE - h[j] * h[j])


CELLS = {"lstm": (lstm, lstm_back), "rnn": (rnn, rnn_back)}
GATES = {"lstm": 4, "rnn": 1}
