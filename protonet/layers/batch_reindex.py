"""BatchReindex: items of the first bottom in the order that the second one lists.

y[i] = x[index[i]]; an item may be listed several times, or not at all. The gradient of an item is
the sum over the places where it is listed. As BVLC Caffe 1.0.
"""

from __future__ import annotations

import numpy as np

from protonet.blob import Blob
from protonet.errors import DataError, GraphError
from protonet.layer import Layer, register


@register("BatchReindex")
class BatchReindex(Layer):
    """Has no parameters. x: (N, ...); index: (M,), values 0 to N - 1; y: (M, ...)."""

    bottoms = 2
    not_differentiable = frozenset({1})

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        shape, index = bottom[0].shape, bottom[1].shape
        if not shape or len(index) != 1:
            raise self.error(
                "expected a bottom with at least one axis and a list of indices with exactly one, "
                f"got shapes {shape} and {index}"
            )
        top[0].reshape(index[0], *shape[1:])

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        np.take(bottom[0].data, self._index(bottom), axis=0, out=top[0].data)

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        if propagate_down[1]:
            raise self.error("no gradient can flow into the indices, bottom 1", GraphError)
        if not propagate_down[0]:
            return
        dx, dy = bottom[0].diff, top[0].diff
        dx.fill(0)
        for i, item in enumerate(self._index(bottom)):
            dx[item] += dy[i]

    def _index(self, bottom: list[Blob]) -> np.ndarray:
        index = bottom[1].data.astype(np.int64)
        count = bottom[0].shape[0]
        wrong = np.flatnonzero((index < 0) | (index >= count))
        if wrong.size:
            raise self.error(
                f"expected indices from 0 to {count - 1}, got {index[wrong[0]]} at {wrong[0]}",
                DataError,
            )
        return index
