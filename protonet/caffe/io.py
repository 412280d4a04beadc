"""``caffe.io``: messages to arrays and back, images, and what is done to images before a net.

Images here are (H, W, C) float32 from 0 to 1, colours as red, green, blue.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from protonet.errors import DataError, ShapeError
from protonet.resample import resample_corners, resample_pixels
from protonet.schema import caffe_pb2
from protonet.schema.blobs import blob_values

Array = np.ndarray[Any, Any]
Size = Sequence[int] | np.ndarray[Any, Any]

_GREY = np.array([0.2125, 0.7154, 0.0721], np.float32)  # ITU-R BT.709, as scikit-image
_OLD = ("num", "channels", "height", "width")


# --- messages ------------------------------------------------------------------------------------
def blobproto_to_array(blob: Any, return_diff: bool = False) -> Array:
    """Return the values (or gradients) of a BlobProto, float64 of its shape."""
    values = np.array(blob.diff) if return_diff else blob_values(blob).astype(np.float64)
    if any(map(blob.HasField, _OLD)):
        return values.reshape([getattr(blob, name) for name in _OLD])
    return values.reshape(tuple(blob.shape.dim))


def array_to_blobproto(arr: Array, diff: Array | None = None) -> Any:
    """Return a BlobProto of an array of any shape, and of gradients of the same shape."""
    blob = caffe_pb2.BlobProto(shape=caffe_pb2.BlobShape(dim=arr.shape))
    blob.data.extend(np.asarray(arr, float).ravel())
    if diff is not None:
        blob.diff.extend(np.asarray(diff, float).ravel())
    return blob


def arraylist_to_blobprotovector_str(arraylist: Iterable[Array]) -> bytes:
    """Return the bytes of a BlobProtoVector of these arrays."""
    blobs = [array_to_blobproto(arr) for arr in arraylist]
    return bytes(caffe_pb2.BlobProtoVector(blobs=blobs).SerializeToString())


arraylist_to_blobprotovecor_str = arraylist_to_blobprotovector_str  # pycaffe's spelling


def blobprotovector_str_to_arraylist(data: bytes) -> list[Array]:
    """Return the arrays in the bytes of a BlobProtoVector."""
    vector = caffe_pb2.BlobProtoVector.FromString(data)
    return [blobproto_to_array(blob) for blob in vector.blobs]


def array_to_datum(arr: Array, label: int | None = None) -> Any:
    """Return a Datum of an image (C, H, W): uint8 as bytes, anything else as floats.

    Raises:
        ShapeError: not three axes.
    """
    if arr.ndim != 3:
        raise ShapeError(f"expected an array of 3 axes (C, H, W), got shape {arr.shape}")
    channels, height, width = arr.shape
    datum = caffe_pb2.Datum(channels=channels, height=height, width=width)
    if arr.dtype == np.uint8:
        datum.data = arr.tobytes()
    else:
        datum.float_data.extend(np.asarray(arr, float).ravel())
    if label is not None:
        datum.label = int(label)
    return datum


def datum_to_array(datum: Any) -> Array:
    """Return the image of a Datum, (C, H, W), uint8 or float64."""
    shape = (datum.channels, datum.height, datum.width)
    if datum.data:
        return np.frombuffer(datum.data, np.uint8).reshape(shape).copy()
    return np.array(datum.float_data, float).reshape(shape)


# --- images --------------------------------------------------------------------------------------
def load_image(filename: str | os.PathLike[str], color: bool = True) -> Array:
    """Read an image file.

    Returns:
        (H, W, 3) float32 from 0 to 1, red, green, blue; or (H, W, 1), brightness, if not
        ``color``. What transparency it has is left out.

    Raises:
        DataError: no such file, or no image.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(filename) as image:
            image.load()
            if image.mode in ("I", "F") or image.mode.startswith("I;16"):
                scale = 1.0 if image.mode == "F" else 65535.0
                pixels = np.asarray(image).astype(np.float32)[:, :, None] / np.float32(scale)
            else:
                grey = image.mode in ("1", "L", "LA")
                values = np.asarray(image.convert("L" if grey else "RGB"), np.float32)
                pixels = values.reshape(*values.shape[:2], -1) / np.float32(255)
    except FileNotFoundError:
        raise DataError(f"{os.fspath(filename)}: no such file") from None
    except UnidentifiedImageError:
        raise DataError(f"{os.fspath(filename)}: not an image in any known format") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{os.fspath(filename)}: cannot be read as an image: {error}") from None
    if color:
        return np.tile(pixels, (1, 1, 3)) if pixels.shape[2] == 1 else pixels
    return pixels if pixels.shape[2] == 1 else (pixels @ _GREY)[:, :, None]


def resize_image(im: Array, new_dims: Size, interp_order: int = 1) -> Array:
    """Resize an image (H, W, C) to ``new_dims`` (height, width).

    As pycaffe 1.0: images of 1 or 3 channels are sampled at the centres of the new pixels, the
    outside counting as dark as their darkest value; others from corner to corner.

    Args:
        interp_order: 0 takes the nearest pixel, 1 interpolates linearly, 2 to 5 are splines of
            SciPy's, which must be installed for them.

    Returns:
        (height, width, C) float32.

    Raises:
        DataError: a spline without SciPy, or no such order.
    """
    size = (int(new_dims[0]), int(new_dims[1]))
    im = np.asarray(im)
    if im.shape[-1] not in (1, 3):
        return resample_corners(im, size, interp_order)
    low, high = im.min(), im.max()
    if not high > low:
        return np.full((*size, im.shape[-1]), low, np.float32)
    return resample_pixels(im, size, interp_order, outside=float(low))


