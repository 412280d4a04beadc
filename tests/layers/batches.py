"""What the tests of data layers share: the recorded batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from recordings import cases, load

from protonet.blob import Blob
from protonet.layer import TEST
from protonet.layers import layer_types
from protonet.schema import caffe_pb2 as pb


def data_cases(prefix: str) -> list[Any]:
    """Return the recorded cases whose names begin so, to parametrize a test."""
    return [
        pytest.param(case, id=case["name"])
        for case in cases("data")
        if case["name"].startswith(prefix)
    ]


def recorded_layer(case: dict[str, Any], folder: Path) -> tuple[Any, list[Blob], Any]:
    """Build the data layer of a case, whose files lie in ``folder``, now the current one.

    Returns:
        (layer, tops, recorded arrays).
    """
    net = text_format.Parse((folder / case["net"]).read_text(), pb.NetParameter())
    param = net.layer[0]
    layer = layer_types()[param.type](param, TEST)
    top = [Blob() for _ in param.top]
    layer.setup([], top)
    layer.reshape([], top)
    assert all(blob._data is None for blob in top)
    return layer, top, load(folder / case["arrays"])


def compare_batches(case: dict[str, Any], layer: Any, top: list[Blob], arrays: Any) -> None:
    """Run all forward passes of a case and compare every batch."""
    for i in range(case["forwards"]):
        layer.forward([], top)
        for name, blob in zip(layer.param.top, top, strict=True):
            want = arrays[f"batch_{i}/{name}"]
            assert blob.shape == want.shape
            worst = float(np.abs(blob.data - want).max())
            assert worst <= _allowed(case, layer, name, want)


def _allowed(case: dict[str, Any], layer: Any, name: str, want: Any) -> float:
    rounding = float(case["tolerance"].get("rtol", 1e-6) * np.abs(want).max() + 1e-7)
    if name == layer.param.top[0]:
        rounding += float(case["tolerance"].get("pixel", 0) * layer.param.transform_param.scale)
    return rounding
