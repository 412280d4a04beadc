"""HDF5Data: rows of datasets in HDF5 files that a list names. As BVLC Caffe 1.0."""

from __future__ import annotations

from protonet.blob import Blob
from protonet.data.hdf5 import Hdf5Rows, read_file_list
from protonet.data.paths import existing
from protonet.errors import DataError
from protonet.layer import Layer, register
from protonet.random import spawn


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
        shuffle = spawn()
        try:
            self._list = existing(p.source, "source", self.where)
            paths = read_file_list(self._list, self.where)
            self._rows = Hdf5Rows(paths, list(self.param.top), shuffle if p.shuffle else None)
        except DataError as error:
            raise self.error(str(error), DataError) from error
        self._size = p.batch_size
        self.consumed = 0

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

    # --- for those who run the net ------------------------------------------------------------
    def source_path(self) -> str:
        """Return the path of the list of files."""
        return self._list

    def records(self) -> int:
        """Return the number of rows of all files."""
        return self._rows.count()

    def seek(self, record: int) -> None:
        """Continue as after so many rows, to resume a run exactly where it was."""
        self._rows.seek(record)
        self.consumed = record
