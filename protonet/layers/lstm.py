"""LSTM: long short-term memory over a batch of sequences. As BVLC Caffe 1.0.

z = W_xc x + b_c + W_xc_static x_static + W_hc (cont · h_before), and h from z as LSTMUnit says;
Hochreiter and Schmidhuber (1997), in the form of Donahue et al. (2015).
"""

from __future__ import annotations

from typing import ClassVar

from protonet.layer import register
from protonet.layers._recurrent import Recurrent


@register("LSTM")
class LSTM(Recurrent):
    """Parameters: W_xc (4H, K), b_c (4H,), with x_static W_xc_static (4H, S), W_hc (4H, H).

    Gates are stored in the order i, f, o, g. States: h and c.
    """

    cell: ClassVar[str] = "lstm"
    gates: ClassVar[int] = 4
    states: ClassVar[int] = 2
