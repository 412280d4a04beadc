"""MemoryData: batches out of arrays that a program hands over. As BVLC Caffe 1.0."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from protonet.blob import Array, Blob
from protonet.errors import DataError
from protonet.layer import Layer, register


@register("MemoryData")
class MemoryData(Layer):
    """Tops: data (batch_size, channels, height, width), label (batch_size, 1, 1, 1).

    After the last row the first one follows. The arrays are taken as they are: transform_param
    does not apply to them.
    """

    bottoms = 0
    tops = 2
    is_data = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        p = self.param.memory_data_param
        self._shape = (p.batch_size, p.channels, p.height, p.width)
        if min(self._shape) < 1:
            raise self.error(
                "memory_data_param needs batch_size, channels, height and width, "
                f"got {', '.join(map(str, self._shape))}"
            )
        self._data: Array | None = None
        self._labels: Array | None = None
        self._at = 0

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        top[0].reshape(*self._shape)
        top[1].reshape(self._shape[0], 1, 1, 1)

    def set_arrays(self, data: Array, labels: Array) -> None:
        """Deliver these rows from now on, the first one next. The arrays are not copied.

        Args:
            data: (rows, channels, height, width) float32; rows a multiple of batch_size.
            labels: (rows,) float32, axes of 1 after it allowed.

        Raises:
            DataError: other shapes or types.
        """
        rows = len(data) if data.ndim else 0
        if data.dtype != np.float32 or labels.dtype != np.float32:
            raise self.error(
                f"expected float32 arrays, got {data.dtype} and {labels.dtype}", DataError
            )
        if data.shape != (rows, *self._shape[1:]) or rows == 0 or rows % self._shape[0]:
            raise self.error(
                f"expected data of shape (rows, {', '.join(map(str, self._shape[1:]))}), rows a "
                f"multiple of batch_size {self._shape[0]}, got {data.shape}",
                DataError,
            )
        if labels.size != rows or labels.shape[:1] != (rows,):
            raise self.error(f"expected {rows} labels, got shape {labels.shape}", DataError)
        if self.param.transform_param.ByteSize():
            logging.getLogger("protonet").warning(
                "%slayer '%s' (MemoryData): transform_param is not applied to arrays",
                self.where,
                self.name,
            )
        self._data, self._labels, self._at = data, labels, 0

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Write the next rows.

        Raises:
            DataError: no arrays were handed over.
        """
        if self._data is None or self._labels is None:
            raise self.error(
                "it has no data yet: hand it over with set_input_arrays(data, labels)", DataError
            )
        rows = slice(self._at, self._at + self._shape[0])
        top[0].data[...] = self._data[rows]
        top[1].data.reshape(-1)[...] = self._labels[rows].reshape(-1)
        self._at = rows.stop % len(self._data)

    def resume_state(self) -> dict[str, Any]:
        return {"row": self._at}

    def resume_from(self, state: dict[str, Any]) -> None:
        """Go on at the row of then; the arrays must have been handed over already."""
        self._at = int(state["row"]) % len(self._data) if self._data is not None else 0

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        """Nothing flows into a source."""
