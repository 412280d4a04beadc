"""Pooling: the largest value of each window of an image, the mean, or one drawn at random.

As BVLC Caffe 1.0: the output size is rounded up, windows are cut at the (padded) edge, a mean
divides by the size of the window cut at the padded edge, and of equal maxima the first in
row-major order counts. STOCHASTIC is Zeiler and Fergus (2013).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from protonet.blob import Blob, Shape, aligned_zeros
from protonet.errors import GraphError
from protonet.kernels import pooling, scratch
from protonet.kernels.pooling import SQUARES, Window
from protonet.layer import TRAIN, Layer, register
from protonet.layers import _stochastic_pooling as stochastic
from protonet.random import generator

MAX, AVE, STOCHASTIC = 0, 1, 2  # PoolingParameter.PoolMethod
FLOOR = 1  # PoolingParameter.RoundMode


@register("Pooling")
class Pooling(Layer):
    """pooling_param: pool (MAX), kernel_size, stride (1), pad (0), global_pooling, round_mode.

    x: (N, C, H, W); y: (N, C, PH, PW). A second top of MAX holds where each maximum lies,
    h · W + w.
    """

    tops = (1, 2)

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        param = self.param.pooling_param
        self._method: int = param.pool
        self._global: bool = param.global_pooling
        if len(top) > 1 and self._method != MAX:
            raise self.error("only MAX pooling has a second top, the mask", GraphError)
        if self._global and any(map(param.HasField, ("kernel_size", "kernel_h", "kernel_w"))):
            raise self.error(
                "global_pooling takes the whole image: no kernel_size can be given", GraphError
            )
        self._kernel = (1, 1) if self._global else self._pair("kernel_size", "kernel", None)
        self._stride, self._pad = self._pair("stride", "stride", 1), self._pair("pad", "pad", 0)
        if self._global and (self._stride != (1, 1) or self._pad != (0, 0)):
            raise self.error("global_pooling has no pad, and a stride of 1", GraphError)
        if min(self._kernel) < 1 or min(self._stride) < 1:
            raise self.error(
                f"kernel_size and stride must be at least 1, got {self._kernel} and {self._stride}",
                GraphError,
            )
        if self._method == STOCHASTIC and any(self._pad):
            raise self.error("only MAX and AVE pooling can have a pad", GraphError)
        if any(p >= k for p, k in zip(self._pad, self._kernel, strict=True)):
            raise self.error(
                f"pad must be smaller than the kernel, got pad {self._pad} and kernel "
                f"{self._kernel}",
                GraphError,
            )

    def _pair(self, field: str, prefix: str, default: int | None) -> tuple[int, int]:
        """Read a measure that is given once, or as ``_h`` and ``_w``."""
        param = self.param.pooling_param
        names = (f"{prefix}_h", f"{prefix}_w")
        given = [name for name in names if param.HasField(name)]
        if given and (param.HasField(field) or len(given) == 1):
            raise self.error(
                f"expected either {field} or both {names[0]} and {names[1]}, got "
                f"{' and '.join([field] * param.HasField(field) + given)}",
                GraphError,
            )
        if given:
            return int(getattr(param, names[0])), int(getattr(param, names[1]))
        if default is None and not param.HasField(field):
            raise self.error(f"no {field} is given", GraphError)
        value = int(getattr(param, field))
        return value, value

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        shape = bottom[0].shape
        if len(shape) != 4:
            raise self.error(f"expected a bottom with axes (N, C, H, W), got shape {shape}")
        if self._global:
            self._kernel = (shape[2], shape[3])
        size = tuple(map(self._output_size, shape[2:], self._kernel, self._stride, self._pad))
        if min(size) < 1:
            raise self.error(
                f"kernel {self._kernel} with stride {self._stride} does not fit on a bottom of "
                f"shape {shape}"
            )
        self._window = Window(self._kernel, self._stride, self._pad)
        for blob in top:
            blob.reshape(*shape[:2], *size)
        self._places: Any = None

    def _output_size(self, size: int, kernel: int, stride: int, pad: int) -> int:
        room = size + 2 * pad - kernel
        down = self.param.pooling_param.round_mode == FLOOR
        count = (room // stride if down else -(-room // stride)) + 1
        # The last window must begin inside the image or the padding before it.
        if pad and (count - 1) * stride >= size + pad:
            count -= 1
        return count

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        x, y = bottom[0].data, top[0].data
        if self._method == AVE:
            pooling.average_forward(x, self._window, y)
            return
        if self._method == MAX:
            mask = self.mask(y.shape)
            pooling.max_forward(x, self._window, y, mask)
            if len(top) > 1:
                top[1].data[...] = mask
        elif self.phase == TRAIN:
            stochastic.draw(x, self._window, generator(), y, self.mask(y.shape))
        else:
            stochastic.expect(x, self._window, y)

    def pools_squares(self, bottom: list[Blob]) -> bool:
        return self._method == MAX and self._window == SQUARES

    def mask(self, shape: Shape) -> Any:
        """Return where the maxima lie, int32 like the top; -1 before the first forward pass."""
        if self.spare:
            count = math.prod(shape)
            return scratch.get("places", count)[:count].view(np.int32).reshape(shape)
        if self._places is None:
            self._places = aligned_zeros(math.prod(shape)).view(np.int32).reshape(shape)
            self._places.fill(-1)
        return self._places

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        if not propagate_down[0]:
            return
        dy, dx = top[0].diff, bottom[0].diff
        if self._method == AVE:
            pooling.average_backward(dy, self._window, dx)
        elif self._method == MAX or self.phase == TRAIN:
            pooling.max_backward(dy, self.mask(dy.shape), self._window, dx)
        else:
            raise self.error("STOCHASTIC pooling has a gradient in the TRAIN phase only")
