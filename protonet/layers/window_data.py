"""WindowData: windows of images that a window file lists, drawn at random and warped to a square.

As BVLC Caffe 1.0, which made it for R-CNN (Girshick et al., 2014): each batch has a fixed share
of foreground windows; a window is enlarged by its context, warped to crop_size, and what lies
outside of the image is zero.
"""

from __future__ import annotations

from protonet.blob import Shape
from protonet.data.image_list import ImageFiles
from protonet.data.paths import existing
from protonet.data.transformer import Transformer
from protonet.data.windows import Warp, WindowReader, read_windows
from protonet.errors import DataError
from protonet.layer import register
from protonet.layers._read_ahead import ReadAhead

CROP_MODES = ("warp", "square")


@register("WindowData")
class WindowData(ReadAhead):
    """Tops: data (batch_size, C, crop_size, crop_size), label (batch_size,): 0 is background."""

    tops = 2

    def prepare(self) -> Shape:
        p = self.param.window_data_param
        crop = self.param.transform_param.crop_size
        if p.batch_size < 1:
            raise DataError("window_data_param needs a batch_size of at least 1")
        if crop < 1:
            raise DataError("a crop_size of at least 1 is needed")
        if p.context_pad * 2 >= crop:
            raise DataError(f"context_pad {p.context_pad} leaves nothing of crop_size {crop}")
        if p.crop_mode not in CROP_MODES:
            raise DataError(f"crop_mode must be 'warp' or 'square', got '{p.crop_mode}'")
        if not 0 <= p.fg_fraction <= 1:
            raise DataError(f"fg_fraction must lie between 0 and 1, got {p.fg_fraction:g}")
        (self._rng,) = self.generators(1)
        self.transformer = Transformer(self.param.transform_param, self.phase, self.where)
        self._source = existing(p.source, "source", self.where)
        self._found = read_windows(self._source, p.fg_threshold, p.bg_threshold)
        self._reader = WindowReader(
            ImageFiles(self._source, p.root_folder, where=self.where),
            self._found,
            Warp(crop, p.context_pad, p.crop_mode == "square"),
            self.transformer,
            p.batch_size,
            p.fg_fraction,
            self._rng,
            cache=p.cache_images,
        )
        self.transformer.centre_mean(self._found.channels, crop)
        return (p.batch_size, self._found.channels, crop, crop)

    def reader(self) -> WindowReader:
        return self._reader

    def source_path(self) -> str:
        """Return the path of the window file."""
        return self._source

    def records(self) -> int:
        """Return the number of windows that are sampled from."""
        return len(self._found.foreground) + len(self._found.background)
