"""LMDB and LevelDB sources: records, order, wrap-around, sharing, and folders left as they were."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import REFERENCE
from recordings import load

from protonet.data import leveldb_source
from protonet.data.source import Cursor, open_source
from protonet.errors import DataError
from protonet.schema import caffe_pb2 as pb

Copy = Callable[[str], Path]

KINDS = ["lmdb", "leveldb"]
RECORDED = [("mnist-1k-lmdb", 1024), ("mnist-1k-leveldb", 1024), ("mnist-1k-leveldb-log", 150)]


def snapshot(folder: Path) -> dict[str, Any]:
    """Everything about a folder that opening a database in it might change."""
    return {
        path.name: (hashlib.sha256(path.read_bytes()).digest(), path.stat().st_mtime_ns)
        for path in folder.iterdir()
    }


@pytest.mark.parametrize(("name", "count"), RECORDED)
def test_recorded_databases(reference: Copy, name: str, count: int) -> None:
    want = load(Path(__file__).parent.parent / "reference/nets/mnist-1k_records.npz")
    source = open_source(reference(name))
    records = list(source)
    assert len(source) == len(records) == count
    assert [key for key, _ in records] == [b"%08d" % i for i in range(count)]
    assert list(source.keys()) == [key for key, _ in records]
    assert list(source.values()) == [value for _, value in records]
    datums = [pb.Datum.FromString(value) for _, value in records]
    pixels = np.stack([np.frombuffer(d.data, np.uint8) for d in datums]).astype(np.int64)
    assert pixels.shape == (count, 784)
    np.testing.assert_array_equal([d.label for d in datums], want["label"][:count])
    np.testing.assert_array_equal(pixels.sum(1), want["pixel_sum"][:count])
    np.testing.assert_array_equal(pixels @ np.arange(784), want["weighted_sum"][:count])


@pytest.mark.parametrize(("name", "count"), RECORDED)
def test_read_only_folder_stays_as_it_is(reference: Copy, name: str, count: int) -> None:
    folder = reference(name)
    before = snapshot(folder)
    for path in [*folder.iterdir(), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        source = open_source(folder)
        assert sum(1 for _ in source) == count
        del source
        assert snapshot(folder) == before
    finally:
        folder.chmod(0o755)


def test_leveldb_cannot_write_through_its_shadow(database: Any) -> None:
    """A table that no manifest knows, under the number that LevelDB would take next."""
    folder = database([b"%05d" % i for i in range(5)], "leveldb")
    numbers = [int(p.stem) for p in folder.iterdir() if p.suffix in (".ldb", ".log")]
    strays = [folder / f"{n:06}.{s}" for n in range(max(numbers) + 1, 30) for s in ("ldb", "sst")]
    for stray in strays[::2] + strays[21::2]:
        stray.write_bytes(b"not to be touched")
    before = snapshot(folder)
    source = open_source(folder)
    assert len(source) == 5
    del source
    assert snapshot(folder) == before


def test_shadow_is_removed(reference: Copy, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "shadows"))
    (tmp_path / "shadows").mkdir()
    source = open_source(reference("mnist-1k-leveldb-log"))
    assert len(os.listdir(tmp_path / "shadows")) == 1
    del source
    assert os.listdir(tmp_path / "shadows") == []


def test_shadows_of_killed_processes_are_removed(
    reference: Copy, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for name, age in [("gone", 2), ("lately", 0.5), ("here", 2)]:
        process = os.getpid() if name == "here" else gone.pid
        folder = tmp_path / f"protonet-leveldb-{process}-{name}"
        folder.mkdir()
        os.utime(folder, (time.time() - age * 86400,) * 2)
    leveldb_source._remove_stale.cache_clear()
    open_source(reference("mnist-1k-leveldb-log"))
    left = {path.name.rpartition("-")[2] for path in tmp_path.glob("protonet-leveldb-*")}
    assert {"lately", "here"} <= left
    assert "gone" not in left


@pytest.mark.parametrize("kind", KINDS)
def test_same_folder_twice_is_one_handle(database: Any, kind: str) -> None:
    folder = database([b"a", b"b", b"c"], kind)
    one, two = open_source(folder), open_source(os.path.join(folder, "."))
    assert one is two
    first, second = Cursor(one), Cursor(two)
    assert list(first.take(2)) == [b"a", b"b"]
    assert list(second.take(3)) == [b"a", b"b", b"c"]
    assert list(first.take(2)) == [b"c", b"a"]


@pytest.mark.parametrize("name", [name for name, _ in RECORDED])
def test_two_processes(reference: Copy, name: str) -> None:
    folder = reference(name)
    values = open_source(folder).values()
    first = next(values)
    code = (
        "import sys; from protonet.data.source import open_source;"
        "s = open_source(sys.argv[1]); print(sum(1 for _ in s), len(s))"
    )
    other = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    count = 1 + sum(1 for _ in values)
    assert other.stdout.split() == [str(count), str(count)], other.stderr
    assert open_source(folder).first() == first


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_forked_child_reads_too(database: Any, kind: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = database([b"a", b"b", b"c"], kind)
    source = open_source(folder)
    child = os.fork()
    if child == 0:
        got = [list(source.values()), list(open_source(folder).values())]
        os._exit(0 if got == [[b"a", b"b", b"c"]] * 2 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert list(source.values()) == [b"a", b"b", b"c"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("start", "takes", "want"),
    [
        (0, [3, 5, 6], ["abc", "deabc", "deabcd"]),
        (0, [12], ["abcdeabcdeab"]),
        (4, [1, 2], ["e", "ab"]),
        (5, [2], ["ab"]),
        (13, [4], ["deab"]),
    ],
)
def test_wrap_around(
    database: Any, kind: str, start: int, takes: list[int], want: list[str]
) -> None:
    cursor = Cursor(open_source(database([b"a", b"b", b"c", b"d", b"e"], kind)), start)
    assert [b"".join(cursor.take(n)).decode() for n in takes] == want


@pytest.mark.parametrize("kind", KINDS)
def test_describe(database: Any, kind: str) -> None:
    folder = database([b"a", b"b", b"c", b"d", b"e"], kind)
    cursor = Cursor(open_source(folder))
    cursor.take(7)
    assert cursor.describe(2) == f"source '{folder}': record 0 (key '00000000')"
    assert cursor.describe(3) == f"source '{folder}': record 4 (key '00000004')"


def truncated_lmdb(path: Path, database: Any) -> Path:
    folder: Path = database([bytes(3000)] * 40, "lmdb")
    with open(folder / "data.mdb", "r+b") as file:
        file.truncate(5 * 4096)
    return folder


def damaged_table(at: int, new: bytes = b"") -> Any:
    """Return a maker of a database whose table has other bytes from ``at`` on."""

    def make(path: Path, database: Any) -> Path:
        folder: Path = database([bytes([i % 251]) * 3000 for i in range(40)], "leveldb")
        (table,) = folder.glob("*.ldb")
        content = bytearray(table.read_bytes())
        place = at % len(content)
        content[place : place + len(new)] = new
        table.write_bytes(content)
        return folder

    return make


def damaged_log(path: Path, database: Any) -> Path:
    folder = path / "folder"
    shutil.copytree(REFERENCE / "mnist-1k-leveldb-log", folder)
    (log,) = folder.glob("*.log")
    content = bytearray(log.read_bytes())
    content[len(content) // 2] ^= 255
    log.write_bytes(content)
    return folder


def without(pattern: str) -> Any:
    """Return a maker of a LevelDB without the files of a pattern."""

    def make(path: Path, database: Any) -> Path:
        folder: Path = database([b"a"], "leveldb")
        for file in folder.glob(pattern):
            file.unlink()
        return folder

    return make


def longer_table(path: Path, database: Any) -> Path:
    folder: Path = database([b"a"], "leveldb")
    (table,) = folder.glob("*.ldb")
    table.write_bytes(table.read_bytes() * 2)
    return folder


def folder_of(path: Path, **files: bytes) -> Path:
    folder = path / "folder"
    folder.mkdir()
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content)
    return folder


def plain_file(path: Path, database: Any) -> Path:
    (path / "file").write_bytes(b"x")
    return path / "file"


BROKEN = [
    ("missing", lambda p, d: p / "nowhere", r"'.*nowhere' does not exist \(looked in: .*nowhere\)"),
    ("file", plain_file, r"'.*file' is a file; expected the folder of an LMDB or LevelDB"),
    ("folder_empty", lambda p, d: folder_of(p), "is no database: the folder is empty; expected"),
    (
        "folder_of_files",
        lambda p, d: folder_of(p, a_png=b"", b_png=b"", c_png=b"", d_png=b""),
        r"is no database: the folder holds a.png, b.png, c.png, …; expected data.mdb \(LMDB\)",
    ),
    ("lmdb_without_records", lambda p, d: d([], "lmdb"), r"\(lmdb\) is empty: it holds no records"),
    ("leveldb_without_records", lambda p, d: d([], "leveldb"), r"\(leveldb\) is empty"),
    ("lmdb_rubbish", lambda p, d: folder_of(p, data_mdb=b"x" * 9000), r"\(lmdb\) cannot be opened"),
    ("lmdb_of_no_bytes", lambda p, d: folder_of(p, data_mdb=b""), r"\(lmdb\) cannot be opened"),
    ("lmdb_truncated", truncated_lmdb, r"is truncated: data.mdb has 20480 bytes, its header says"),
    (
        "leveldb_rubbish",
        lambda p, d: folder_of(p, CURRENT=b"/dev/zero"),
        r"\(leveldb\) cannot be opened: CURRENT holds '/dev/zero', expected the name of a manifest",
    ),
    (
        "leveldb_without_manifest",
        without("MANIFEST-*"),
        r"\(leveldb\) cannot be opened: .*MANIFEST",
    ),
    ("leveldb_data", damaged_table(20, b"x"), r"\(leveldb\) cannot be read: .*checksum mismatch"),
    ("leveldb_index", damaged_table(-60, b"x"), r"\(leveldb\) cannot be read: .*checksum mismatch"),
    (
        "leveldb_footer",  # at no distance, six bytes long, and a gigabyte at byte 6
        damaged_table(-48, b"\x00\x06\x06\x80\x80\x80\x80\x04\x00"),
        r"table 0\d+ has \d+ bytes, its index would be 1073741824 bytes at 6",
    ),
    (
        "leveldb_footer_without_end",
        damaged_table(-48, b"\xff" * 40),
        r"\(leveldb\) cannot be opened: table .* its list of filters would be",
    ),
    (
        "leveldb_longer",
        longer_table,
        r"\(leveldb\) cannot be opened: table 0\d+ has \d+ bytes, the manifest says \d+",
    ),
    ("leveldb_log", damaged_log, r"\(leveldb\) cannot be opened: .*checksum mismatch"),
    ("leveldb_without_table", without("*.ldb"), r"\(leveldb\) cannot be opened: .*missing files"),
]


@pytest.mark.parametrize(
    ("make", "message"), [b[1:] for b in BROKEN], ids=[name for name, *_ in BROKEN]
)
def test_broken(tmp_path: Path, database: Any, make: Any, message: str) -> None:
    folder = make(tmp_path, database)
    with pytest.raises(DataError, match=message) as raised:
        sum(1 for _ in open_source(folder))
    assert "\n" not in str(raised.value)
    assert "protonet-leveldb-" not in str(raised.value)


def test_writer_refuses_what_exists(database: Any, tmp_path: Path) -> None:
    from protonet.data.writer import write_database
    from protonet.errors import OutputError

    folder = database([b"a"])
    before = snapshot(folder)
    with pytest.raises(OutputError, match="exists already; it is not overwritten"):
        write_database(str(folder), "lmdb", iter([]))
    assert snapshot(folder) == before
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"):
        write_database(str(tmp_path / "file" / "db"), "lmdb", iter([]))


@pytest.mark.parametrize("kind", KINDS)
def test_writer_leaves_nothing_behind_when_it_fails(tmp_path: Path, kind: str) -> None:
    from protonet.data.writer import write_database

    def records() -> Any:
        yield b"0", b"a"
        raise DataError("broken off")

    with pytest.raises(DataError, match="broken off"):
        write_database(str(tmp_path / "out" / "db"), kind, records())
    assert list((tmp_path / "out").iterdir()) == []


def test_lmdb_map_grows(tmp_path: Path, monkeypatch: Any) -> None:
    from protonet.data import writer

    monkeypatch.setattr(writer, "_START", 1 << 16)
    count = writer.write_database(
        str(tmp_path / "db"), "lmdb", ((b"%08d" % i, bytes(500)) for i in range(3000))
    )
    assert count == len(open_source(tmp_path / "db")) == 3000
