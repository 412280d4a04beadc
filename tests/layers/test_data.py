"""The Data layer: recorded batches, wrap-around, MNIST by name, and what can be wrong."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from batches import compare_batches, data_cases, recorded_layer
from harness import build
from places import REFERENCE

from protonet.blob import Blob
from protonet.data.writer import write_database
from protonet.errors import DataError
from protonet.layer import TEST, TRAIN
from protonet.layers.data import Data
from protonet.schema import caffe_pb2 as pb


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a copy of the reference data, and a cache folder of its own."""
    shutil.copytree(REFERENCE / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROTONET_CACHE", str(tmp_path / "cache"))
    return tmp_path


def write(
    path: Path, count: int, kind: str = "lmdb", shape: tuple[int, int, int] = (2, 3, 4)
) -> None:
    """Write datums; all bytes of the one with label i are i."""
    channels, height, width = shape

    def records() -> Any:
        for i in range(count):
            data = bytes([i]) * (channels * height * width)
            datum = pb.Datum(channels=channels, height=height, width=width, data=data, label=i)
            yield b"%08d" % i, datum.SerializeToString()

    write_database(str(path), kind, records())


def labels_of(layer: Any, top: list[Blob], batches: int) -> list[int]:
    got: list[int] = []
    for _ in range(batches):
        layer.forward([], top)
        assert (top[0].data == top[1].data.reshape(-1, 1, 1, 1)).all()
        got += [int(v) for v in top[1].data]
    return got


@pytest.mark.parametrize("case", data_cases("data_"))
def test_reference(here: Path, case: dict[str, Any]) -> None:
    layer, top, arrays = recorded_layer(case, here)
    compare_batches(case, layer, top, arrays)


@pytest.mark.parametrize("kind", ["lmdb", "leveldb"])
@pytest.mark.parametrize("backend", ["LMDB", "LEVELDB"])
@pytest.mark.parametrize("prefetch", [1, 4])
def test_wraps_around_whatever_backend_says(
    here: Path, kind: str, backend: str, prefetch: int
) -> None:
    write(here / "db", 7, kind)
    text = f'source: "db" batch_size: 3 backend: {backend} prefetch: {prefetch}'
    layer, _, top = build(f'type: "Data" data_param {{ {text} }}', [], tops=2)
    assert [b.shape for b in top] == [(3, 2, 3, 4), (3,)]
    assert labels_of(layer, top, 5) == [0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6, 0]
    assert layer.consumed == 15
    assert (layer.source_path(), layer.records(), len(layer)) == ("db", 7, 7)
    layer.seek(5)
    assert labels_of(layer, top, 1) == [5, 6, 0]
    layer.close()


def test_two_layers_read_one_source(here: Path) -> None:
    write(here / "db", 5)
    text = 'type: "Data" data_param { source: "db" batch_size: 2 backend: LMDB }'
    (one, _, top), (two, _, other) = build(text, [], tops=2), build(text, [], tops=2)
    assert labels_of(one, top, 2) == [0, 1, 2, 3]
    assert labels_of(two, other, 1) == [0, 1]
    assert labels_of(one, top, 1) == [4, 0]


def test_rand_skip(here: Path) -> None:
    write(here / "db", 9)
    text = 'type: "Data" data_param { source: "db" batch_size: 1 rand_skip: 4 }'
    starts = []
    for seed in range(20):
        layer, _, top = build(text, [], tops=2, seed=seed)
        starts += labels_of(layer, top, 1)
        again, _, top = build(text, [], tops=2, seed=seed)
        assert labels_of(again, top, 1) == starts[-1:]
    assert set(starts) == {0, 1, 2, 3}


def test_same_seed_same_crops(here: Path) -> None:
    text = (
        'type: "Data" data_param { source: "data/raw-lmdb" batch_size: 4 }'
        "transform_param { crop_size: 3 mirror: true }"
    )
    runs = []
    for seed in (1, 1, 2):
        layer, _, top = build(text, [], TRAIN, seed)
        layer.forward([], top)
        runs.append(top[0].data.copy())
    assert (runs[0] == runs[1]).all()
    assert (runs[0] != runs[2]).any()


def test_shape_follows_the_records(here: Path) -> None:
    def records() -> Any:
        for i, (h, w) in enumerate([(2, 3), (5, 4)]):
            datum = pb.Datum(channels=1, height=h, width=w, data=bytes([i]) * (h * w), label=i)
            yield b"%d" % i, datum.SerializeToString()

    write_database("db", "lmdb", records())
    layer, _, top = build('type: "Data" data_param { source: "db" batch_size: 1 }', [], tops=2)
    for shape in [(1, 1, 2, 3), (1, 1, 5, 4), (1, 1, 2, 3)]:
        layer.forward([], top)
        assert top[0].shape == shape


def test_source_beside_the_net_file(here: Path, monkeypatch: Any) -> None:
    write(here / "nets" / "db", 3)
    param = pb.LayerParameter(name="d", type="Data")
    param.data_param.source, param.data_param.batch_size = "db", 2
    layer, top = Data(param, TEST, f"{here}/nets/net.prototxt:7: "), [Blob(), Blob()]
    layer.setup([], top)
    assert layer.source_path() == str(here / "nets" / "db")
    write(here / "db", 4)  # the current folder comes first
    layer.setup([], top)
    assert (layer.source_path(), layer.records()) == ("db", 4)


def test_mnist_is_built_at_the_first_forward(here: Path, caplog: Any) -> None:
    caplog.set_level("INFO", "protonet")
    text = 'type: "Data" data_param { source: "mnist-test-leveldb" batch_size: 100 }'
    layer, _, top = build(text, [], tops=2)
    assert [b.shape for b in top] == [(100, 1, 28, 28), (100,)]
    assert len(layer) == 10_000
    assert not (here / "cache").exists()
    layer.forward([], top)
    assert top[1].data[:4].tolist() == [7, 2, 1, 0]
    assert os.listdir(layer.source_path()).count("CURRENT") == 1
    assert len(caplog.records) == 1


def test_mnist_is_never_built_where_the_source_exists(here: Path) -> None:
    write(here / "mnist_train_lmdb", 3)
    text = 'type: "Data" data_param { source: "mnist_train_lmdb" batch_size: 2 }'
    layer, _, top = build(text, [], tops=2)
    assert labels_of(layer, top, 2) == [0, 1, 2, 0]
    (here / "mnist_test_lmdb").mkdir()
    with pytest.raises(DataError, match="the folder is empty"):
        build(text.replace("train", "test"), [])
    assert not (here / "cache").exists()


ERRORS = [
    (
        "missing",
        'data_param { source: "nowhere" batch_size: 2 }',
        r"source 'nowhere' does not exist \(looked in: /.*/nowhere; the bundled sets: MNIST\)",
    ),
    ("no_source", "data_param { batch_size: 2 }", "source is not given"),
    ("no_batch", 'data_param { source: "db" }', "needs a batch_size of at least 1"),
    ("no_prefetch", 'data_param { source: "db" batch_size: 1 prefetch: 0 }', "prefetch of at"),
    (
        "no_database",
        'data_param { source: "data" batch_size: 2 }',
        "'data' is no database: .*holds",
    ),
    (
        "no_datum",
        'data_param { source: "rubbish" batch_size: 2 }',
        r"source 'rubbish': record 0 \(key '00000000'\) is not a Datum",
    ),
    (
        "crop",
        'data_param { source: "db" batch_size: 2 } transform_param { crop_size: 4 }',
        r"crop_size 4 is larger than the image of shape \(2, 3, 4\)",
    ),
    (
        "mean",
        'data_param { source: "db" batch_size: 2 } '
        'transform_param { mean_file: "data/raw_mean.binaryproto" }',
        r"mean_file '.*raw_mean.binaryproto' has the shape \(3, 9, 8\), but the image \(2, 3, 4\)",
    ),
]


@pytest.mark.parametrize(("text", "message"), [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS])
def test_errors_at_setup(here: Path, text: str, message: str) -> None:
    write(here / "db", 3)
    write_database("rubbish", "lmdb", iter([(b"00000000", b"\xff\xff")]))
    with pytest.raises(DataError, match=rf"^layer 'under_test' \(Data\): .*{message}") as raised:
        build(f'type: "Data" {text}', [])
    assert "\n" not in str(raised.value)


def test_error_while_reading_ahead_comes_with_its_batch(here: Path) -> None:
    values = [pb.Datum(channels=1, height=1, width=1, data=b"a").SerializeToString()] * 5
    values[4] = b"\xff\xff"
    write_database("db", "lmdb", ((b"%d" % i, v) for i, v in enumerate(values)))
    layer, _, top = build('type: "Data" data_param { source: "db" batch_size: 2 }', [])
    layer.forward([], top)
    layer.forward([], top)
    for _ in range(2):
        with pytest.raises(
            DataError, match=r"^layer 'under_test' \(Data\): .*record 4 \(key '4'\)"
        ):
            layer.forward([], top)
