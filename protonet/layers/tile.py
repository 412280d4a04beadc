"""Tile: the bottom repeated ``tiles`` times along an axis. As BVLC Caffe 1.0.

The gradient is the sum over the repetitions.
"""

from __future__ import annotations

import math

import numpy as np

from protonet.blob import Array, Blob
from protonet.errors import GraphError
from protonet.kernels import threads
from protonet.layer import Layer, register

GRAIN = 32768


@register("Tile")
class Tile(Layer):
    """tile_param: axis (1), tiles."""

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        self.tiles: int = self.param.tile_param.tiles
        if self.tiles < 1:
            given = self.tiles if self.param.tile_param.HasField("tiles") else "none"
            raise self.error(f"expected tiles, a positive number, got {given}", GraphError)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        shape = bottom[0].shape
        self.axis = self.canonical_axis(self.param.tile_param.axis, shape)
        size = shape[self.axis] * self.tiles
        top[0].reshape(*shape[: self.axis], size, *shape[self.axis + 1 :])

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        x, y = self._tiled(bottom[0].data, 1), self._tiled(top[0].data, self.tiles)

        def part(lo: int, hi: int, worker: int) -> None:
            y[lo:hi] = x[lo:hi]

        threads.run(len(y), part, self._grain(y))

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        if not propagate_down[0]:
            return
        dx, dy = self._tiled(bottom[0].diff, 1), self._tiled(top[0].diff, self.tiles)

        def part(lo: int, hi: int, worker: int) -> None:
            dx[lo:hi, 0] = dy[lo:hi, 0]
            for i in range(1, self.tiles):
                np.add(dx[lo:hi, 0], dy[lo:hi, i], out=dx[lo:hi, 0])

        threads.run(len(dy), part, self._grain(dy))

    def _tiled(self, array: Array, tiles: int) -> Array:
        """View as (axes before, tiles, axis and those behind)."""
        shape = array.shape
        return array.reshape(
            math.prod(shape[: self.axis]), tiles, math.prod(shape[self.axis :]) // tiles
        )

    def _grain(self, array: Array) -> int:
        return -(-GRAIN * len(array) // max(array.size, 1))
