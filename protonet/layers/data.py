"""Data: images and labels from an LMDB or LevelDB of Datums, read ahead and transformed.

As BVLC Caffe 1.0: records come in the order of their keys, and after the last one the first
follows within the same batch. The first record of a batch gives the batch its shape.
"""

from __future__ import annotations

from protonet.blob import Blob
from protonet.data.batch import Batch, DatumReader
from protonet.data.datum import decode_datum
from protonet.data.mnist import SHAPE, BundledMnist, bundled_mnist
from protonet.data.paths import existing, find
from protonet.data.prefetch import Prefetcher
from protonet.data.source import Source, open_source
from protonet.data.transformer import Transformer
from protonet.errors import DataError
from protonet.layer import Layer, register
from protonet.random import spawn


@register("Data")
class Data(Layer):
    """Tops: data (batch_size, C, H, W), and label (batch_size,) if there is a second one.

    A source that does not exist but has one of MNIST's customary names stands for the bundled
    set, which is unpacked at the first ``forward``.
    """

    bottoms = 0
    tops = (1, 2)
    is_data = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Read the parameters and the shape of the first record.

        Raises:
            DataError: no such source, no database, no records, or a record that is no Datum.
        """
        p = self.param.data_param
        if p.batch_size < 1:
            raise self.error("data_param needs a batch_size of at least 1", DataError)
        if p.prefetch < 1:
            raise self.error("data_param needs a prefetch of at least 1", DataError)
        rng = spawn()
        try:
            self.transformer = Transformer(self.param.transform_param, self.phase, self.where)
            if p.force_encoded_color:
                self.transformer.color = True
            self._bundled = self._find_bundled()
            if self._bundled:
                image_shape = SHAPE
            else:
                self._path = existing(p.source, "source", self.where, "; the bundled sets: MNIST")
                image, _ = decode_datum(
                    self._open().first(), lambda: self._open().describe(0), self.transformer.color
                )
                image_shape = image.shape
            self._shape = (p.batch_size, *self.transformer.output_shape(image_shape))
            self.transformer.mean(image_shape)
        except DataError as error:
            raise self.error(str(error), DataError) from error
        self._rng = rng
        self._skip = int(rng.integers(p.rand_skip)) if p.rand_skip else 0
        self._prefetcher: Prefetcher[Batch] | None = None
        self._start = 0

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        top[0].reshape(*self._shape)
        if len(top) > 1:
            top[1].reshape(self._shape[0])

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Write the next batch. The data top takes another shape if the records do.

        Raises:
            DataError: a record is broken or does not fit its batch.
        """
        try:
            if self._prefetcher is None:
                self._prefetcher = self._start_reading()
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

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        """Nothing flows into a source."""

    # --- for those who run the net ------------------------------------------------------------
    def source_path(self) -> str:
        """Return the folder of the database, which for a bundled one may not be there yet."""
        return self._bundled.path if self._bundled else self._path

    def records(self) -> int:
        """Return the number of records of the source. A LevelDB is read through to count them."""
        return len(self._bundled) if self._bundled else len(self._open())

    def __len__(self) -> int:
        return self.records()

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

    # --- inner --------------------------------------------------------------------------------
    def _find_bundled(self) -> BundledMnist | None:
        p = self.param.data_param
        if find(p.source, self.where):
            return None
        return bundled_mnist(p.source, "lmdb" if p.backend == p.LMDB else "leveldb")

    def _open(self) -> Source:
        if self._bundled:
            return self._bundled.open(self.param.data_param.source)
        return open_source(self._path)

    def _start_reading(self) -> Prefetcher[Batch]:
        p = self.param.data_param
        reader = DatumReader(self._open(), self.transformer, p.batch_size, self._rng, self._skip)
        prefetcher = Prefetcher(reader, [Batch.empty() for _ in range(p.prefetch)])
        prefetcher.seek(self._start)
        return prefetcher
