"""Convolution over any number of spatial axes, image by image through im2col and a product."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from protonet.blob import Array
from protonet.kernels.gemm import gemm
from protonet.kernels.im2col import col2im, im2col, output_size


class ConvolutionND:
    """A convolution of one shape.

    x: (N, C, size...), w: (O, C / group, kernel...), bias: (O,), y: (N, O, output size...).

    Attributes:
        y_shape: the shape of y.
    """

    def __init__(
        self,
        x_shape: Sequence[int],
        num_output: int,
        kernel: Sequence[int],
        stride: Sequence[int],
        pad: Sequence[int],
        dilation: Sequence[int],
        group: int = 1,
    ) -> None:
        self.x_shape = tuple(x_shape)
        self.num_output, self.group = num_output, group
        self.windows = (tuple(kernel), tuple(stride), tuple(pad), tuple(dilation))
        self.output = tuple(map(output_size, self.x_shape[2:], *self.windows))
        self.y_shape = (self.x_shape[0], num_output, *self.output)
        self._rows = self.x_shape[1] * math.prod(kernel)

    def forward(
        self, x: Array, w: Array, bias: Array | None, y: Array, version: int | None = None
    ) -> None:
        """Write y. The version of w makes no difference: nothing is kept."""
        matrices, col = self._by_group(w), self._columns()
        for n in range(len(x)):
            self._unfold(x[n : n + 1], col)
            for g, rows in enumerate(self._by_group(col)):
                gemm(matrices[g], rows, self._by_group(y[n])[g])
        if bias is not None:
            y += bias.reshape(-1, *[1] * len(self.output))

    def backward_data(self, dy: Array, w: Array, dx: Array) -> None:
        """Write dx."""
        matrices, col = self._by_group(w), self._columns()
        for n in range(len(dy)):
            for g, rows in enumerate(self._by_group(col)):
                gemm(matrices[g], self._by_group(dy[n])[g], rows, trans_a=True)
            col2im(col.reshape(1, self._rows, *self.output), *self.windows, dx[n : n + 1])

    def backward_weights(self, x: Array, dy: Array, dw: Array, db: Array | None = None) -> None:
        """Add to dw, and to db if that is given."""
        if db is not None:
            self.backward_bias(dy, db)
        matrices, col = self._by_group(dw), self._columns()
        for n in range(len(x)):
            self._unfold(x[n : n + 1], col)
            for g, rows in enumerate(self._by_group(col)):
                gemm(self._by_group(dy[n])[g], rows, matrices[g], trans_b=True, beta=1.0)

    def backward_bias(self, dy: Array, db: Array) -> None:
        """Add to db the sum of dy over images and positions."""
        db += dy.reshape(*dy.shape[:2], -1).sum(axis=2).sum(axis=0)

    def _columns(self) -> Array:
        return np.empty((self._rows, math.prod(self.output)), np.float32)

    def _unfold(self, image: Array, col: Array) -> None:
        im2col(image, *self.windows, col.reshape(1, self._rows, *self.output))

    def _by_group(self, a: Array) -> list[Array]:
        """Split a matrix, weights or an image's channels into the groups' (channels, values)."""
        groups: Any = a.reshape(self.group, a.shape[0] // self.group, -1)
        return list(groups)
