"""Images to inputs of nets and back, with the arguments of ``cv2.dnn``.

Images are (H, W) or (H, W, C), as OpenCV reads them: blue, green, red.
"""
# ruff: noqa: N802 - OpenCV's names

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from protonet.data.resize import resize
from protonet.errors import ShapeError
from protonet.resample import LINEAR, resample_pixels

Array = np.ndarray[Any, Any]
Size = Sequence[int]

CV_8U, CV_32F = 0, 5  # OpenCV's numbers of element types


def blobFromImage(
    image: Array,
    scalefactor: float = 1.0,
    size: Size | None = None,
    mean: Any = None,
    swapRB: bool = False,
    crop: bool = False,
    ddepth: int = CV_32F,
) -> Array:
    """Return an image as an input of a net, (1, C, H, W) float32.

    Args:
        image: (H, W) or (H, W, C), uint8 or float.
        scalefactor: what is multiplied by, after the mean.
        size: (width, height) to resize to; by default the image's own.
        mean: what is subtracted from each channel, in the order of the result; a single number
            is that of the first.
        swapRB: exchange the first and the third channel.
        crop: keep the proportions and take the middle, instead of stretching.
        ddepth: CV_32F, or CV_8U for uint8 without mean and scale.

    Raises:
        ShapeError: no image, or a mean or scale for CV_8U.
    """
    return blobFromImages([image], scalefactor, size, mean, swapRB, crop, ddepth)


def blobFromImages(
    images: Iterable[Array],
    scalefactor: float = 1.0,
    size: Size | None = None,
    mean: Any = None,
    swapRB: bool = False,
    crop: bool = False,
    ddepth: int = CV_32F,
) -> Array:
    """Return images as one input of a net, (N, C, H, W); see :func:`blobFromImage`."""
    listed = [_planes(np.asarray(image)) for image in images]
    if not listed:
        raise ShapeError("expected an image at least, got none")
    if ddepth == CV_8U and (np.any(mean or 0) or scalefactor != 1 or listed[0].dtype != np.uint8):
        raise ShapeError("CV_8U takes images of uint8, no mean and a scalefactor of 1")
    width, height = (int(n) for n in size) if size is not None else (0, 0)
    goal = (height, width) if width and height else listed[0].shape[1:]
    fitted = [_fit(image, goal, crop) for image in listed]
    shapes = {image.shape for image in fitted}
    if len(shapes) > 1:
        raise ShapeError(f"expected images of one number of channels, got shapes {sorted(shapes)}")
    blob = np.stack(fitted)
    if swapRB and blob.shape[1] > 2:
        blob = blob[:, [2, 1, 0, *range(3, blob.shape[1])]]
    if ddepth == CV_8U:
        return blob
    blob = blob.astype(np.float32)
    if mean is not None:
        blob -= channel_values(mean, blob.shape[1])[:, None, None]
    blob *= np.float32(scalefactor)
    return blob


def channel_values(mean: Any, channels: int) -> Array:
    """Return the mean of each channel, (channels,) float32; 0 for those that are not given."""
    given = np.atleast_1d(np.asarray(mean, np.float32))[:channels]
    return np.pad(given, (0, channels - len(given)))


def imagesFromBlob(blob: Array) -> tuple[Array, ...]:
    """Return the images of a blob (N, C, H, W), each (H, W, C), or (H, W) for one channel."""
    if blob.ndim != 4:
        raise ShapeError(f"expected a blob of shape (N, C, H, W), got {blob.shape}")
    images = np.ascontiguousarray(blob.transpose(0, 2, 3, 1))
    return tuple(images[..., 0] if blob.shape[1] == 1 else images)


def _planes(image: Array) -> Array:
    """Return an image as (C, H, W), uint8 or float32."""
    if image.ndim not in (2, 3) or image.size == 0:
        raise ShapeError(f"expected an image (H, W) or (H, W, C), got shape {image.shape}")
    planes = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    return np.ascontiguousarray(planes, np.uint8 if image.dtype == np.uint8 else np.float32)


def _fit(image: Array, goal: Any, crop: bool) -> Array:
    """Resize (C, H, W) to ``goal`` (height, width)."""
    if image.shape[1:] == tuple(goal):
        return image
    if not crop:
        return _resize(image, goal, None)
    factors = [np.float32(n) / np.float32(m) for n, m in zip(goal, image.shape[1:], strict=True)]
    factor = float(max(factors))
    grown = (round(image.shape[1] * factor), round(image.shape[2] * factor))
    image = _resize(image, grown, 1 / factor)
    top, left = ((n - m) // 2 for n, m in zip(grown, goal, strict=True))
    return image[:, top : top + goal[0], left : left + goal[1]]


def _resize(image: Array, size: Any, scale: float | None) -> Array:
    if image.dtype == np.uint8:
        return resize(image, size[0], size[1], scale)
    pixels = image.transpose(1, 2, 0)
    return resample_pixels(pixels, size, LINEAR, None, scale).transpose(2, 0, 1)
