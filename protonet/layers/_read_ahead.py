"""What Data, ImageData and WindowData share: batches of images that a thread reads ahead."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from protonet import random
from protonet.blob import Blob, Shape
from protonet.data.batch import Batch
from protonet.data.prefetch import Prefetcher, Reader
from protonet.errors import DataError
from protonet.layer import Count, Layer

PREFETCH = 4  # batches read ahead, where the file does not say: Caffe's default


class ReadAhead(Layer):
    """Tops: data (N, C, H, W), and label (N,) if there is a second one.

    A type says what it reads: :meth:`prepare` and :meth:`reader`.
    """

    bottoms = 0
    tops: ClassVar[Count] = (1, 2)
    is_data = True
    ahead = PREFETCH

    def prepare(self) -> Shape:
        """Read the parameters; return the shape of the first batch. DataErrors get a prefix."""
        raise NotImplementedError

    def reader(self) -> Reader[Batch]:
        """Open what is read, in the thread that asks for the first batch."""
        raise NotImplementedError

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Read the parameters and find the shape of the first batch.

        Raises:
            DataError: what is to be read is missing, broken, or does not fit the parameters.
        """
        self._prefetcher: Prefetcher[Batch] | None = None
        self._seeds: list[dict[str, Any]] = []
        self._start = 0
        try:
            self._shape = self.prepare()
        except DataError as error:
            raise self.error(str(error), DataError) from error

    def generators(self, count: int) -> list[np.random.Generator]:
        """Return the layer's own generators, as they were spawned; for :meth:`prepare`."""
        if not self._seeds:
            self._seeds = [random.frozen(random.spawn()) for _ in range(count)]
        return [random.thawed(seed) for seed in self._seeds]

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        top[0].reshape(*self._shape)
        if len(top) > 1:
            top[1].reshape(self._shape[0])

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Write the next batch. The data top takes another shape if the images do.

        Raises:
            DataError: an image is broken or does not fit its batch.
        """
        try:
            if self._prefetcher is None:
                self._prefetcher = self._begin()
            batch = self._prefetcher.take()
        except DataError as error:
            raise self.error(str(error), DataError) from error
        if batch.data.shape != self._shape:
            self._shape = batch.data.shape
            self.reshape(bottom, top)
        top[0].data[...] = batch.data
        if len(top) > 1:
            top[1].data[...] = batch.labels
        self._prefetcher.give_back(batch)

    def _begin(self) -> Prefetcher[Batch]:
        prefetcher = Prefetcher(self.reader(), [Batch.empty() for _ in range(self.ahead)])
        prefetcher.seek(self._start)
        return prefetcher

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        """Nothing flows into a source."""

    # --- going on from a snapshot ------------------------------------------------------------
    def resume_state(self) -> dict[str, Any]:
        return {"consumed": self.consumed, "generators": self._seeds}

    def resume_from(self, state: dict[str, Any]) -> None:
        self.close()
        self._prefetcher = None
        self._seeds = list(state["generators"])
        try:
            self.prepare()
        except DataError as error:
            raise self.error(str(error), DataError) from error
        self._shape = ()  # the tops may have any: the next batch gives them theirs
        self.seek(int(state["consumed"]))

    # --- for those who run the net ------------------------------------------------------------
    @property
    def batch_size(self) -> int:
        """Records in the batch that was delivered last."""
        return self._shape[0] if self._shape else 0

    @property
    def consumed(self) -> int:
        """Records delivered so far, over all passes."""
        return self._prefetcher.consumed if self._prefetcher else self._start

    def seek(self, record: int) -> None:
        """Continue as after so many records, to resume a run exactly where it was."""
        self._start = record
        if self._prefetcher:
            self._prefetcher.seek(record)

    def close(self) -> None:
        """Stop reading ahead. The next ``forward`` goes on where the last one was."""
        if self._prefetcher:
            self._prefetcher.close()
