"""``caffe.Detector``: a net that classifies windows of images."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from protonet.caffe import io
from protonet.caffe.classifier import transformer
from protonet.caffe.net import Net
from protonet.errors import DataError
from protonet.layer import TEST

Array = np.ndarray[Any, Any]
_Path = str | os.PathLike[str]


class Detector(Net):
    """A net in the TEST phase whose first input takes windows of images, R-CNN's way.

    Args:
        model_file, pretrained_file: net and weights.
        mean, input_scale, raw_scale, channel_swap: as ``io.Transformer`` has them.
        context_pad: pixels of the input that show what is around a window; None or 0 for none.
    """

    def __init__(
        self,
        model_file: _Path,
        pretrained_file: _Path,
        mean: Any = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
        context_pad: int | None = None,
    ) -> None:
        super().__init__(model_file, TEST, weights=pretrained_file)
        self.transformer = transformer(self, mean, input_scale, raw_scale, channel_swap)
        self.configure_crop(context_pad)

    def detect_windows(
        self, images_windows: Iterable[tuple[_Path, Iterable[Any]]]
    ) -> list[dict[str, Any]]:
        """Run windows through the net.

        Args:
            images_windows: (image file, windows (ymin, xmin, ymax, xmax)) pairs.

        Returns:
            For each window a dict of ``window``, ``prediction`` and ``filename``.
        """
        listed = [(name, list(windows)) for name, windows in images_windows]
        crops = []
        for name, windows in listed:
            image = io.load_image(name)
            crops += [self.crop(image, window) for window in windows]
        blob = self.inputs[0]
        prepared = np.stack([self.transformer.preprocess(blob, crop) for crop in crops])
        predictions = iter(self.forward_all(**{blob: prepared})[self.outputs[0]])
        return [
            {"window": window, "prediction": next(predictions), "filename": name}
            for name, windows in listed
            for window in windows
        ]

    def detect_selective_search(self, image_fnames: Iterable[_Path]) -> list[dict[str, Any]]:
        """As :meth:`detect_windows`, on the windows that selective search proposes.

        Raises:
            DataError: the package selective_search_ijcv_with_python is not installed.
        """
        try:
            import selective_search_ijcv_with_python as selective_search  # type: ignore[import-not-found]
        except ImportError:
            raise DataError(
                "selective search needs the package selective_search_ijcv_with_python"
            ) from None
        names = [os.path.abspath(name) for name in image_fnames]
        return self.detect_windows(zip(names, selective_search.get_windows(names), strict=True))

    def crop(self, im: Array, window: Any) -> Array:
        """Return a window of an image (H, W, C), with its surroundings where asked for.

        With ``context_pad`` p and an input of s pixels the window takes the middle s − 2p pixels;
        what lies outside of the image is the mean.
        """
        if not self.context_pad:
            return im[int(window[0]) : int(window[2]), int(window[1]) : int(window[3])]
        size = int(self.blobs[self.inputs[0]].width)
        scale = size / (size - 2.0 * self.context_pad)
        low, high = np.array(window[:2], float), np.array(window[2:], float)
        half = (high - low + 1) / 2
        low, high = np.round(low + half - scale * half), np.round(low + half + scale * half)
        shrink = size / (high - low + 1)
        pad = np.round(np.maximum(0, -low) * shrink).astype(int)
        limits = np.array(im.shape[:2], float)
        low, high = np.clip(low, 0, limits), np.clip(high, 0, limits)
        extent = np.round((high - low + 1) * shrink).astype(int)
        extent = np.minimum(extent, size - pad)
        part = im[int(low[0]) : int(high[0]), int(low[1]) : int(high[1])]
        if not part.size:
            corners = ", ".join(f"{n:g}" for n in window)
            raise DataError(f"window ({corners}) lies outside of the image {im.shape[:2]}")
        crop = np.ones(tuple(self.crop_dims), np.float32) * self.crop_mean
        y, x = pad
        crop[y : y + extent[0], x : x + extent[1]] = io.resize_image(part, extent)
        return crop

    def configure_crop(self, context_pad: int | None) -> None:
        """Set how much of its surroundings a window shows, and what fills the outside."""
        name = self.inputs[0]
        back = np.argsort(self.transformer.transpose[name])
        self.crop_dims = np.array(self.blobs[name].data.shape[1:])[back]
        self.context_pad = context_pad
        self.crop_mean: Array = np.zeros(tuple(self.crop_dims), np.float32)
        mean = self.transformer.mean.get(name)
        if not context_pad or mean is None:
            return
        crop_mean = np.array(mean, np.float32).transpose(tuple(back))
        swap = self.transformer.channel_swap.get(name)
        if swap is not None and crop_mean.shape[2] > 1:
            crop_mean = crop_mean[:, :, np.argsort(swap)]
        raw_scale = self.transformer.raw_scale.get(name)
        self.crop_mean = crop_mean / raw_scale if raw_scale is not None else crop_mean
