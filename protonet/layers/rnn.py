"""RNN: h = tanh(z), y = tanh(W_ho h + b_o), over a batch of sequences. As BVLC Caffe 1.0.

z = W_xh x + b_h + W_xh_static x_static + W_hh (cont · h_before).
"""

from __future__ import annotations

from typing import ClassVar

from protonet.blob import Array, Blob
from protonet.kernels import threads
from protonet.kernels.gemm import gemm
from protonet.layer import register
from protonet.layers._recurrent import Recurrent
from protonet.layers.tanh import tanh_backward, tanh_forward

TANH_GRAIN = 16384


@register("RNN")
class RNN(Recurrent):
    """Parameters: W_xh (H, K), b_h (H,), with x_static W_xh_static (H, S), W_hh (H, H),
    W_ho (H, H), b_o (H,). State: h.
    """

    cell: ClassVar[str] = "rnn"

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        super().setup(bottom, top)
        self.weights(self.outputs, self.outputs)
        self.bias(self.outputs)

    def allocate(self) -> None:
        super().allocate()
        self._h, self._dh = self.steps_of(self.outputs), self.steps_of(self.outputs)
        self._before_tanh = self.steps_of(self.outputs)  # and its gradient

    def hidden(self, top: list[Blob]) -> Array:
        return self._h

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        super().forward(bottom, top)
        w, b = self.blobs[-2].data, self.blobs[-1].data
        out, y = self._before_tanh, top[0].data.reshape(-1)
        gemm(self._flat(self._h), w, self._flat(out), trans_b=True)
        out += b
        threads.share(tanh_forward, y.size, out.reshape(-1), y, grain=TANH_GRAIN)

    def hidden_gradient(self, top: list[Blob]) -> Array:
        y, dy = top[0].data.reshape(-1), top[0].diff.reshape(-1)
        before = self._before_tanh.reshape(-1)
        threads.share(tanh_backward, y.size, y, dy, before, grain=TANH_GRAIN)
        grad = self._flat(self._before_tanh)
        if self.param_propagate_down[-2]:
            gemm(grad, self._flat(self._h), self.blobs[-2].diff, trans_a=True, beta=1.0)
        if self.param_propagate_down[-1]:
            bias = self.blobs[-1].diff
            bias += grad.sum(axis=0)
        gemm(grad, self.blobs[-2].data, self._flat(self._dh))
        return self._dh

    def multiply_adds(self, bottom: list[Blob], top: list[Blob]) -> int:
        return super().multiply_adds(bottom, top) + top[0].count * self.outputs

    def backward_multiply_adds(
        self, bottom: list[Blob], top: list[Blob], propagate_down: list[bool]
    ) -> int:
        output = (1 + self.param_propagate_down[-2]) * top[0].count * self.outputs
        return super().backward_multiply_adds(bottom, top, propagate_down) + output
