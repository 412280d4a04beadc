"""The decorator of kernels: what it compiles, names in the cache and leaves behind."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba.core.codegen import CPUCodeLibrary
from numba.core.types.functions import Function

from protonet.kernels import compiling, jit
from protonet.kernels.jit import kernel

FACTOR = 3


@kernel("inline")
def scaled(value: float) -> float:
    return value * FACTOR


@kernel("void(float32[::1], int64[::1], float64[:, ::1])")
def fill(x: Any, n: Any, table: Any) -> None:
    for i in range(x.size):
        x[i] = scaled(table[i, 0]) + table[(i, 1)] + n[0] + n[i]
    x[0] = n[1]


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return an empty folder for kernels."""
    monkeypatch.setattr(jit, "cache_folder", lambda: tmp_path)
    return tmp_path


def test_elements_of_arrays_keep_their_types(fresh: Path) -> None:
    x, n = np.zeros(3, np.float32), np.array([10, 2**40, 7])
    table = np.array([[0.5, 1], [1.5, 2], [2.5, 3]])
    fill.variant("_new")(x, n, table)
    expected = table[:, 0] * 3 + table[:, 1] + 10 + n
    np.testing.assert_array_equal(x, np.array([2**40, *expected[1:]], np.float32))
    assert len(list(fresh.rglob("*.nbi"))) == 1  # helpers are no kernels


def test_compiling_leaves_everything_as_it_was(fresh: Path) -> None:
    steps = dict(vars(CPUCodeLibrary))
    kept: list[list[int]] = [[] for _ in range(5)]
    frozen, enabled = gc.get_freeze_count(), gc.isenabled()
    fill.variant("_new").compile()
    assert dict(vars(CPUCodeLibrary)) == steps
    assert "get_call_type" not in vars(Function)
    assert (gc.get_freeze_count(), gc.isenabled()) == (frozen, enabled)
    assert len(gc.get_objects(generation=0)) < 1000  # what it made is not looked through again
    assert all(any(one is other for other in gc.get_objects(generation=2)) for one in kept)


def test_what_others_froze_stays_frozen(fresh: Path) -> None:
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()  # some of them may end meanwhile
        fill.variant("_new").compile()
        assert gc.get_freeze_count() > frozen / 2 > 0
    finally:
        gc.unfreeze()


def test_steps_that_a_numba_has_not_replace_nothing() -> None:
    def step() -> None:
        pass

    class Library:
        finish = step

    with compiling._instead((Library, "finish", len), (Library, "polish", len)):
        assert vars(Library) == vars(Library) | {"finish": step}
    with compiling._instead((Library, "finish", len), needs=(Library, "polish")):
        assert vars(Library)["finish"] is step
    with pytest.raises(ZeroDivisionError), compiling._instead((Library, "finish", len)):
        assert vars(Library)["finish"] is len
        raise ZeroDivisionError
    assert vars(Library)["finish"] is step


def test_a_change_anywhere_recompiles(monkeypatch: pytest.MonkeyPatch, fresh: Path) -> None:
    folder = fill._cache_folder()
    assert fill._cache_folder() == folder
    assert fill.variant("_other")._cache_folder() != folder
    assert fill.variant("", scaled=scaled.variant("", FACTOR=4))._cache_folder() != folder
    for changed in (__file__, jit.__file__, compiling.__file__):
        read = jit._source
        with monkeypatch.context() as patch:
            patch.setattr(jit, "_source", lambda p, c=changed, r=read: r(p) + b"#" * (p == c))
            assert fill._cache_folder() != folder
    assert fill._cache_folder() == folder
