"""The HDF5Data layer: recorded batches, several files, shuffling, and what can be wrong."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from batches import compare_batches, data_cases, recorded_layer
from harness import build
from places import REFERENCE

from protonet.blob import Blob
from protonet.errors import DataError
from protonet.layer import TEST
from protonet.layers.hdf5_data import HDF5Data
from protonet.schema import caffe_pb2 as pb


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, **datasets: Any) -> None:
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file.create_dataset(name, data=values)


def write_rows(folder: Path, *counts: int) -> None:
    """Files 0.h5, ...: x of shape (rows, 2, 3), all of a row's values its number; t the number."""
    start = 0
    for i, count in enumerate(counts):
        t = np.arange(start, start + count)
        write(folder / f"{i}.h5", x=np.broadcast_to(t[:, None, None], (count, 2, 3)) * 1.0, t=t)
        start += count
    (folder / "list.txt").write_text("".join(f"{i}.h5\n" for i in range(len(counts))))


def rows_of(layer: Any, top: list[Blob], batches: int) -> list[int]:
    got: list[int] = []
    for _ in range(batches):
        layer.forward([], top)
        assert (top[0].data == top[1].data[:, None, None]).all()
        got += [int(v) for v in top[1].data]
    return got


def text(batch: int = 2, more: str = "", tops: tuple[str, ...] = ("x", "t")) -> str:
    names = " ".join(f'top: "{name}"' for name in tops)
    return (
        f'type: "HDF5Data" {names} '
        f'hdf5_data_param {{ source: "list.txt" batch_size: {batch} {more} }}'
    )


@pytest.mark.parametrize("case", data_cases("hdf5data_"))
def test_reference(here: Path, case: dict[str, Any]) -> None:
    shutil.copytree(REFERENCE / "data", here / "data")
    layer, top, arrays = recorded_layer(case, here)
    compare_batches(case, layer, top, arrays)


