"""Records out of image files: the job of Caffe's convert_imageset."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from protonet.data.image_list import Entry, ImageFiles, read_list
from protonet.data.source import Record
from protonet.errors import DataError
from protonet.kernels.placement import available

IMAGE_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
ENCODINGS = {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG"}

_LONGEST_KEY = 511  # bytes, in an LMDB
_AHEAD = 64  # images that are decoded at once, by as many threads as there are processors


@dataclass(frozen=True)
class ImageSet:
    """Images with labels, from a list file or from a folder with one subfolder a class.

    Attributes:
        path: the list file or folder.
        root: put before each path as it is.
        entries: in the order in which they are written.
        classes: names of the classes by label, where folders give them.
    """

    path: str
    root: str
    entries: list[Entry]
    classes: list[str]


def image_set(path: str, root: str = "") -> ImageSet:
    """Find images and labels.

    Args:
        path: a list file (a path and a label a line), or a folder whose subfolders are the
            classes, labelled 0, 1, ... in alphabetical order.
        root: for a list: put before each path as it is.

    Raises:
        DataError: there is no such file or folder, or no image in it.
    """
    if not os.path.exists(path):
        raise DataError(f"'{path}' does not exist; expected a list file or a folder of classes")
    if not os.path.isdir(path):
        return ImageSet(path, root, read_list(path), [])
    classes = sorted(entry.name for entry in os.scandir(path) if entry.is_dir())
    entries: list[Entry] = []
    for label, name in enumerate(classes):
        for folder, _, files in sorted(os.walk(os.path.join(path, name))):
            for file in sorted(files):
                if os.path.splitext(file)[1].lower() in IMAGE_SUFFIXES:
                    relative = os.path.relpath(os.path.join(folder, file), path)
                    entries.append(Entry(relative.replace(os.sep, "/"), label, len(entries) + 1))
    if not entries:
        raise DataError(f"'{path}' holds no images in subfolders, one for each class")
    return ImageSet(path, os.path.join(path, ""), entries, classes)


@dataclass(frozen=True)
class Conversion:
    """What becomes of the images.

    Attributes:
        color: three channels; else one.
        size: (height, width) to resize to, or None.
        encoding: "" for raw pixels, else "png", "jpg", or "same" for that of each file's name.
        same_size: all images must come out of one size.
    """

    color: bool = True
    size: tuple[int, int] | None = None
    encoding: str = ""
    same_size: bool = False

    def records(
        self, images: ImageSet, *, broken: Callable[[str], None] | None = None
    ) -> Iterator[Record]:
        """Yield a record for each image: key ``00000000_<path>``, value a Datum's bytes.

        Args:
            broken: called with a message for an image that cannot be read, which is then left
                out; without it the first one is an error.

        Raises:
            DataError: an image cannot be read, or is of another size though all must be of one.
        """
        files = ImageFiles(images.path, images.root, self.color, self.size)
        first_size: tuple[int, ...] = ()
        with ThreadPoolExecutor(available()) as pool:
            for start in range(0, len(images.entries), _AHEAD):
                entries = images.entries[start : start + _AHEAD]
                made = pool.map(lambda entry: self._datum(files, entry), entries)
                for i, (entry, datum) in enumerate(zip(entries, made, strict=True), start):
                    if isinstance(datum, DataError):
                        if broken is None:
                            raise datum
                        broken(str(datum))
                        continue
                    size = (datum.channels, datum.height, datum.width)
                    first_size = first_size or size
                    if self.same_size and size != first_size:
                        raise DataError(
                            f"{files.describe(entry)} has the shape {size}, those before "
                            f"{first_size}; give a size to resize to"
                        )
                    if datum.encoded:
                        for name in ("channels", "height", "width"):
                            datum.ClearField(name)
                    yield (
                        f"{i:08}_{entry.name}".encode(errors="surrogateescape"),
                        (datum.SerializeToString()),
                    )

    def _datum(self, files: ImageFiles, entry: Entry) -> Any:
        """Return the Datum of an image, with its shape even if encoded; or what is wrong."""
        from protonet.schema import caffe_pb2 as pb

        try:
            image = files.read(entry)
            channels, height, width = image.shape
            datum = pb.Datum(
                channels=channels, height=height, width=width, label=entry.label, encoded=False
            )
            if self.encoding:
                datum.data, datum.encoded = self._encoded(files, entry, image), True
            else:
                datum.data = image.tobytes()
        except DataError as error:
            return error
        return datum

    def _encoded(self, files: ImageFiles, entry: Entry, image: np.ndarray[Any, Any]) -> bytes:
        from PIL import Image

        suffix = os.path.splitext(entry.name)[1][1:].lower()
        format = ENCODINGS.get(suffix if self.encoding == "same" else self.encoding)
        if format is None:
            raise DataError(
                f"{files.describe(entry)}: images cannot be encoded as '{suffix}'; "
                "choose png or jpg"
            )
        if ENCODINGS.get(suffix) == format and self.size is None and self.color:
            return files.content(entry)  # as it is: encoding a JPEG again would lose quality
        pixels = image[0] if len(image) == 1 else image[::-1].transpose(1, 2, 0)
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(file, format, quality=95)
        return file.getvalue()
