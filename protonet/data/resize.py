"""Resizing images as OpenCV does by default: bilinear, in fixed point.

Which rows, columns and weights: the centre of output pixel i lies at (i + 0.5) · from / to − 0.5
of the input, weights are rounded to 1/2048, and products are shifted down where OpenCV shifts
them, since models were trained on exactly those pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from protonet.kernels.jit import kernel

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def resize(image: Pixels, height: int, width: int, scale: float | None = None) -> Pixels:
    """Return the image (C, H, W) uint8 as (C, height, width).

    Args:
        scale: how many old pixels a new one is apart from the next; by default the whole image
            is covered.
    """
    if image.shape[1:] == (height, width) and scale in (None, 1):
        return image
    y = np.empty((image.shape[0], height, width), np.uint8)
    rows = _positions(image.shape[1], height, scale)
    columns = _positions(image.shape[2], width, scale, clamp=True)
    resize_planes(np.ascontiguousarray(image), *rows, *columns, y)
    return y


def _positions(
    size: int, to: int, scale: float | None = None, clamp: bool = False
) -> tuple[Any, Any]:
    """Return for each output position its two input positions and their weights, (to, 2) each.

    Args:
        clamp: whether beyond the border the nearest pixel has all of the weight, or shares it
            with itself: columns and rows differ in this, which shows in the rounding.
    """
    at = ((np.arange(to) + 0.5) * (size / to if scale is None else scale) - 0.5).astype(np.float32)
    first = np.floor(at).astype(np.int64)
    weight = at - first.astype(np.float32)
    if clamp:
        weight[(first < 0) | (first >= size - 1)] = 0
    weights = np.rint(np.stack([np.float32(1) - weight, weight], 1) * np.float32(2048))
    positions = np.clip(np.stack([first, first + 1], 1), 0, size - 1)
    return positions, weights.astype(np.int64)


@kernel(
    "void(uint8[:,:,::1], int64[:,::1], int64[:,::1], int64[:,::1], int64[:,::1], uint8[:,:,::1])"
)
def resize_planes(x: Any, rows: Any, row_w: Any, columns: Any, column_w: Any, y: Any) -> None:
    """x: (C, H, W); rows, row_w: (h, 2); columns, column_w: (w, 2); output y: (C, h, w)."""
    for c in range(y.shape[0]):
        for r in range(y.shape[1]):
            above, below = x[c, rows[r, 0]], x[c, rows[r, 1]]
            for k in range(y.shape[2]):
                i, j = columns[k, 0], columns[k, 1]
                u, v = column_w[k, 0], column_w[k, 1]
                high = (above[i] * u + above[j] * v) >> 4
                low = (below[i] * u + below[j] * v) >> 4
                y[c, r, k] = (((high * row_w[r, 0]) >> 16) + ((low * row_w[r, 1]) >> 16) + 2) >> 2