@pytest.mark.parametrize(
    ("counts", "batch", "want"),
    [
        ([5], 2, [0, 1, 2, 3, 4, 0, 1, 2]),
        ([2, 1, 3], 4, [0, 1, 2, 3, 4, 5, 0, 1]),
        ([2, 1], 8, [0, 1, 2, 0, 1, 2, 0, 1]),
    ],
)
def test_rows_go_around(here: Path, counts: list[int], batch: int, want: list[int]) -> None:
    write_rows(here, *counts)
    layer, _, top = build(text(batch), [], tops=2)
    assert [b.shape for b in top] == [(batch, 2, 3), (batch,)]
    assert rows_of(layer, top, 8 // batch) == want
    assert (layer.records(), layer.consumed, layer.source_path()) == (sum(counts), 8, "list.txt")


def test_shuffle(here: Path) -> None:
    write_rows(here, 4, 2)
    layer, _, top = build(text(3, "shuffle: true"), [], tops=2)
    passes = [rows_of(layer, top, 2) for _ in range(12)]
    assert all(sorted(p) == [0, 1, 2, 3, 4, 5] for p in passes)
    assert len({tuple(p) for p in passes}) > 6
    assert {p[0] < 4 for p in passes} == {True, False}  # the files change places too
    again, _, top = build(text(3, "shuffle: true"), [], tops=2)
    again.seek(6 * 7 + 3)
    assert rows_of(again, top, 1) == passes[7][3:]


def test_types_and_names(here: Path) -> None:
    """Integers and doubles become float32; datasets are chosen by the tops' names."""
    write(here / "0.h5", a=np.array([[2**24 + 1], [-3]]), b=np.array([0.1, 2.0]), c=["text", "x"])
    (here / "list.txt").write_text("0.h5")
    layer, _, top = build(text(2, "", ("b", "a")), [], tops=2)
    layer.forward([], top)
    np.testing.assert_array_equal(top[0].data, np.float32([0.1, 2.0]))
    np.testing.assert_array_equal(top[1].data, np.float32([[2**24], [-3]]))


def test_files_beside_the_net_file(here: Path, monkeypatch: Any) -> None:
    write_rows(here, 3)
    (here / "elsewhere").mkdir()
    monkeypatch.chdir(here / "elsewhere")
    param = pb.LayerParameter(name="d", type="HDF5Data", top=["x", "t"])
    param.hdf5_data_param.source, param.hdf5_data_param.batch_size = "list.txt", 2
    layer, top = HDF5Data(param, TEST, f"{here}/net.prototxt:3: "), [Blob(), Blob()]
    layer.setup([], top)
    layer.reshape([], top)
    assert rows_of(layer, top, 1) == [0, 1]


ROWS = np.zeros((3, 2))
SETUP_ERRORS: list[tuple[str, dict[str, Any], str, str]] = [
    ("rows", {"x": ROWS, "t": np.zeros(4)}, "", r"'0\.h5': dataset 't' has 4 rows, but 'x' has 3"),
    ("missing", {"x": ROWS, "y": ROWS}, "", r"'0\.h5' has no dataset 't'; it holds x, y"),
    ("text", {"x": ROWS, "t": ["a", "b", "c"]}, "", "dataset 't' holds object, not numbers"),
    ("scalar", {"x": 3.0, "t": ROWS}, "", r"dataset 'x' has no rows, its shape is \(\)"),
    ("none", {"x": ROWS[:0], "t": ROWS[:0]}, "", r"dataset 'x' has no rows, its shape is \(0, 2\)"),
    ("transform", {"x": ROWS, "t": ROWS}, "transform_param { }", "transform_param does not apply"),
]


@pytest.mark.parametrize(
    ("datasets", "more", "message"), [e[1:] for e in SETUP_ERRORS], ids=[e[0] for e in SETUP_ERRORS]
)
def test_errors_at_setup(here: Path, datasets: dict[str, Any], more: str, message: str) -> None:
    write(here / "0.h5", **datasets)
    (here / "list.txt").write_text("0.h5")
    with pytest.raises(DataError, match=rf"^layer 'under_test' \(HDF5Data\): .*{message}"):
        build(f"{text()} {more}", [], tops=2)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"source 'list.txt' does not exist \(looked in: /"),
        ({"list.txt": b"\n"}, "source 'list.txt' lists no HDF5 files"),
        ({"list.txt": b"a.h5"}, r"HDF5 file 'a.h5' does not exist \(looked in: /"),
        ({"list.txt": b"a.h5", "a.h5": b"no"}, "'a.h5' cannot be read as an HDF5 file"),
    ],
    ids=["no_list", "empty", "no_file", "rubbish"],
)
def test_files_that_are_missing_or_broken(
    here: Path, files: dict[str, bytes], message: str
) -> None:
    for name, content in files.items():
        (here / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        build(text(), [], tops=2)
    with pytest.raises(DataError, match="batch_size of at least 1"):
        build(text(0), [], tops=2)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (
            {"x": np.zeros((2, 5)), "t": np.zeros(2)},
            r"rows .* have the shape \(5,\), but in '0.h5' \(2,\)",
        ),
        ({"x": np.zeros((2, 2)), "t": np.zeros(3)}, "dataset 't' has 3 rows, but 'x' has 2"),
        ({"x": np.zeros((2, 2))}, "has no dataset 't'; it holds x"),
    ],
)
def test_second_file_unlike_the_first(here: Path, second: dict[str, Any], message: str) -> None:
    write(here / "0.h5", x=ROWS, t=np.zeros(3))
    write(here / "1.h5", **second)
    (here / "list.txt").write_text("0.h5\n1.h5\n")
    layer, _, top = build(text(3), [], tops=2)
    layer.forward([], top)
    with pytest.raises(
        DataError, match=rf"^layer 'under_test' \(HDF5Data\): '1.h5': .*{message}|{message}"
    ):
        layer.forward([], top)