def oversample(images: Sequence[Array] | Array, crop_dims: Size) -> Array:
    """Cut each image (H, W, C) at its four corners and centre, and mirror those five.

    Returns:
        (10 · images, height, width, C) float32.
    """
    height, width = int(crop_dims[0]), int(crop_dims[1])
    H, W, channels = np.shape(images[0])
    places = [(top, left) for top in (0, H - height) for left in (0, W - width)]
    places.append((int(H / 2.0 - height / 2.0), int(W / 2.0 - width / 2.0)))
    crops = np.empty((len(images), 10, height, width, channels), np.float32)
    for image, out in zip(images, crops, strict=True):
        for i, (top, left) in enumerate(places):
            out[i] = image[top : top + height, left : left + width]
        out[5:] = out[:5, :, ::-1]
    return crops.reshape(-1, height, width, channels)


# --- preparation for a net -----------------------------------------------------------------------
class Transformer:
    """Turns images (H, W, C) into inputs of a net, and back.

    In this order: float32, resized to the input, axes transposed, channels swapped, times
    ``raw_scale``, minus the mean, times ``input_scale``. Only what was set is done.

    Args:
        inputs: name of an input blob -> its shape (N, C, H, W).
    """

    def __init__(self, inputs: Mapping[str, Size]) -> None:
        self.inputs = inputs
        self.transpose: dict[str, Size] = {}
        self.channel_swap: dict[str, Size] = {}
        self.raw_scale: dict[str, float] = {}
        self.mean: dict[str, Array] = {}
        self.input_scale: dict[str, float] = {}

    def _check_input(self, in_: str) -> None:
        if in_ not in self.inputs:
            known = ", ".join(self.inputs)
            raise DataError(f"'{in_}' is not one of the net's inputs: {known}")

    def preprocess(self, in_: str, data: Array) -> Array:
        """Return the image ``data`` (H, W, C) as the input ``in_`` takes it, float32."""
        self._check_input(in_)
        image = np.array(data, np.float32)
        size = tuple(self.inputs[in_][2:])
        if image.shape[:2] != size:
            image = resize_image(image, size)
        if in_ in self.transpose:
            image = image.transpose(self.transpose[in_])
        if in_ in self.channel_swap:
            image = image[list(self.channel_swap[in_]), :, :]
        if in_ in self.raw_scale:
            image *= self.raw_scale[in_]
        if in_ in self.mean:
            image -= self.mean[in_]
        if in_ in self.input_scale:
            image *= self.input_scale[in_]
        return image

    def deprocess(self, in_: str, data: Array) -> Array:
        """Return the image (H, W, C) of which ``data`` (C, H, W) was made, but for its size."""
        self._check_input(in_)
        image = np.array(data).squeeze()
        if in_ in self.input_scale:
            image /= self.input_scale[in_]
        if in_ in self.mean:
            image += self.mean[in_]
        if in_ in self.raw_scale:
            image /= self.raw_scale[in_]
        if in_ in self.channel_swap:
            image = image[np.argsort(self.channel_swap[in_]), :, :]
        if in_ in self.transpose:
            image = image.transpose(tuple(np.argsort(self.transpose[in_])))
        return image

    def set_transpose(self, in_: str, order: Size) -> None:
        """Set the order of axes: (2, 0, 1) makes (C, H, W) of (H, W, C).

        Raises:
            DataError: no such input, or another number of axes.
        """
        self._check_input(in_)
        axes = len(self.inputs[in_]) - 1
        if len(order) != axes:
            raise DataError(f"transpose of '{in_}': expected {axes} axes, got {tuple(order)}")
        self.transpose[in_] = order

    def set_channel_swap(self, in_: str, order: Size) -> None:
        """Set the order of channels after the transpose: (2, 1, 0) makes BGR of RGB.

        Raises:
            DataError: no such input, or another number of channels.
        """
        self._check_input(in_)
        channels = self.inputs[in_][1]
        if len(order) != channels:
            raise DataError(
                f"channel_swap of '{in_}': expected {channels} channels, got {tuple(order)}"
            )
        self.channel_swap[in_] = order

    def set_raw_scale(self, in_: str, scale: float) -> None:
        """Set a factor before the mean: 255 for nets trained on pixels from 0 to 255."""
        self._check_input(in_)
        self.raw_scale[in_] = scale

    def set_mean(self, in_: str, mean: Array) -> None:
        """Set what is subtracted: (C,), (H, W) or (C, H, W), resized where its size is another.

        Raises:
            DataError: no such input.
            ShapeError: another number of channels, or of axes.
        """
        self._check_input(in_)
        channels, *size = self.inputs[in_][1:]
        if mean.ndim == 1:
            if mean.shape[0] != channels:
                raise ShapeError(
                    f"mean of '{in_}': expected {channels} channels, got {mean.shape[0]}"
                )
            mean = mean[:, None, None]
        elif mean.ndim not in (2, 3) or (mean.ndim == 3 and mean.shape[0] not in (1, channels)):
            raise ShapeError(
                f"mean of '{in_}': expected the shape {(channels, *size)}, got {mean.shape}"
            )
        elif mean.shape[-2:] != tuple(size):
            planes = mean.reshape(-1, *mean.shape[-2:]).transpose(1, 2, 0)
            mean = resize_image(planes, size).transpose(2, 0, 1)
        self.mean[in_] = mean

    def set_input_scale(self, in_: str, scale: float) -> None:
        """Set a factor after the mean."""
        self._check_input(in_)
        self.input_scale[in_] = scale
