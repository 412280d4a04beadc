"""Resizing images of floats, as pycaffe's image libraries did.

Linear in both directions, without smoothing before. Fixed-point resizing of bytes, as Caffe's data
layers do it, is in :mod:`protonet.data.resize`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from protonet.errors import DataError

Array = np.ndarray[Any, Any]
Size = tuple[int, int]

NEAREST, LINEAR, LAST = 0, 1, 5  # orders of interpolation


def resample_pixels(
    im: Array, size: Size, order: int, outside: float | None, scale: float | None = None
) -> Array:
    """Sample at the centres of the new pixels.

    Args:
        im: (H, W, C).
        size: the new height and width.
        order: 0 to 5.
        outside: the value of pixels beyond the border; None for that of the nearest.
        scale: how many old pixels a new one is apart from the next; by default the whole image
            is covered.

    Returns:
        (height, width, C) float32.

    Raises:
        DataError: no such order, or a spline without SciPy.
    """
    if _needs_scipy(order):
        zoom = _scipy_zoom()
        factors = (*(n / m for n, m in zip(size, im.shape[:2], strict=True)), 1)
        options = {
            "order": order,
            "mode": "grid-constant",
            "cval": outside or 0.0,
            "grid_mode": True,
        }
        out = zoom(im.astype(np.float64), factors, **options)
        return np.clip(out, im.min(), im.max()).astype(np.float32)
    border = ((1, 1), (1, 1), (0, 0))
    if outside is None:
        out = np.pad(im.astype(np.float64), border, mode="edge")
    else:
        out = np.pad(im.astype(np.float64), border, constant_values=outside)
    for axis, new in enumerate(size):
        old = im.shape[axis]
        at = (np.arange(new) + 0.5) * (old / new if scale is None else scale) + 0.5
        out = _along(out, axis, np.clip(at, 0, old + 1), order)
    return out.astype(np.float32)


def resample_corners(im: Array, size: Size, order: int) -> Array:
    """Sample evenly from the first pixel to the last, both included.

    Args, Raises: as :func:`resample_pixels`.

    Returns:
        (height, width, C) float32.
    """
    if _needs_scipy(order):
        factors = (*(n / m for n, m in zip(size, im.shape[:2], strict=True)), 1)
        return np.asarray(_scipy_zoom()(im, factors, order=order), np.float32)
    out = im.astype(np.float64)
    for axis, new in enumerate(size):
        out = _along(out, axis, np.linspace(0, im.shape[axis] - 1, new), order)
    return out.astype(np.float32)


def _along(x: Array, axis: int, at: Array, order: int) -> Array:
    """Return ``x`` at the positions ``at`` of an axis, all within it."""
    if order == NEAREST:
        return x.take(np.floor(at + 0.5).astype(int), axis)
    first = np.clip(np.floor(at).astype(int), 0, max(x.shape[axis] - 2, 0))
    second = np.minimum(first + 1, x.shape[axis] - 1)
    shape = [1] * x.ndim
    shape[axis] = len(at)
    weight = (at - first).reshape(shape)
    return x.take(first, axis) * (1 - weight) + x.take(second, axis) * weight


def _needs_scipy(order: int) -> bool:
    if not NEAREST <= order <= LAST:
        raise DataError(f"expected interp_order from {NEAREST} to {LAST}, got {order}")
    return order > LINEAR


def _scipy_zoom() -> Any:
    try:
        from scipy.ndimage import zoom  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        raise DataError("interp_order above 1 needs SciPy, which is not installed") from None
    return zoom
