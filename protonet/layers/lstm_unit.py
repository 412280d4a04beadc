"""LSTMUnit: one step of an LSTM's cells, from its gates. As BVLC Caffe 1.0.

With gates (i, f, o, g) in that order, each H wide:
c = cont · σ(f) · c_prev + σ(i) · tanh(g), h = σ(o) · tanh(c). cont = 0 begins a sequence.
"""

from __future__ import annotations

import numpy as np

from protonet.blob import Array, Blob
from protonet.kernels import threads
from protonet.kernels.functions import sigmoid, tanh
from protonet.kernels.jit import kernel
from protonet.layer import Layer, register

ZERO, ONE = np.float32(0), np.float32(1)


@kernel(
    "void(float32[:, ::1], float32[:, ::1], float32[::1], float32[:, ::1], float32[:, ::1],"
    " int64, int64)",
    shared=True,
)
def _forward(
    c_prev: Array, gates: Array, cont: Array, c: Array, h: Array, lo: int, hi: int
) -> None:
    H = c.shape[1]
    for n in range(lo, hi):
        for j in range(H):
            i, f = sigmoid(gates[n, j]), sigmoid(gates[n, H + j])
            o, g = sigmoid(gates[n, 2 * H + j]), tanh(gates[n, 3 * H + j])
            kept = ZERO if cont[n] == 0 else cont[n] * f * c_prev[n, j]
            c[n, j] = kept + i * g
            h[n, j] = o * tanh(c[n, j])


@kernel(
    "void(float32[:, ::1], float32[:, ::1], float32[::1], float32[:, ::1], float32[:, ::1],"
    " float32[:, ::1], float32[:, ::1], float32[:, ::1], int64, int64)",
    shared=True,
)
def _backward(
    c_prev: Array, gates: Array, cont: Array, c: Array, dc: Array, dh: Array,
    dc_prev: Array, dgates: Array, lo: int, hi: int,
) -> None:  # fmt: skip
    H = c.shape[1]
    for n in range(lo, hi):
        for j in range(H):
            i = sigmoid(gates[n, j])
            f = ZERO if cont[n] == 0 else cont[n] * sigmoid(gates[n, H + j])
            o, g = sigmoid(gates[n, 2 * H + j]), tanh(gates[n, 3 * H + j])
            t = tanh(c[n, j])
            whole = dc[n, j] + dh[n, j] * o * (ONE - t * t)
            dgates[n, j] = whole * g * i * (ONE - i)
            dgates[n, H + j] = ZERO if f == 0 else whole * c_prev[n, j] * f * (ONE - f)
            dgates[n, 2 * H + j] = dh[n, j] * t * o * (ONE - o)
            dgates[n, 3 * H + j] = whole * i * (ONE - g * g)
            dc_prev[n, j] = whole * f


def unit_forward(c_prev: Array, gates: Array, cont: Array, c: Array, h: Array) -> None:
    """Write c and h. c_prev, c, h: (N, H); gates: (N, 4H) before their functions; cont: (N,)."""
    threads.share(_forward, len(c), c_prev, gates, cont, c, h, grain=_grain(c))


def unit_backward(
    c_prev: Array, gates: Array, cont: Array, c: Array, dc: Array, dh: Array,
    dc_prev: Array, dgates: Array,
) -> None:  # fmt: skip
    """Write dc_prev (may be dc) and dgates; the rest as :func:`unit_forward` had and gave it."""
    threads.share(
        _backward, len(c), c_prev, gates, cont, c, dc, dh, dc_prev, dgates, grain=_grain(c)
    )


def _grain(c: Array) -> int:
    return max(1, 4096 // max(1, c.shape[1]))


@register("LSTMUnit")
class LSTMUnit(Layer):
    """Bottoms: c_prev (1, N, H), gates (1, N, 4H), cont (1, N). Tops: c and h, (1, N, H)."""

    bottoms = 3
    tops = 2
    not_differentiable = frozenset({2})

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        c_prev, gates, cont = (blob.shape for blob in bottom)
        N, H = c_prev[1:] if len(c_prev) == 3 else (-1, -1)
        if c_prev != (1, N, H) or gates != (1, N, 4 * H) or cont != (1, N):
            raise self.error(
                "expected bottoms of shapes (1, N, H), (1, N, 4H) and (1, N), got "
                f"{c_prev}, {gates} and {cont}"
            )
        self._N, self._H = N, H
        for blob in top:
            blob.reshape(1, N, H)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        c_prev, gates, cont = bottom
        N, H = self._N, self._H
        unit_forward(
            c_prev.data.reshape(N, H),
            gates.data.reshape(N, 4 * H),
            cont.data.reshape(N),
            top[0].data.reshape(N, H),
            top[1].data.reshape(N, H),
        )

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        if propagate_down[2]:
            raise self.error("no gradient can flow into bottom 2, which tells sequences apart")
        if not any(propagate_down):
            return
        N, H = self._N, self._H
        c_prev, gates, cont = bottom
        wanted = [
            blob.diff if down else np.empty(blob.shape, np.float32)
            for blob, down in zip(bottom[:2], propagate_down[:2], strict=True)
        ]
        unit_backward(
            c_prev.data.reshape(N, H),
            gates.data.reshape(N, 4 * H),
            cont.data.reshape(N),
            top[0].data.reshape(N, H),
            top[0].diff.reshape(N, H),
            top[1].diff.reshape(N, H),
            wanted[0].reshape(N, H),
            wanted[1].reshape(N, 4 * H),
        )
