"""The MemoryData layer: recorded batches, rows in order, and what can be wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from batches import compare_batches, data_cases, recorded_layer
from harness import build
from places import REFERENCE

from protonet.errors import DataError, ShapeError

TEXT = 'type: "MemoryData" memory_data_param { batch_size: 2 channels: 3 height: 4 width: 5 }'


@pytest.mark.parametrize("case", data_cases("memorydata_"))
def test_reference(case: dict[str, Any]) -> None:
    layer, top, arrays = recorded_layer(case, REFERENCE)
    layer.set_arrays(arrays["feed/x"], arrays["feed/t"])
    compare_batches(case, layer, top, arrays)


def test_new_arrays_start_from_their_first_row() -> None:
    layer, _, top = build(TEXT, [])
    assert [b.shape for b in top] == [(2, 3, 4, 5), (2, 1, 1, 1)]
    for rows in (6, 4):
        data = np.broadcast_to(
            np.arange(rows, dtype=np.float32).reshape(-1, 1, 1, 1), (rows, 3, 4, 5)
        )
        layer.set_arrays(data, np.arange(rows, dtype=np.float32).reshape(rows, 1, 1, 1))
        layer.forward([], top)
        layer.forward([], top)
        assert top[1].data.ravel().tolist() == [2, 3]
        assert (top[0].data == top[1].data).all()


def test_transform_param_is_not_applied_and_that_is_said(caplog: Any) -> None:
    layer, _, top = build(f"{TEXT} transform_param {{ scale: 2 }}", [])
    layer.set_arrays(np.ones((2, 3, 4, 5), np.float32), np.ones(2, np.float32))
    layer.forward([], top)
    assert (top[0].data == 1).all()
    assert "transform_param is not applied" in caplog.text


def test_no_arrays() -> None:
    layer, _, top = build(TEXT, [])
    with pytest.raises(DataError, match=r"'under_test' \(MemoryData\): it has no data yet"):
        layer.forward([], top)


def test_parameters() -> None:
    with pytest.raises(
        ShapeError, match="needs batch_size, channels, height and width, got 2, 0, "
    ):
        build('type: "MemoryData" memory_data_param { batch_size: 2 }', [])


@pytest.mark.parametrize(
    ("data", "labels", "message"),
    [
        (np.zeros((3, 3, 4, 5), np.float32), 3, r"multiple of batch_size 2, got \(3, 3, 4, 5\)"),
        (np.zeros((0, 3, 4, 5), np.float32), 0, r"got \(0, 3, 4, 5\)"),
        (
            np.zeros((2, 3, 5, 4), np.float32),
            2,
            r"of shape \(rows, 3, 4, 5\), .*got \(2, 3, 5, 4\)",
        ),
        (np.zeros((), np.float32), 2, r"got \(\)"),
        (np.zeros((2, 3, 4, 5), np.float32), 3, r"expected 2 labels, got shape \(3,\)"),
        (np.zeros((2, 3, 4, 5)), 2, "expected float32 arrays, got float64 and float32"),
    ],
)
def test_arrays_that_do_not_fit(data: Any, labels: int, message: str) -> None:
    layer, _, _ = build(TEXT, [])
    with pytest.raises(DataError, match=message):
        layer.set_arrays(data, np.zeros(labels, np.float32))
