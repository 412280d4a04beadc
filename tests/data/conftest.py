"""What the tests of sources share."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protonet.data.writer import write_database
from protonet.schema import caffe_pb2 as pb

REFERENCE = Path(__file__).parent.parent / "reference"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("PROTONET_CACHE", str(folder))
    return folder


@pytest.fixture
def reference(tmp_path: Path) -> Callable[[str], Path]:
    """Returns a function that copies something of tests/reference and returns the copy."""

    def copy(name: str) -> Path:
        to = tmp_path / name
        to.parent.mkdir(parents=True, exist_ok=True)
        source = REFERENCE / name
        shutil.copytree(source, to) if source.is_dir() else shutil.copy(source, to)
        return to

    return copy


@pytest.fixture
def database(tmp_path: Path) -> Callable[..., Path]:
    """Returns a function that writes values (or Datums) under keys 00000000, ..."""
    made: list[Path] = []

    def write(values: list[Any], kind: str = "lmdb") -> Path:
        path = tmp_path / f"made{len(made)}_{kind}"
        as_bytes = [v if isinstance(v, bytes) else v.SerializeToString() for v in values]
        write_database(str(path), kind, ((b"%08d" % i, v) for i, v in enumerate(as_bytes)))
        made.append(path)
        return path

    return write


@pytest.fixture
def datum() -> Callable[..., Any]:
    """Returns a function that makes a Datum: byte i is i + label, modulo 256."""

    def make(shape: tuple[int, int, int] = (2, 3, 4), label: int = 0, **fields: Any) -> Any:
        channels, height, width = shape
        message = pb.Datum(channels=channels, height=height, width=width, label=label)
        count = channels * height * width
        if fields.pop("floats", False):
            message.float_data.extend((i + label) / 7 for i in range(count))
        else:
            message.data = bytes((i + label) % 256 for i in range(count))
        for name, value in fields.items():
            setattr(message, name, value)
        return message

    return make
