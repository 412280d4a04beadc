"""Data: images and labels from an LMDB or LevelDB of Datums, read ahead and transformed.

As BVLC Caffe 1.0: records come in the order of their keys, and after the last one the first
follows within the same batch. The first record of a batch gives the batch its shape.
"""

from __future__ import annotations

from protonet.blob import Shape
from protonet.data.batch import DatumReader
from protonet.data.datum import decode_datum
from protonet.data.mnist import SHAPE, BundledMnist, bundled_mnist
from protonet.data.paths import existing, find
from protonet.data.source import Source, open_source
from protonet.data.transformer import Shape3, Transformer
from protonet.errors import DataError
from protonet.layer import register
from protonet.layers._read_ahead import ReadAhead


@register("Data")
class Data(ReadAhead):
    """Tops: data (batch_size, C, H, W), and label (batch_size,) if there is a second one.

    A relative source is looked up from the current folder, then from the folder of the net file.
    A source that does not exist but has one of MNIST's customary names stands for the bundled
    set, which is unpacked at the first ``forward``.
    """

    def prepare(self) -> Shape:
        p = self.param.data_param
        if p.batch_size < 1:
            raise DataError("data_param needs a batch_size of at least 1")
        if p.prefetch < 1:
            raise DataError("data_param needs a prefetch of at least 1")
        self.ahead = p.prefetch
        (self._rng,) = self.generators(1)
        self._skip = int(self._rng.integers(p.rand_skip)) if p.rand_skip else 0
        self.transformer = Transformer(self.param.transform_param, self.phase, self.where)
        if p.force_encoded_color:
            self.transformer.color = True
        self._bundled = self._find_bundled()
        if not self._bundled:
            self._path = existing(p.source, "source", self.where, "; the bundled sets: MNIST")
        shape = SHAPE if self._bundled else self._first_shape()
        self.transformer.mean(shape)
        return (p.batch_size, *self.transformer.output_shape(shape))

    def reader(self) -> DatumReader:
        return DatumReader(
            self._open(),
            self.transformer,
            self.param.data_param.batch_size,
            self._rng,
            self._skip,
            before_kernel=self.ahead + 1,  # those that the first iteration waits for
        )

    # --- for those who run the net ------------------------------------------------------------
    def source_path(self) -> str:
        """Return the folder of the database, which for a bundled one may not be there yet."""
        return self._bundled.path if self._bundled else self._path

    def describe_record(self, record: int) -> str:
        """Return how messages name the record delivered after so many, over all passes."""
        source = self._open()
        return source.describe((self._skip + record) % len(source))

    def records(self) -> int:
        """Return the number of records of the source. A LevelDB is read through to count them."""
        return len(self._bundled) if self._bundled else len(self._open())

    def __len__(self) -> int:
        return self.records()

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

    def _first_shape(self) -> Shape3:
        source = self._open()
        image, _ = decode_datum(source.first(), lambda: source.describe(0), self.transformer.color)
        return image.shape
