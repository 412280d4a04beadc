"""The ``protonet data`` commands."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from protonet.cli.data import command
from protonet.data.datum import decode_datum
from protonet.data.source import open_source
from protonet.data.transformer import read_mean
from protonet.errors import DataError, OutputError
from protonet.schema import caffe_pb2 as pb

REFERENCE = Path(__file__).parent.parent / "reference"


def run(*args: Any) -> Any:
    return CliRunner().invoke(command, [str(a) for a in args])


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ([], ["lmdb"]),
        (["--backend", "leveldb"], ["leveldb"]),
        (["--backend", "both"], ["lmdb", "leveldb"]),
    ],
)
def test_mnist(tmp_path: Path, options: list[str], kinds: list[str]) -> None:
    folder = tmp_path / "new" / "dir"
    done = run("mnist", folder, *options)
    assert done.exit_code == 0, done.output
    counts = {"train": 60_000, "test": 10_000}
    names = [f"mnist_{part}_{kind}" for kind in kinds for part in counts]
    assert sorted(p.name for p in folder.iterdir()) == sorted(names)
    assert done.output.splitlines() == [
        f"{folder / f'mnist_{part}_{kind}'}: {n:,} records"
        for kind in kinds
        for part, n in counts.items()
    ]
    for kind in kinds:
        source = open_source(folder / f"mnist_test_{kind}")
        assert (source.kind, len(source)) == (kind, 10_000)


def test_mnist_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "mnist_test_lmdb").mkdir()
    done = run("mnist", tmp_path)
    assert isinstance(done.exception, OutputError)
    assert str(done.exception).endswith("mnist_test_lmdb' exists already; it is not overwritten")
    assert [p.name for p in tmp_path.iterdir()] == ["mnist_test_lmdb"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a copy of the reference data, and a cache folder of its own."""
    shutil.copytree(REFERENCE / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROTONET_CACHE", str(tmp_path / "cache"))
    return tmp_path


def datums(path: str) -> list[Any]:
    return [pb.Datum.FromString(value) for value in open_source(path).values()]


@pytest.mark.parametrize(
    ("options", "same_as"),
    [
        ([], "data/raw-lmdb"),
        (["--backend=leveldb"], "data/raw-leveldb"),
        (["-encoded", "-backend", "lmdb"], "data/encoded-lmdb"),
        (["--encode_type=png"], "data/encoded-lmdb"),
        (["-gray", "--backend", "leveldb"], "data/gray-leveldb"),
    ],
)
def test_images_as_caffe_wrote_them(here: Path, options: list[str], same_as: str) -> None:
    done = run("images", *options, "", "data/list.txt", "db")
    assert (done.exit_code, done.output) == (0, "db: 6 records\n")
    source = open_source("db")
    assert source.kind == ("leveldb" if "leveldb" in same_as else "lmdb")
    assert list(source) == list(open_source(same_as))


def test_images_of_class_folders(here: Path) -> None:
    for i, name in enumerate(["zebra/a.png", "ant/b.png", "ant/more/c.PNG", "ant/notes.txt"]):
        (here / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(f"data/images/im{i}.png", here / "set" / name)
    done = run("images", "set", "db", "--resize", "4x5", "--gray")
    assert (done.exit_code, done.output) == (0, "db: 3 records\n")
    assert [k.decode() for k in open_source("db").keys()] == [
        "00000000_ant/b.png", "00000001_ant/more/c.PNG", "00000002_zebra/a.png",
    ]  # fmt: skip
    assert [(d.label, d.channels, d.height, d.width) for d in datums("db")] == [
        (0, 1, 4, 5), (0, 1, 4, 5), (1, 1, 4, 5),
    ]  # fmt: skip
    assert (here / "db_classes.txt").read_text() == "ant 0\nzebra 1\n"


def test_images_in_a_random_order(here: Path) -> None:
    orders = []
    for i, seed in enumerate([1, 1, 2]):
        assert run("images", "-shuffle", "--seed", seed, "data/list.txt", f"db{i}").exit_code == 0
        orders.append([d.label for d in datums(f"db{i}")])
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2]) == [0, 1, 2, 3, 5, 6]


@pytest.mark.parametrize("form", ["jpg", "png"])
def test_images_encoded_anew(here: Path, form: str) -> None:
    done = run("images", "--encode-type", form, "--resize-height=6", "--resize-width=7",
               "data/sizes.txt", "db")  # fmt: skip
    assert done.exit_code == 0, done.output
    for datum in datums("db"):
        assert datum.encoded
        assert datum.data[:3] == {"jpg": b"\xff\xd8\xff", "png": b"\x89PN"}[form]
        image, _ = decode_datum(datum.SerializeToString(), str)
        assert image.shape == (3, 6, 7)


def test_images_that_are_broken(here: Path) -> None:
    (here / "list.txt").write_text("data/images/im0.png 1\ngone.png 2\ndata/h5.txt 3\n")
    done = run("images", "list.txt", "db")
    assert isinstance(done.exception, DataError)
    assert str(done.exception).startswith("image 'gone.png' (line 2 of 'list.txt') does not exist")
    assert not (here / "db").exists()
    done = run("images", "list.txt", "db", "--skip-broken")
    assert done.exit_code == 0
    assert "db: 1 records" in done.output
    assert "left out: image 'gone.png' (line 2 of 'list.txt') does not exist" in done.output
    assert "left out: image 'data/h5.txt' (line 3 of 'list.txt') is not an image" in done.output


