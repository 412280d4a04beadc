"""``caffe.Classifier``: a net for images, with their preparation."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from protonet.blob import Array
from protonet.caffe import io
from protonet.caffe.net import Net
from protonet.layer import TEST

_Path = str | os.PathLike[str]


def transformer(
    net: Net,
    mean: Any = None,
    input_scale: float | None = None,
    raw_scale: float | None = None,
    channel_swap: Sequence[int] | None = None,
) -> io.Transformer:
    """Return a Transformer for images (H, W, C) and the first input of a net."""
    name = net.inputs[0]
    prepare = io.Transformer({name: net.blobs[name].data.shape})
    prepare.set_transpose(name, (2, 0, 1))
    if mean is not None:
        prepare.set_mean(name, mean)
    if input_scale is not None:
        prepare.set_input_scale(name, input_scale)
    if raw_scale is not None:
        prepare.set_raw_scale(name, raw_scale)
    if channel_swap is not None:
        prepare.set_channel_swap(name, channel_swap)
    return prepare


class Classifier(Net):
    """A net in the TEST phase whose first input takes images.

    Args:
        model_file, pretrained_file: net and weights.
        image_dims: (height, width) to which images are scaled before they are cropped; by
            default the input's.
        mean, input_scale, raw_scale, channel_swap: as ``io.Transformer`` has them.
    """

    def __init__(
        self,
        model_file: _Path,
        pretrained_file: _Path,
        image_dims: Sequence[int] | None = None,
        mean: Any = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
    ) -> None:
        super().__init__(model_file, TEST, weights=pretrained_file)
        self.transformer = transformer(self, mean, input_scale, raw_scale, channel_swap)
        self.crop_dims = np.array(self.blobs[self.inputs[0]].data.shape[2:])
        self.image_dims = self.crop_dims if image_dims is None else np.array(image_dims)

    def predict(self, inputs: Sequence[Array], oversample: bool = True) -> Array:
        """Return the first output for each image.

        Args:
            inputs: images (H, W, C).
            oversample: take the mean over the corners, the centre and their mirror images; else
                the centre alone counts.

        Returns:
            (images, classes) float32.
        """
        scaled = np.stack([io.resize_image(image, self.image_dims) for image in inputs])
        if oversample:
            crops = io.oversample(scaled, self.crop_dims)
        else:
            (top, left), (height, width) = (
                ((self.image_dims - self.crop_dims) / 2).astype(int),
                self.crop_dims,
            )
            crops = scaled[:, top : top + height, left : left + width]
        name = self.inputs[0]
        prepared = np.stack([self.transformer.preprocess(name, crop) for crop in crops])
        predictions: Array = self.forward_all(**{name: prepared})[self.outputs[0]]
        if oversample:
            predictions = predictions.reshape(len(inputs), 10, -1).mean(1)
        return predictions
