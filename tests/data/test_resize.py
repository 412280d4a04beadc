"""Bilinear resizing: against the formula in floating point, and its exact cases."""

from __future__ import annotations

import numpy as np
import pytest

from protonet.data.resize import resize

SIZES = [
    ((7, 11), (5, 4)),
    ((5, 4), (13, 9)),
    ((9, 8), (3, 17)),
    ((1, 6), (4, 3)),
    ((6, 1), (2, 5)),
]


def axis_weights(size: int, to: int) -> np.ndarray:
    """(to, size) weights of bilinear interpolation between pixel centres."""
    weights = np.zeros((to, size))
    for i in range(to):
        at = np.clip((i + 0.5) * size / to - 0.5, 0, size - 1)
        low = min(int(at), size - 1)
        high = min(low + 1, size - 1)
        weights[i, low] += 1 - (at - low)
        weights[i, high] += at - low
    return weights


@pytest.mark.parametrize(("size", "to"), SIZES)
def test_within_one_of_exact_arithmetic(size: tuple[int, int], to: tuple[int, int]) -> None:
    image = np.random.default_rng(3).integers(0, 256, (3, *size), np.uint8)
    want = np.einsum(
        "hr,crs,ws->chw", axis_weights(size[0], to[0]), image, axis_weights(size[1], to[1])
    )
    got = resize(image, *to)
    assert got.shape == (3, *to)
    assert np.abs(got - want).max() <= 1


def test_same_size_is_the_image_itself() -> None:
    image = np.random.default_rng(3).integers(0, 256, (2, 5, 4), np.uint8)
    assert resize(image, 5, 4) is image


@pytest.mark.parametrize("value", [0, 1, 128, 254, 255])
def test_constant_stays_constant(value: int) -> None:
    image = np.full((1, 7, 5), value, np.uint8)
    assert (resize(image, 3, 11) == value).all()


def test_half_size_is_the_mean_of_four() -> None:
    image = np.random.default_rng(3).integers(0, 256, (2, 6, 10), np.uint8)
    sums = image.reshape(2, 3, 2, 5, 2).sum((2, 4), np.int64)
    np.testing.assert_array_equal(resize(image, 3, 5), (sums + 2) >> 2)
