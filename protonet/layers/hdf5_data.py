"""HDF5Data: rows of datasets in HDF5 files that a list names. As BVLC Caffe 1.0."""

from __future__ import annotations

from typing import Any

from protonet import random
from protonet.blob import Blob
from protonet.data.hdf5 import Hdf5Rows, read_file_list
from protonet.data.paths import existing
from protonet.errors import DataError
from protonet.layer import Layer, register


@register("HDF5Data")
class HDF5Data(Layer):
    """Tops: (batch_size, ...) each, the rows of the dataset that has the top's name.

    The files follow one another, and after the last one the first again, within a batch too.
    With ``shuffle`` files and rows come in a new order in every pass. All datasets of a file
    have equally many rows.
    """

    bottoms = 0
    tops = (1, None)
    is_data = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Find the files and the shapes of their datasets.

        Raises:
            DataError: a file or dataset is missing or does not fit its siblings.
        """
        p = self.param.hdf5_data_param
        if p.batch_size < 1:
            raise self.error("hdf5_data_param needs a batch_size of at least 1", DataError)
        if self.param.HasField("transform_param"):
            raise self.error("transform_param does not apply to HDF5 data", DataError)
        self._seed = random.frozen(random.spawn())
        try:
            self._rows = self._open()
        except DataError as error:
            raise self.error(str(error), DataError) from error
        self._size = p.batch_size
        self.consumed = 0

    def _open(self) -> Hdf5Rows:
        p = self.param.hdf5_data_param
        self._list = existing(p.source, "source", self.where)
        paths = read_file_list(self._list, self.where)
        shuffle = random.thawed(self._seed) if p.shuffle else None
        return Hdf5Rows(paths, list(self.param.top), shuffle)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        for blob, shape in zip(top, self._rows.shapes, strict=True):
            blob.reshape(self._size, *shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Write the next rows.

        Raises:
            DataError: a file is broken or unlike the first one.
        """
        try:
            self._rows.read([blob.data for blob in top])
        except DataError as error:
            raise self.error(str(error), DataError) from error
        self.consumed += self._size

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        """Nothing flows into a source."""

    # --- going on from a snapshot ------------------------------------------------------------
    def resume_state(self) -> dict[str, Any]:
        return {"consumed": self.consumed, "generator": self._seed}

    def resume_from(self, state: dict[str, Any]) -> None:
        self._seed = dict(state["generator"])
        try:
            self._rows = self._open()
            self.seek(int(state["consumed"]))
        except DataError as error:
            raise self.error(str(error), DataError) from error

    # --- for those who run the net ------------------------------------------------------------
    def source_path(self) -> str:
        """Return the path of the list of files."""
        return self._list

    @property
    def batch_size(self) -> int:
        """Rows in a batch."""
        return self._size

    def describe_record(self, record: int) -> str:
        """Return how messages name the row delivered after so many, over all passes."""
        rows = self._open()
        rows.seek(record)
        return rows.describe_next()

    def records(self) -> int:
        """Return the number of rows of all files."""
        return self._rows.count()

    def seek(self, record: int) -> None:
        """Continue as after so many rows, to resume a run exactly where it was."""
        self._rows.seek(record)
        self.consumed = record
