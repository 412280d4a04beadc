"""Rows of HDF5 files: what HDF5Data reads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from protonet import random
from protonet.blob import Array, Shape
from protonet.data.paths import existing
from protonet.errors import DataError
from protonet.hdf5_files import check_size, opened

Order = np.ndarray[Any, np.dtype[np.int64]]


def read_file_list(path: str, where: str = "") -> list[str]:
    """Return the paths of the files that a list names, one a line.

    Raises:
        DataError: the list cannot be read or names nothing, or a file does not exist.
    """
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            names = file.read().split()
    except OSError as error:
        raise DataError(f"source '{path}' cannot be read: {error.strerror}") from error
    if not names:
        raise DataError(f"source '{path}' lists no HDF5 files")
    return [existing(name, "HDF5 file", where, named_in=path) for name in names]


class Hdf5Rows:
    """The rows of some datasets in one file after the other, around and around.

    One file is in memory at a time.
    """

    def __init__(
        self, paths: list[str], names: Sequence[str], shuffle: np.random.Generator | None = None
    ) -> None:
        """Look at the first file's shapes; no values are read yet.

        Args:
            names: of the datasets, in every file.
            shuffle: for a new order of files in every pass and of rows in every file.

        Raises:
            DataError: a dataset is missing, holds no numbers, or its rows are not as many as
                those of its siblings.
        """
        self._paths = paths
        # files are opened one by one while the net runs, from whichever folder it is in then
        self._places = [os.path.abspath(path) for path in paths]
        self._names = names
        self._shuffle = shuffle
        self._shuffle_state = shuffle.bit_generator.state if shuffle else {}
        self._rows: dict[int, int] = {}
        self.shapes: list[Shape] = []
        self.shapes = self._look(0)
        self.seek(0)

    def _look(self, index: int) -> list[Shape]:
        """Return the shapes of a file's rows, and note how many there are."""
        with self._open(index) as file:
            shapes = [dataset.shape for dataset in self._datasets(index, file)]
        self._rows[index] = shapes[0][0]
        return [shape[1:] for shape in shapes]

    def _open(self, index: int) -> AbstractContextManager[Any]:
        broken = f"'{self._paths[index]}' cannot be read as an HDF5 file"
        return opened(self._places[index], broken, DataError)

    def _datasets(self, index: int, file: Any) -> list[Any]:
        import h5py

        path = self._paths[index]
        found: list[Any] = []
        for i, name in enumerate(self._names):
            dataset = file.get(name)
            if not isinstance(dataset, h5py.Dataset):
                held = ", ".join(sorted(file)) or "nothing"
                raise DataError(f"'{path}' has no dataset '{name}'; it holds {held}")
            if dataset.dtype.kind not in "iuf":
                raise DataError(f"'{path}': dataset '{name}' holds {dataset.dtype}, not numbers")
            if not dataset.shape or dataset.shape[0] == 0:
                raise DataError(
                    f"'{path}': dataset '{name}' has no rows, its shape is {dataset.shape}"
                )
            if found and dataset.shape[0] != found[0].shape[0]:
                raise DataError(
                    f"'{path}': dataset '{name}' has {dataset.shape[0]} rows, "
                    f"but '{self._names[0]}' has {found[0].shape[0]}"
                )
            if self.shapes and dataset.shape[1:] != self.shapes[i]:
                raise DataError(
                    f"'{path}': rows of dataset '{name}' have the shape {dataset.shape[1:]}, "
                    f"but in '{self._paths[0]}' {self.shapes[i]}"
                )
            found.append(dataset)
        return found

    def count(self) -> int:
        """Return the number of rows of all files."""
        for index in range(len(self._paths)):
            if index not in self._rows:
                self._look(index)
        return sum(self._rows.values())

    def seek(self, row: int) -> None:
        """Go on with the row that comes after so many."""
        if self._shuffle:
            self._shuffle = random.thawed(self._shuffle_state)  # a new one, see DatumReader.seek
        self._files: list[int] = []
        self._loaded: tuple[int, list[Array]] | None = None
        self._next_file()
        while row >= len(self._order):
            row -= len(self._order)
            self._next_file()
        self._at = row

    def describe_next(self) -> str:
        """Return how messages name the row that comes next."""
        return f"'{self._paths[self._file]}', row {self._order[self._at]}"

    def _next_file(self) -> None:
        """Go to the start of the next file; after the last one comes the first of a new pass."""
        if not self._files:
            count = len(self._paths)
            order = self._shuffle.permutation(count) if self._shuffle else np.arange(count)
            self._files = order.tolist()[::-1]
        self._file = self._files.pop()
        if self._file not in self._rows:
            self._look(self._file)
        rows = self._rows[self._file]
        self._order: Order = self._shuffle.permutation(rows) if self._shuffle else np.arange(rows)
        self._at = 0

    def read(self, outputs: list[Array]) -> None:
        """Write the next rows into arrays of one first axis, in the order of the names.

        Raises:
            DataError: a file is broken or unlike the first one.
        """
        done, count = 0, len(outputs[0])
        while done < count:
            if self._at == len(self._order):
                self._next_file()
            values = self._values()
            rows = self._order[self._at : self._at + count - done]
            for y, x in zip(outputs, values, strict=True):
                y[done : done + len(rows)] = x[rows]
            self._at += len(rows)
            done += len(rows)

    def _values(self) -> list[Array]:
        if self._loaded is None or self._loaded[0] != self._file:
            with self._open(self._file) as file:
                datasets = self._datasets(self._file, file)
                for dataset in datasets:
                    check_size(dataset)
                values = [np.asarray(d[...], np.float32) for d in datasets]
            self._loaded = (self._file, values)
        return self._loaded[1]