@pytest.mark.parametrize(
    ("args", "kind", "message"),
    [
        (
            ["nowhere", "db"],
            DataError,
            "'nowhere' does not exist; expected a list file or a folder",
        ),
        (["data/images", "db"], DataError, "'data/images' holds no images in subfolders"),
        (["data/list.txt", "data"], OutputError, "'data' exists already; it is not overwritten"),
        (
            ["data/sizes.txt", "db", "--check_size"],
            DataError,
            r"line 2 of 'data/sizes.txt'\) has the shape \(3, 7, 11\), those before \(3, 9, 8\)",
        ),
    ],
)
def test_images_errors(here: Path, args: list[str], kind: Any, message: str) -> None:
    done = run("images", *args)
    assert isinstance(done.exception, kind)
    assert re.search(message, str(done.exception))
    assert not (here / "db").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["db"], "expected [ROOT] IMAGES DB, got 1 arguments"),
        (["a", "db", "--resize", "256"], "expected HEIGHTxWIDTH, such as 256x256, got '256'"),
        (["a", "db", "--resize", "0x3"], "expected HEIGHTxWIDTH"),
        (["a", "db", "--resize_width", "3"], "--resize-height and --resize-width belong together"),
    ],
)
def test_images_usage(args: list[str], message: str) -> None:
    done = run("images", *args)
    assert done.exit_code == 2
    assert message in done.output


@pytest.mark.parametrize(
    ("database", "recorded"),
    [
        ("data/raw-lmdb", "data/raw_mean.binaryproto"),
        ("data/encoded-lmdb", "data/raw_mean.binaryproto"),
    ],
)
def test_mean_as_caffe_wrote_it(here: Path, database: str, recorded: str) -> None:
    done = run("mean", database, "mean.binaryproto")
    assert done.exit_code == 0, done.output
    assert (here / "mean.binaryproto").read_bytes() == (REFERENCE / recorded).read_bytes()
    lines = done.output.splitlines()
    assert lines[0] == "mean.binaryproto: mean of 6 images of shape (3, 9, 8)"
    want = read_mean("mean.binaryproto").mean((1, 2))
    got = [
        float(line.removeprefix(f"mean_value channel [{i}]: ")) for i, line in enumerate(lines[1:])
    ]
    assert got == pytest.approx(want, rel=1e-5)


def test_mean_of_mnist_as_caffe_wrote_it(tmp_path: Path, monkeypatch: Any) -> None:
    shutil.copytree(REFERENCE / "mnist-1k-lmdb", tmp_path / "db")
    monkeypatch.chdir(tmp_path)
    assert run("mean", "db", "mean", "--backend=lmdb").exit_code == 0
    recorded = (REFERENCE / "nets/mnist-1k_mean.binaryproto").read_bytes()
    assert (tmp_path / "mean").read_bytes() == recorded


def test_mean_errors(here: Path) -> None:
    for args, kind, message in [
        (["nowhere"], DataError, r"database 'nowhere' does not exist \(looked in: /"),
        (["sizes"], DataError, r"record 1 .* has the shape \(3, 7, 11\), those before \(3, 9, 8\)"),
        (["data/raw-lmdb", "no/mean"], OutputError, "no/mean: cannot be written"),
    ]:
        if args == ["sizes"]:
            run("images", "data/sizes.txt", "sizes")
        done = run("mean", *args)
        assert isinstance(done.exception, kind), done.output
        assert re.search(message, str(done.exception))


def test_show(here: Path) -> None:
    done = run("show", "data/raw-lmdb", "--sheet", "sheet.png", "--count", 4)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0] == "database  data/raw-lmdb (lmdb, 0.0 MB)"
    assert lines[1].endswith("6, 00000000_data/images/im0.png to 00000005_data/images/im5.png")
    assert lines[2:5] == [
        "shapes    3 x 9 x 8 (6)",
        "kept as   raw (6)",
        "labels    6, 0 to 6, 1 to 1 records each",
    ]
    assert [line.split()[:2] for line in lines[5:11]] == [[str(n), "1"] for n in (0, 1, 2, 3, 5, 6)]
    assert lines[11:] == ["sheet.png: the first 4 images"]
    with Image.open("sheet.png") as sheet:
        assert sheet.size == (2 * 70 + 6, 2 * 84 + 6)
        first = np.asarray(sheet)[6:70, 6:62]  # 9 x 8 pixels, each enlarged to 7
    with Image.open("data/images/im0.png") as image:
        np.testing.assert_array_equal(first[3::7, 3::7][:9], np.asarray(image))


@pytest.mark.parametrize(
    ("database", "want"),
    [
        ("data/encoded-lmdb", {"kind": "lmdb", "forms": {"png": 6}, "shape": [3, 9, 8]}),
        ("data/float-lmdb", {"kind": "lmdb", "forms": {"float": 5}, "shape": [2, 4, 3]}),
        ("data/gray-leveldb", {"kind": "leveldb", "forms": {"raw": 6}, "shape": [1, 9, 8]}),
        ("mnist_test_lmdb", {"kind": "lmdb", "forms": {"raw": 10000}, "shape": [1, 28, 28]}),
    ],
)
def test_show_json(here: Path, database: str, want: dict[str, Any]) -> None:
    done = run("show", database, "--json", "--sheet", "sheet.png")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    count = sum(want["forms"].values())
    assert {name: told[name] for name in ("kind", "forms")} == {
        k: want[k] for k in ("kind", "forms")
    }
    assert told["records"] == sum(told["labels"].values()) == count
    assert told["shapes"] == [{"shape": want["shape"], "records": count}]
    assert (here / "sheet.png").exists()
