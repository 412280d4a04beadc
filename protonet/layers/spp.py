"""SPP: an image pooled into 1, 4, 16, ... bins, side by side: as many values for any size.

As BVLC Caffe 1.0; He et al. (2014).
"""

from __future__ import annotations

from protonet.blob import Blob
from protonet.layer import Layer, register
from protonet.layers.pooling import Pooling


@register("SPP")
class SPP(Layer):
    """spp_param: pyramid_height, pool (MAX).

    x: (N, C, H, W); y: (N, C · (1 + 4 + 16 + ...)), of a single level (N, C, 1, 1).
    """

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        if self.param.spp_param.pyramid_height < 1:
            raise self.error(
                f"pyramid_height must be at least 1, got {self.param.spp_param.pyramid_height}"
            )

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        shape = bottom[0].shape
        if len(shape) != 4:
            raise self.error(f"expected a bottom with axes (N, C, H, W), got shape {shape}")
        height = int(self.param.spp_param.pyramid_height)
        if 2 ** (height - 1) > min(shape[2:]):
            raise self.error(
                f"pyramid_height {height} asks for {2 ** (height - 1)} bins a side, more than a "
                f"bottom of shape {shape} has values"
            )
        # Each level reads from a blob of its own, which shares the bottom's values.
        self._levels = [(self._level(2**i, shape), Blob(shape), Blob()) for i in range(height)]
        for pool, x, y in self._levels:
            pool.setup([x], [y])
            pool.reshape([x], [y])
        if height == 1:
            top[0].reshape(*self._levels[0][2].shape)
        else:
            width = sum(y.count for _, _, y in self._levels) // max(shape[0], 1)
            top[0].reshape(shape[0], width)

    def _level(self, bins: int, shape: tuple[int, ...]) -> Pooling:
        """Return the pooling into ``bins`` × ``bins`` windows that do not overlap."""
        param = type(self.param)(name=self.name, type="Pooling")
        pooling = param.pooling_param
        pooling.pool = self.param.spp_param.pool
        pooling.kernel_h, pooling.kernel_w = (-(-size // bins) for size in shape[2:])
        pooling.stride_h, pooling.stride_w = pooling.kernel_h, pooling.kernel_w
        pooling.pad_h = (pooling.kernel_h * bins - shape[2] + 1) // 2
        pooling.pad_w = (pooling.kernel_w * bins - shape[3] + 1) // 2
        return Pooling(param, self.phase, self.where)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        rows, start = top[0].data.reshape(top[0].shape[0], -1), 0
        for pool, x, y in self._levels:
            x.share_data(bottom[0])
            pool.forward([x], [y])
            part = y.data.reshape(len(rows), -1)
            rows[:, start : start + part.shape[1]] = part
            start += part.shape[1]

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        if not propagate_down[0]:
            return
        dx = bottom[0].diff
        dx.fill(0)
        rows, start = top[0].diff.reshape(top[0].shape[0], -1), 0
        for pool, x, y in self._levels:
            part = y.diff.reshape(len(rows), -1)
            part[...] = rows[:, start : start + part.shape[1]]
            pool.backward([y], [True], [x])
            dx += x.diff
            start += part.shape[1]
