"""HDF5Output: writes its bottoms into an HDF5 file, as datasets ``data`` and ``label``.

As BVLC Caffe 1.0 for the first forward pass, after which Caffe stops with an error; here further
passes add their rows to the file.
"""

from __future__ import annotations

import os
from typing import Any

from protonet.blob import Blob
from protonet.errors import GraphError, OutputError
from protonet.layer import Layer, register

DATASETS = ("data", "label")


@register("HDF5Output")
class HDF5Output(Layer):
    """Bottoms: (N, ...) each. No tops. The file is made, or made anew, by the first forward."""

    bottoms = 2
    tops = 0

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        if not self.param.hdf5_output_param.file_name:
            raise self.error("hdf5_output_param needs a file_name", GraphError)
        self._begun = False
        self._rows = 0

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        if bottom[0].shape[:1] != bottom[1].shape[:1] or not bottom[0].shape:
            raise self.error(
                "expected bottoms of as many rows as each other, "
                f"got shapes {bottom[0].shape} and {bottom[1].shape}"
            )

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Add the rows of both bottoms to the file.

        Raises:
            OutputError: the file cannot be written.
            ShapeError: rows of another shape than those before.
        """
        import h5py

        name = self.param.hdf5_output_param.file_name
        try:
            with h5py.File(name, "a" if self._begun else "w") as file:
                for dataset, blob in zip(DATASETS, bottom, strict=True):
                    self._append(file, dataset, blob)
        except OSError as error:
            raise self.error(f"'{name}' cannot be written: {error}", OutputError) from error
        self._begun = True
        self._rows += bottom[0].shape[0]

    def _append(self, file: Any, name: str, blob: Blob) -> None:
        if not self._begun:
            file.create_dataset(name, data=blob.data, maxshape=(None, *blob.shape[1:]))
            return
        dataset = file[name]
        if dataset.shape[1:] != blob.shape[1:]:
            raise self.error(
                f"rows of {name} had the shape {dataset.shape[1:]} before, got {blob.shape[1:]}"
            )
        # a run that goes on from a snapshot drops what was written after it
        dataset.resize(self._rows + blob.shape[0], axis=0)
        dataset[-blob.shape[0] :] = blob.data

    def resume_state(self) -> dict[str, Any]:
        return {"rows": self._rows}

    def resume_from(self, state: dict[str, Any]) -> None:
        """Go on behind the rows written then, if the file is still there."""
        self._rows = int(state["rows"])
        self._begun = self._rows > 0 and os.path.exists(self.param.hdf5_output_param.file_name)
        if not self._begun:
            self._rows = 0

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        """Leave the bottoms' gradients alone: nothing depends on what is written."""
