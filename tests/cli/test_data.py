"""The ``protonet data`` commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from protonet.cli.data import command
from protonet.data.source import open_source
from protonet.errors import OutputError


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
