"""LSTM: long short-term memory over a batch of sequences. As BVLC Caffe 1.0.

z = W_xc x + b_c + W_xc_static x_static + W_hc (cont · h_before), and h from z as LSTMUnit says;
Hochreiter and Schmidhuber (1997), in the form of Donahue et al. (2015).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from protonet.blob import Array
from protonet.layer import register
from protonet.layers._recurrent import Recurrent
from protonet.layers.lstm_unit import unit_backward, unit_forward


@register("LSTM")
class LSTM(Recurrent):
    """Parameters: W_xc (4H, K), b_c (4H,), with x_static W_xc_static (4H, S), W_hc (4H, H).

    Gates are stored in the order i, f, o, g. States: h and c.
    """

    gates: ClassVar[int] = 4
    states: ClassVar[int] = 2

    def allocate(self) -> None:
        super().allocate()
        shape = (self.streams, self.outputs)
        self._cells = np.empty((self.steps + 1, *shape), np.float32)  # before each step, and after
        self._dc = np.zeros(shape, np.float32)

    def step(self, t: int, z: Array, cont: Array, h: Array) -> None:
        if t == 0:
            self._cells[0] = self.before[1]
        unit_forward(self._cells[t], z, cont, self._cells[t + 1], h)
        if t == self.steps - 1:
            self.after[1][...] = self._cells[t + 1]

    def step_back(self, t: int, z: Array, cont: Array, dh: Array, dz: Array) -> None:
        dc, cells = self._dc, self._cells
        if t == self.steps - 1:
            dc.fill(0)
        unit_backward(cells[t], z, cont, cells[t + 1], dc, dh, dc, dz)
