"""Image files and encoded records as arrays, as OpenCV gives them to Caffe.

Arrays are (C, H, W) uint8. Colours come in OpenCV's order: blue, green, red.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from protonet.errors import DataError

MAX_PIXELS = 2**26  # 8192 x 8192

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def decode_image(content: bytes, describe: Callable[[], str], color: bool | None) -> Pixels:
    """Decode a PNG, JPEG, ... in memory.

    Args:
        content: the file's bytes.
        describe: returns how messages name the image.
        color: True for three channels, False for one, None for as many as it has.

    Returns:
        (C, H, W) uint8.

    Raises:
        DataError: it cannot be decoded.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content)) as image:
            # before any pixel is unpacked: a file of a few bytes may claim billions of them
            if math.prod(image.size) > MAX_PIXELS:
                width, height = image.size
                raise ValueError(
                    f"{width} x {height} pixels are more than the {MAX_PIXELS} that are allowed"
                )
            if color is False and image.format == "JPEG":
                image.draft("L", image.size)  # the brightness that the file holds, as OpenCV does
            image.load()
            pixels = _pixels(image, color)
    except UnidentifiedImageError as error:
        raise DataError(f"{describe()} is not an image in any known format") from error
    except Exception as error:  # decoders raise whatever a broken file leads them to
        raise DataError(f"{describe()} cannot be decoded as an image: {error}") from error
    return np.ascontiguousarray(pixels)


def _pixels(image: Any, color: bool | None) -> Pixels:
    """Return the pixels of a Pillow image as (C, H, W) uint8."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        if color is None:
            raise ValueError(f"its pixels have more than 8 bits (mode {image.mode})")
        with np.errstate(invalid="ignore"):  # of floats that are no numbers
            planes = (np.asarray(image).astype(np.int64) >> 8).astype(np.uint8)[None]
    elif image.mode in ("1", "L"):
        planes = np.asarray(image.convert("L"))[None]
    elif color is None and (image.mode in ("RGBA", "LA") or "transparency" in image.info):
        planes = np.asarray(image.convert("RGBA"))[:, :, [2, 1, 0, 3]].transpose(2, 0, 1)
    else:
        planes = np.asarray(image.convert("RGB"))[:, :, ::-1].transpose(2, 0, 1)
    if color is False and len(planes) > 1:
        return _gray(planes, image.format)
    if color and len(planes) == 1:
        return np.repeat(planes, 3, axis=0)
    return planes


def _gray(planes: Pixels, format: str | None) -> Pixels:
    """Return the brightness (1, H, W) of (3, H, W) blue, green, red.

    The weights are 0.114, 0.587, 0.299 in fixed point. OpenCV leaves it to the PNG library to
    turn a PNG grey, which does not round; the recorded values show it.
    """
    blue, green, red = (planes[i : i + 1].astype(np.int32) for i in range(3))
    if format == "PNG":
        return ((blue * 3737 + green * 19234 + red * 9797) >> 15).astype(np.uint8)
    return ((blue * 1868 + green * 9617 + red * 4899 + (1 << 13)) >> 14).astype(np.uint8)
