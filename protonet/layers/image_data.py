"""ImageData: images and labels that a list file names, read ahead, resized and transformed.

As BVLC Caffe 1.0. A list has a path and a label on each line; relative paths are looked up from
the current folder, then from the folders of the net file and of the list.
"""

from __future__ import annotations

from protonet.blob import Shape
from protonet.data.image_list import ImageFiles, ImageReader, read_list
from protonet.data.paths import existing
from protonet.data.transformer import Transformer
from protonet.errors import DataError
from protonet.layer import register
from protonet.layers._read_ahead import ReadAhead


@register("ImageData")
class ImageData(ReadAhead):
    """Tops: data (batch_size, C, H, W), label (batch_size,).

    With ``shuffle`` the order is a new one in every pass. Without new_height and new_width all
    images of a batch must be of one size; a batch of one takes the size of its image.
    """

    tops = 2

    def prepare(self) -> Shape:
        p = self.param.image_data_param
        if p.batch_size < 1:
            raise DataError("image_data_param needs a batch_size of at least 1")
        if bool(p.new_height) != bool(p.new_width):
            raise DataError(
                "new_height and new_width must both be given, "
                f"got new_height {p.new_height} and new_width {p.new_width}"
            )
        rng, shuffle = self.generators(2)
        self._list = existing(p.source, "source", self.where)
        self._entries = read_list(self._list)
        skip = int(rng.integers(p.rand_skip)) if p.rand_skip else 0
        if skip >= len(self._entries):
            raise DataError(
                f"rand_skip {p.rand_skip}: {skip} images were to be skipped, "
                f"but source '{self._list}' lists {len(self._entries)}"
            )
        self.transformer = Transformer(self.param.transform_param, self.phase, self.where)
        size = (p.new_height, p.new_width) if p.new_height else None
        self._reader = ImageReader(
            ImageFiles(self._list, p.root_folder, p.is_color, size, self.where),
            self._entries,
            self.transformer,
            p.batch_size,
            rng,
            shuffle=shuffle if p.shuffle else None,
            skip=skip,
        )
        shape = self._reader.first_shape()
        self.transformer.mean(shape)
        return (p.batch_size, *self.transformer.output_shape(shape))

    def reader(self) -> ImageReader:
        return self._reader

    def source_path(self) -> str:
        """Return the path of the list file."""
        return self._list

    def describe_record(self, record: int) -> str:
        """Return how messages name the image delivered after so many, over all passes."""
        return self._reader.describe(record)

    def records(self) -> int:
        """Return the number of images in the list."""
        return len(self._entries)
