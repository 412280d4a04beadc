"""Filter: of every bottom but the last those items that the last one selects.

Items are selected where the last bottom, one value an item, is not 0; the others get a gradient of
0. As BVLC Caffe 1.0.
"""

from __future__ import annotations

import numpy as np

from protonet.blob import Blob
from protonet.errors import GraphError
from protonet.layer import Layer, register


@register("Filter")
class Filter(Layer):
    """Has no parameters. Bottoms: (N, ...) each, and the selector (N,) or (N, 1, 1, ...).

    How many items the tops have is known only in ``forward``, which gives them their final shape;
    until then it is that of all items.
    """

    bottoms = (2, None)
    tops = (1, None)

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        if len(top) != len(bottom) - 1:
            raise self.error(
                "expected a top for each bottom but the last, which selects; "
                f"got {len(bottom)} bottoms and {len(top)} tops",
                GraphError,
            )
        self.not_differentiable = frozenset({len(top)})  # type: ignore[misc]

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        selector = bottom[-1].shape
        if not selector or any(n != 1 for n in selector[1:]):
            raise self.error(
                f"expected a selector of one value an item, (N,) or (N, 1, ...), got {selector}"
            )
        for i, (x, y) in enumerate(zip(bottom, top, strict=False)):
            if x.shape[:1] != selector[:1]:
                raise self.error(
                    f"expected in every bottom as many items as in the selector, {selector[0]}; "
                    f"bottom {i} has shape {x.shape}"
                )
            y.reshape(*x.shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        self.chosen = np.flatnonzero(bottom[-1].data)
        for x, y in zip(bottom, top, strict=False):
            y.reshape(self.chosen.size, *x.shape[1:])
            np.take(x.data, self.chosen, axis=0, out=y.data)

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        if propagate_down[-1]:
            raise self.error(
                f"no gradient can flow into the selector, bottom {len(bottom) - 1}", GraphError
            )
        for x, y, wanted in zip(bottom, top, propagate_down, strict=False):
            if wanted:
                x.diff.fill(0)
                x.diff[self.chosen] = y.diff
