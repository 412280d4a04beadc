"""The DummyData layer: recorded values, shapes and fillers by top, and what can be wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from harness import build, forward, reference_cases, run_reference

from protonet.errors import GraphError, ShapeError


def text(inside: str) -> str:
    return f'type: "DummyData" dummy_data_param {{ {inside} }}'


@pytest.mark.parametrize("case", reference_cases("DummyData"))
def test_reference(case: dict[str, Any]) -> None:
    run_reference(case)


@pytest.mark.parametrize(
    ("inside", "shapes"),
    [
        ("shape { dim: 3 dim: 2 }", [(3, 2), (3, 2)]),
        ("shape { dim: 3 dim: 2 } shape { dim: 4 }", [(3, 2), (4,)]),
        ("num: 2 channels: 3 height: 4 width: 5", [(2, 3, 4, 5)] * 2),
        ("num: 2 num: 6 channels: 3 channels: 7 height: 4 width: 5", [(2, 3, 4, 5), (6, 7, 4, 5)]),
        ("shape { }", [(), ()]),
    ],
)
def test_shapes(inside: str, shapes: list[Any]) -> None:
    layer, _, top = build(text(inside), [], tops=2)
    assert [b.shape for b in top] == shapes
    layer.forward([], top)
    assert all((b.data == 0).all() for b in top)


def test_constants_once_and_random_values_anew() -> None:
    layer, bottom, top = build(
        text(
            "shape { dim: 50 dim: 3 } data_filler { value: 2.5 } "
            'data_filler { type: "gaussian" std: 3 }'
        ),
        [],
        tops=2,
    )
    forward(layer, bottom, top, seed=3)
    assert (top[0].data == 2.5).all()
    first = top[1].data.copy()
    assert 2 < first.std() < 4
    top[0].data[...] = 7
    layer.forward(bottom, top)
    assert (top[0].data == 7).all()
    assert (top[1].data != first).all()
    forward(layer, bottom, top, seed=3)
    np.testing.assert_array_equal(top[1].data, first)


@pytest.mark.parametrize(
    ("inside", "kind", "message"),
    [
        ("", GraphError, "expected shape once or for each of 2 tops, got 0"),
        ("shape { } shape { } shape { }", GraphError, "expected shape once or .* got 3"),
        ("num: 1 channels: 2 height: 3", ShapeError, "got 1 num, 1 channels, 1 height, 0 width"),
        ("shape { } num: 1", ShapeError, "both shape and num, channels, height, width are given"),
        (
            "shape { } data_filler { } data_filler { } data_filler { }",
            GraphError,
            "expected data_filler once or for each of 2 tops, got 3",
        ),
        ('shape { } data_filler { type: "gausian" }', GraphError, "did you mean 'gaussian'"),
        (
            'shape { dim: 2 } data_filler { type: "bilinear" }',
            ShapeError,
            "'bilinear' needs 4 axes",
        ),
    ],
)
def test_errors(inside: str, kind: Any, message: str) -> None:
    with pytest.raises(kind, match=rf"^layer 'under_test' \(DummyData\): .*{message}"):
        build(text(inside), [], tops=2)
