"""ArgMax: the indices, or values, of the top_k largest values. As BVLC Caffe 1.0.

Of equal values the one with the larger index comes first.
"""

from __future__ import annotations

import numpy as np

from protonet.blob import Array, Blob
from protonet.kernels.jit import kernel
from protonet.layer import Layer, register


@kernel("void(float32[:, :, ::1], int64[:, :, ::1], float32[:, :, ::1])")
def largest(x: Array, index: Array, value: Array) -> None:
    """Write the largest values of x (N, C, D) and their indices, (N, K, D), in order."""
    for n in range(x.shape[0]):
        for d in range(x.shape[2]):
            filled = 0
            for c in range(x.shape[1]):
                v = x[n, c, d]
                k = filled
                while k > 0 and not v < value[n, k - 1, d]:
                    k -= 1
                if k == index.shape[1]:
                    continue
                filled = min(filled + 1, index.shape[1])
                for j in range(filled - 1, k, -1):
                    value[n, j, d], index[n, j, d] = value[n, j - 1, d], index[n, j - 1, d]
                value[n, k, d], index[n, k, d] = v, c


@register("ArgMax")
class ArgMax(Layer):
    """argmax_param: out_max_val (false), top_k (1), axis.

    With an axis the top has the bottom's shape with top_k in its place, and holds indices, or
    with out_max_val values. Without one all of a sample counts: the top is (N, 1, top_k), or with
    out_max_val (N, 2, top_k), indices and values.
    """

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        param, shape = self.param.argmax_param, bottom[0].shape
        self._by_axis: bool = param.HasField("axis")
        self._values: bool = param.out_max_val
        if not shape:
            raise self.error("expected a bottom with at least one axis, got a scalar")
        axis = self.canonical_axis(param.axis, shape) if self._by_axis else 1
        outer = int(np.prod(shape[:axis]))
        size = shape[axis] if self._by_axis else int(np.prod(shape[1:]))
        inner = int(np.prod(shape[axis + 1 :])) if self._by_axis else 1
        if not 1 <= param.top_k <= size:
            raise self.error(f"top_k must be 1 to {size}, the number of values, got {param.top_k}")
        self._shape = (outer, size, inner)
        self._index = np.zeros((outer, param.top_k, inner), np.int64)
        self._value = np.zeros((outer, param.top_k, inner), np.float32)
        if self._by_axis:
            top[0].reshape(*shape[:axis], param.top_k, *shape[axis + 1 :])
        else:
            rest = (1,) * max(len(shape) - 3, 0)
            top[0].reshape(shape[0], 2 if self._values else 1, param.top_k, *rest)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        largest(bottom[0].data.reshape(self._shape), self._index, self._value)
        y = top[0].data
        if self._by_axis:
            y.reshape(self._index.shape)[...] = self._value if self._values else self._index
            return
        rows = y.reshape(y.shape[0], y.shape[1], y.shape[2])
        rows[:, 0] = self._index[:, :, 0]
        if self._values:
            rows[:, 1] = self._value[:, :, 0]

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        if any(propagate_down):
            raise self.error("an index has no gradient")
