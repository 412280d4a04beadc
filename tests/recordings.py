"""The outputs recorded from BVLC Caffe 1.0.0: which cases there are, and comparing with them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from places import REFERENCE


def cases(kind: str) -> list[dict[str, Any]]:
    """Return the recorded cases of a kind."""
    manifest = json.loads((REFERENCE / "manifest.json").read_text())
    return [case for case in manifest["cases"] if case["kind"] == kind]


def load(path: Path) -> dict[str, Any]:
    """Return all arrays of an .npz file by name; the file is closed."""
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def part(arrays: Any, prefix: str) -> dict[str, Any]:
    """Return the arrays under a prefix, by the rest of their names."""
    return {k[len(prefix) :]: arrays[k] for k in arrays if k.startswith(prefix)}


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Be in a folder for a while: the recorded prototxts name paths from there."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def set_params(net: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        layer, i = name.rsplit("/", 1)
        net.params[layer][int(i)].data[...] = value


def feed(net: Any, values: dict[str, Any], iteration: int) -> None:
    """Give each Input blob its rows of an iteration."""
    for name, rows in values.items():
        blob = net.blobs[name]
        batch = blob.shape[0]
        blob.data[...] = rows[iteration * batch : (iteration + 1) * batch]


def check(got: Any, want: Any, rtol: float, name: str) -> None:
    """Compare as the recordings ask: within rtol of the largest value."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape, name
    worst = float(np.abs(got - want).max(initial=0))
    allowed = rtol * float(np.abs(want).max(initial=0)) + 1e-7
    assert worst <= allowed, f"{name}: off by {worst:.3g}, allowed {allowed:.3g}"


def check_params(net: Any, values: dict[str, Any], rtol: float, what: str) -> None:
    assert values, what
    for name, value in values.items():
        layer, i = name.rsplit("/", 1)
        check(net.params[layer][int(i)].data, value, rtol, f"{what}/{name}")
