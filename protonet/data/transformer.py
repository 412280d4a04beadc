"""What happens to an image between its record and the net: crop, mirror, mean, scale.

As BVLC Caffe 1.0: ``y = (x − mean) · scale`` on a crop, random in the TRAIN phase and centred in
the TEST phase, mirrored left to right at random in both phases if ``mirror`` is set. A mean file
is as large as the whole image and is cropped with it; mean values are one a channel, or one for
all.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from protonet.data.paths import existing
from protonet.errors import DataError
from protonet.layer import TRAIN

Array = np.ndarray[Any, np.dtype[np.float32]]
Draws = np.ndarray[Any, np.dtype[np.uint64]]
Shape3 = tuple[int, int, int]

DRAWS = 3  # random numbers an image takes, needed or not: mirror, crop row, crop column
NO_CROP, CENTRE, RANDOM = 0, 1, 2


class Transformer:
    """A TransformationParameter, ready to use.

    Attributes:
        crop_size: 0 for none.
        crop: NO_CROP, CENTRE or RANDOM.
        mirror: whether images are mirrored at random.
        scale: float32.
        color: how encoded images are decoded: True as colour, False as grey, None as they are.
    """

    def __init__(self, param: Any, phase: int, where: str = "") -> None:
        """Read the parameters and the mean file.

        Args:
            param: TransformationParameter.
            phase: TRAIN or TEST.
            where: ``file:line: `` of the layer, to find the mean file.

        Raises:
            DataError: contradictory parameters; a mean file that is missing or no BlobProto.
        """
        if param.force_color and param.force_gray:
            raise DataError("force_color and force_gray contradict each other")
        if param.HasField("mean_file") and param.mean_value:
            raise DataError("mean_file and mean_value cannot both be given")
        self.color = True if param.force_color else False if param.force_gray else None
        self.crop_size = int(param.crop_size)
        self.crop = NO_CROP if not self.crop_size else RANDOM if phase == TRAIN else CENTRE
        self.mirror = bool(param.mirror)
        self.scale = np.float32(param.scale)
        self.random = self.mirror or self.crop == RANDOM
        self._mean_values = np.array(param.mean_value, np.float32)
        self._mean_name = ""
        self._mean_file: Array | None = None
        if param.HasField("mean_file"):
            self._mean_name = existing(param.mean_file, "mean_file", where)
            self._mean_file = read_mean(self._mean_name)

    def output_shape(self, shape: Shape3) -> Shape3:
        """Return (C, H, W) of the result for an image of ``shape``.

        Raises:
            DataError: the image is smaller than the crop.
        """
        channels, height, width = shape
        if not self.crop_size:
            return shape
        if min(height, width) < self.crop_size:
            raise DataError(f"crop_size {self.crop_size} is larger than the image of shape {shape}")
        return channels, self.crop_size, self.crop_size

    def mean(self, shape: Shape3) -> Array:
        """Return what is subtracted from images (C, H, W): (C, H, W), (C, 1, 1), or (0, 0, 0).

        Raises:
            DataError: the mean is of another shape.
        """
        if self._mean_file is not None:
            if self._mean_file.shape != shape:
                raise DataError(
                    f"mean_file '{self._mean_name}' has the shape {self._mean_file.shape}, "
                    f"but the image {shape}"
                )
            return self._mean_file
        values = self._mean_values
        if values.size == 0:
            return np.empty((0, 0, 0), np.float32)
        if values.size not in (1, shape[0]):
            raise DataError(
                f"{values.size} mean_values for images of {shape[0]} channels, shape {shape}; "
                f"expected 1 or {shape[0]}"
            )
        return np.broadcast_to(values, shape[0]).reshape(-1, 1, 1).copy()

    def centre_mean(self, channels: int, size: int) -> Array:
        """Return what is subtracted from a square (C, size, size): the middle of a mean file.

        Raises:
            DataError: the mean is smaller, or of other channels.
        """
        mean = self._mean_file
        if mean is None:
            return self.mean((channels, size, size))
        if mean.shape[0] != channels or min(mean.shape[1:]) < size:
            raise DataError(
                f"mean_file '{self._mean_name}' has the shape {mean.shape}, "
                f"but windows take {(channels, size, size)} of it"
            )
        # Caffe starts at the same offset in both directions, that of the columns.
        start = min((mean.shape[2] - size) // 2, mean.shape[1] - size)
        return mean[:, start : start + size, start : start + size]

    def draw(self, rng: np.random.Generator, count: int) -> Draws:
        """Return random numbers for ``count`` images, (count, DRAWS) uint64.

        Every image takes equally many, so that the generator can be set to where a later
        image would find it (see :func:`skip_draws`). Without anything random none are drawn.
        """
        if not self.random:
            return np.zeros((count, DRAWS), np.uint64)
        return rng.integers(0, 2**64, (count, DRAWS), np.uint64)

    def apply(self, image: np.ndarray[Any, Any], draws: Draws, y: Array) -> None:
        """Transform one image.

        Args:
            image: (C, H, W), uint8 or float32.
            draws: (DRAWS,) of :meth:`draw`.
            y: output, of :meth:`output_shape`.

        Raises:
            DataError: the image does not fit the mean, the crop, or ``y``.
        """
        shape: Shape3 = image.shape
        if self.output_shape(shape) != y.shape:
            raise DataError(
                f"an image of shape {shape} in a batch of shape {y.shape}: all images of a batch "
                "must have the same shape"
            )
        mean = self.mean(shape)
        _, height, width = y.shape
        top, left = shape[1] - height, shape[2] - width
        if self.crop == RANDOM:
            top, left = int(draws[1]) % (top + 1), int(draws[2]) % (left + 1)
        else:
            top, left = top // 2, left // 2
        window = np.s_[:, top : top + height, left : left + width]
        x = image[window].astype(np.float32)
        if mean.size:
            x -= mean[window] if mean.shape == shape else mean
        np.multiply(x, self.scale, out=y)
        if self.mirror and draws[0] & np.uint64(1):
            y[...] = y[:, :, ::-1].copy()


def skip_draws(rng: np.random.Generator, images: int) -> None:
    """Set a fresh PCG64 generator to where it is after the draws for so many images."""
    rng.bit_generator.advance(DRAWS * images)  # type: ignore[attr-defined]


def read_mean(path: str) -> Array:
    """Read the BlobProto of a mean file (``.binaryproto``). Returns (C, H, W) float32.

    Raises:
        DataError: it is not one, or not the mean of images.
    """
    from google.protobuf.message import DecodeError

    from protonet.schema import caffe_pb2 as pb

    blob = pb.BlobProto()
    try:
        with open(path, "rb") as file:
            blob.ParseFromString(file.read())
    except (DecodeError, OSError) as error:
        raise DataError(f"mean_file '{path}' cannot be read as a BlobProto: {error}") from error
    shape = list(blob.shape.dim) or [blob.num, blob.channels, blob.height, blob.width]
    while len(shape) > 3 and shape[0] == 1:
        shape = shape[1:]
    values = np.array(blob.data or blob.double_data, np.float32)
    if len(shape) != 3 or values.size != np.prod(shape) or values.size == 0:
        raise DataError(
            f"mean_file '{path}' holds {values.size} values of shape {tuple(shape)}; "
            "expected one image of channels, height, width"
        )
    return values.reshape(shape)
