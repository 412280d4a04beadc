"""The bundled MNIST: its files, its names, and the databases made of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protonet.data import mnist
from protonet.data.mnist import BundledMnist, bundled_mnist, load_mnist
from protonet.data.source import open_source
from protonet.errors import DataError, OutputError
from protonet.schema import caffe_pb2 as pb

NAMES = [
    ("mnist-train-leveldb", "lmdb", ("train", "leveldb")),
    ("mnist-test-leveldb", "lmdb", ("test", "leveldb")),
    ("mnist_train_lmdb", "leveldb", ("train", "lmdb")),
    ("mnist_test_lmdb/", "leveldb", ("test", "lmdb")),
    ("examples/mnist/mnist_train_lmdb", "leveldb", ("train", "lmdb")),
    ("examples\\mnist\\mnist_test_leveldb", "lmdb", ("test", "leveldb")),
    ("/data/MNIST_train_LMDB", "leveldb", ("train", "lmdb")),
    ("mnist-train", "lmdb", ("train", "lmdb")),
    ("mnist_test_db", "leveldb", ("test", "leveldb")),
    ("", "lmdb", None),
    ("mnist", "lmdb", None),
    ("my_mnist_train_lmdb", "lmdb", None),
    ("mnist_train_lmdb2", "lmdb", None),
    ("mnist_train_lmdb/data.mdb", "lmdb", None),
    ("fashion-mnist-train-lmdb", "lmdb", None),
    ("cifar10_train_lmdb", "lmdb", None),
]


@pytest.mark.parametrize(("name", "backend", "want"), NAMES)
def test_names(name: str, backend: str, want: tuple[str, str] | None) -> None:
    got = bundled_mnist(name, backend)
    assert got == (want and BundledMnist(*want))


def test_arrays() -> None:
    arrays = load_mnist()
    assert {name: a.shape for name, a in arrays.items()} == {
        "train_images": (60000, 28, 28),
        "train_labels": (60000,),
        "test_images": (10000, 28, 28),
        "test_labels": (10000,),
    }
    assert {a.dtype for a in arrays.values()} == {np.dtype(np.uint8)}
    assert arrays["train_labels"][:5].tolist() == [5, 0, 4, 1, 9]
    assert np.bincount(arrays["test_labels"]).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["lmdb", "leveldb"])
def test_built_once(kind: str, cache: Path, caplog: Any) -> None:
    caplog.set_level("INFO", "protonet")
    bundled = BundledMnist("test", kind)
    source = bundled.open("some/mnist_test")
    assert source.kind == kind
    assert source.path == bundled.path == str(cache / "data" / f"mnist_test_{kind}")
    assert len(source) == len(bundled) == 10_000
    arrays = load_mnist()
    for i, (key, value) in enumerate(source):
        if i % 501 == 0:
            datum = pb.Datum.FromString(value)
            assert datum.SerializeToString() == value
            assert key == b"%08d" % i
            assert (datum.channels, datum.height, datum.width) == (1, 28, 28)
            assert datum.data == arrays["test_images"][i].tobytes()
            assert datum.label == arrays["test_labels"][i]
    again = bundled.open("some/mnist_test")
    assert again is source
    lines = [r.getMessage() for r in caplog.records]
    assert len(lines) == 2
    assert lines[0].startswith("source 'some/mnist_test' does not exist: building it from")
    assert lines[1].startswith("source 'some/mnist_test' does not exist: using the bundled MNIST")
    assert [p.name for p in (cache / "data").iterdir()] == [f"mnist_test_{kind}"]


def test_first_records_are_those_of_caffe(reference: Any) -> None:
    """The recorded database of 1,024 records came from the same files through Caffe's tool."""
    want = list(open_source(reference("mnist-1k-lmdb")))
    got = [record for record, _ in zip(mnist.records("train"), want, strict=False)]
    assert got == want


def test_two_processes_at_once(cache: Path) -> None:
    code = (
        "from protonet.data.mnist import BundledMnist;"
        "print(len(BundledMnist('test', 'lmdb').open('x')))"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in both:
        assert process.communicate() == ("10000\n", "")
    assert [p.name for p in (cache / "data").iterdir()] == ["mnist_test_lmdb"]


def test_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("PROTONET_CACHE", str(tmp_path / "file"))
    with pytest.raises(OutputError, match=r"cannot be written: .*; set PROTONET_CACHE to a folder"):
        BundledMnist("test", "lmdb").open("x")


def test_damaged_file(monkeypatch: Any) -> None:
    name = "t10k-labels-idx1-ubyte"
    monkeypatch.setitem(mnist._SHA256, name, "0" * 64)
    with pytest.raises(DataError, match=rf"the bundled MNIST file {name}\.xz is damaged"):
        load_mnist()
