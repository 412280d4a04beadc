"""The HDF5Output layer: the recorded file, further passes, and what can be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from batches import data_cases
from harness import build
from places import REFERENCE
from recordings import load

from protonet.errors import GraphError, OutputError, ShapeError

TEXT = 'type: "HDF5Output" hdf5_output_param { file_name: "output.h5" }'


@pytest.mark.parametrize("case", data_cases("hdf5output_"))
def test_reference(tmp_path: Path, monkeypatch: Any, case: dict[str, Any]) -> None:
    monkeypatch.chdir(tmp_path)
    arrays = load(REFERENCE / case["arrays"])
    values = [arrays["feed/x"], arrays["feed/t"]]
    layer, bottom, top = build(TEXT, [v.shape for v in values], values=values)
    assert not (tmp_path / "output.h5").exists()
    layer.forward(bottom, top)
    with h5py.File("output.h5") as file:
        assert sorted(file) == ["data", "label"]
        for name in file:
            np.testing.assert_array_equal(file[name], arrays[f"file/{name}"])
            assert file[name].dtype == np.float32


def test_further_passes_add_rows(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "output.h5").write_bytes(b"an older file")
    layer, bottom, top = build(TEXT, [(3, 2, 4), (3,)])
    want: list[Any] = []
    for i in range(3):
        bottom[0].data[...] = i
        want.append(bottom[0].data.copy())
        layer.forward(bottom, top)
    with h5py.File("output.h5") as file:
        np.testing.assert_array_equal(file["data"], np.concatenate(want))
        assert file["label"].shape == (9,)
    bottom[0].reshape(3, 4, 2)
    with pytest.raises(
        ShapeError, match=r"rows of data had the shape \(2, 4\) before, got \(4, 2\)"
    ):
        layer.forward(bottom, top)


def test_errors(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        GraphError, match=r"^layer 'under_test' \(HDF5Output\): .*needs a file_name"
    ):
        build('type: "HDF5Output"', [(3, 2), (3,)])
    with pytest.raises(ShapeError, match=r"got shapes \(3, 2\) and \(4,\)"):
        build(TEXT, [(3, 2), (4,)])
    layer, bottom, top = build(TEXT.replace("output.h5", "no/output.h5"), [(3, 2), (3,)])
    with pytest.raises(OutputError, match=r"'no/output\.h5' cannot be written"):
        layer.forward(bottom, top)
