"""What a database holds: its mean image, its shapes and labels, and a sheet of its images."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from protonet.data.datum import Image, decode_datum
from protonet.data.source import Source
from protonet.data.transformer import Shape3
from protonet.errors import DataError

Step = Callable[[], None]


def images(source: Source, step: Step) -> Iterator[tuple[Image, int]]:
    """Yield (image (C, H, W), label) of every record; call ``step`` after each."""
    for i, value in enumerate(source.values()):
        yield decode_datum(value, lambda i=i: source.describe(i))  # type: ignore[misc]
        step()


def mean_image(source: Source, step: Step = lambda: None) -> np.ndarray[Any, Any]:
    """Return the mean of all images, (C, H, W) float32: the job of compute_image_mean.

    Raises:
        DataError: a record is broken, or not all images are of one shape.
    """
    total: Any = None
    count = 0
    for image, _ in images(source, step):
        if total is None:
            total = np.zeros(image.shape, np.float64)
        if image.shape != total.shape:
            raise DataError(
                f"{source.describe(count)} has the shape {image.shape}, those before "
                f"{total.shape}: a mean needs images of one shape"
            )
        total += image
        count += 1
    # In float32 as Caffe, whose sums are exact up to 2^24 as well.
    mean: np.ndarray[Any, Any] = total.astype(np.float32) / np.float32(count)
    return mean


def mean_blob(mean: np.ndarray[Any, Any]) -> Any:
    """Return a mean image (C, H, W) as the BlobProto that a ``mean_file`` holds."""
    from protonet.schema import caffe_pb2 as pb

    channels, height, width = mean.shape
    blob = pb.BlobProto(num=1, channels=channels, height=height, width=width)
    blob.data.extend(mean.ravel().tolist())
    return blob


@dataclass
class Contents:
    """What the records of a database are.

    Attributes:
        path, kind: of the source.
        records: how many.
        size: bytes of the database's files.
        first_key, last_key: as text.
        shapes: (C, H, W) -> records.
        forms: "raw", "float", "png", "jpeg", ... -> records.
        labels: label -> records.
    """

    path: str
    kind: str
    size: int
    records: int = 0
    first_key: str = ""
    last_key: str = ""
    shapes: Counter[Shape3] = field(default_factory=Counter)
    forms: Counter[str] = field(default_factory=Counter)
    labels: Counter[int] = field(default_factory=Counter)


def survey(source: Source, step: Step = lambda: None) -> Contents:
    """Read through a source.

    Raises:
        DataError: a record is broken.
    """
    size = sum(entry.stat().st_size for entry in os.scandir(source.path) if entry.is_file())
    found = Contents(source.path, source.kind, size)
    key = b""
    for i, (key, value) in enumerate(source):
        image, label = decode_datum(value, lambda i=i: source.describe(i))  # type: ignore[misc]
        if i == 0:
            found.first_key = _text(key)
        found.shapes[image.shape] += 1
        found.forms[_form(value, image)] += 1
        found.labels[label] += 1
        found.records += 1
        step()
    found.last_key = _text(key)
    return found


def _text(key: bytes) -> str:
    return key.decode("utf-8", "replace")


def _form(value: bytes, image: Image) -> str:
    """Return how a record that decode_datum has read keeps its values."""
    if image.dtype == np.float32:
        return "float"
    from protonet.schema import caffe_pb2 as pb

    datum = pb.Datum.FromString(value)
    if not datum.encoded:
        return "raw"
    starts = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg"}
    return next((form for start, form in starts.items() if datum.data.startswith(start)), "encoded")


def contact_sheet(source: Source, count: int, side: int = 64) -> Any:
    """Return a Pillow image of the first images, each with its label.

    Args:
        count: at most so many.
        side: pixels of the larger side of each; smaller ones are enlarged to it.
    """
    from itertools import islice

    from PIL import Image as PillowImage
    from PIL import ImageDraw

    shown = list(islice(images(source, lambda: None), count))
    columns = max(1, round(len(shown) ** 0.5 * 1.25))
    rows = -(-len(shown) // columns)
    gap, text = 6, 14
    sheet = PillowImage.new(
        "RGB", (columns * (side + gap) + gap, rows * (side + gap + text) + gap), "white"
    )
    draw = ImageDraw.Draw(sheet)
    for i, (image, label) in enumerate(shown):
        x, y = gap + i % columns * (side + gap), gap + i // columns * (side + gap + text)
        picture = PillowImage.fromarray(_visible(image))
        scale = side / max(picture.size)
        size = tuple(max(1, round(n * scale)) for n in picture.size)
        smooth = PillowImage.Resampling.BOX if scale < 1 else PillowImage.Resampling.NEAREST
        sheet.paste(picture.resize(size, smooth), (x, y))  # type: ignore[arg-type]
        draw.text((x, y + side), str(label), fill="black")
    return sheet


def _visible(image: Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return an image (C, H, W) as (H, W, 3) red, green, blue; its first channel if not 3 or 4."""
    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        image = ((image - low) * (255 / (high - low or 1))).astype(np.uint8)
    if len(image) not in (3, 4):
        image = np.repeat(image[:1], 3, axis=0)
    return np.ascontiguousarray(image[2::-1].transpose(1, 2, 0))
