"""Fixtures: the command line run in this process, from an empty folder."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import pytest
from places import REFERENCE

from protonet.cli import main


@dataclass
class Result:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    def error(self) -> str:
        """Return the one line that a failed command must print, after ``protonet: ``."""
        assert self.code == 2, self
        lines = [line for line in self.err.splitlines() if not line.startswith("I")]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("protonet: "), self.err
        return lines[0].removeprefix("protonet: ")


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    """Return a function that runs ``protonet ARGS`` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*args):
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        out, err = capsys.readouterr()
        return Result(ended.value.code, out, err)

    return run


@pytest.fixture
def small_mnist(tmp_path):
    """Put the first 1,024 training digits where MNIST's databases are looked for."""
    for name in ("mnist-train-leveldb", "mnist-test-leveldb"):
        shutil.copytree(REFERENCE / "mnist-1k-leveldb", tmp_path / name)
    return tmp_path
