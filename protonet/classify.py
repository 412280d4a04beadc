"""Images through a net: prepared as its data layer would prepare them, and scored.

An image is decoded, resized as OpenCV does, and cropped, centred and scaled as BVLC Caffe 1.0
does in the TEST phase; it is never mirrored.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from protonet.blob import Array
from protonet.data.images import decode_image
from protonet.data.resize import resize
from protonet.data.transformer import Transformer, read_mean
from protonet.errors import DataError, GraphError, did_you_mean
from protonet.graph import place
from protonet.layer import TEST
from protonet.net import Net
from protonet.schema import caffe_pb2 as pb

_Path = str | os.PathLike[str]


@dataclass
class Preparation:
    """What is done to an image.

    Attributes:
        param: TransformationParameter: crop_size, mean_file or mean_value, scale.
        origin: where it was read from, for people.
        where: ``file:line: `` to find a mean file from.
        size: (height, width) to which images are resized first; None for the net's input.
        rgb: whether colours go in as red, green, blue; Caffe's order is blue, green, red.
    """

    param: Any
    origin: str
    where: str = ""
    size: tuple[int, int] | None = None
    rgb: bool = False


def read_preparation(layer: Any, path: str, line: int) -> Preparation:
    """Return what a data layer does to its images.

    Args:
        layer: LayerParameter, or None for nothing.
        path, line: where it stands.
    """
    param = pb.TransformationParameter()
    if layer is None:
        return Preparation(param, "nothing is given")
    param.CopyFrom(layer.transform_param)
    param.ClearField("mirror")
    source = layer.image_data_param
    size = (source.new_height, source.new_width) if source.new_height else None
    return Preparation(param, place(path, line)[:-2], place(path, line), size)


class ImageClassifier:
    """A net whose first input takes images.

    Args:
        net: in the TEST phase.
        preparation: what is done to an image.
        output: the blob of the scores; by default the last one that no layer reads.

    Attributes:
        channels: of the input, 1 or 3.
        size: (height, width) to which images are resized.

    Raises:
        GraphError: no such blob, or an input that takes no images.
        DataError: mean, crop and input do not fit.
    """

    def __init__(self, net: Net, preparation: Preparation, output: str | None = None) -> None:
        self.net = net
        self.preparation = preparation
        self.input = net.inputs[0]
        shape = net.blobs[self.input].shape
        if len(shape) != 4 or shape[1] not in (1, 3):
            raise GraphError(
                f"input '{self.input}': expected the shape (N, 3, H, W) or (N, 1, H, W) for "
                f"images, got {shape}"
            )
        if output is not None and output not in net.blobs:
            hint = did_you_mean(output, set(net.blobs))
            raise GraphError(f"net '{net.name}' has no blob '{output}'{hint}")
        self.output = output or self._last_output()
        self.channels, goal = shape[1], shape[2:]
        param = preparation.param
        self.size: tuple[int, int] = preparation.size or self._size_before_crop(goal)
        if self.size != goal and not param.crop_size and goal[0] == goal[1]:
            param.crop_size = goal[0]
        self.transformer = Transformer(param, TEST, preparation.where)
        got = self.transformer.output_shape((self.channels, *self.size))
        if got != shape[1:]:
            raise DataError(
                f"input '{self.input}': expected images of {shape[1:]}, the preparation makes {got}"
            )

    def _last_output(self) -> str:
        tops = [ref.name for step in self.net.steps for ref in step.node.tops]
        found = [n for n in tops if n in self.net.outputs and len(self.net.blobs[n].shape) > 1]
        if not found:
            raise GraphError(f"net '{self.net.name}' has no output with a score for each class")
        return found[-1]

    def _size_before_crop(self, goal: Any) -> tuple[int, int]:
        """Return the size of the mean file, else that of the net's input."""
        from protonet.data.paths import existing

        preparation = self.preparation
        if not preparation.param.HasField("mean_file"):
            return goal
        name = existing(preparation.param.mean_file, "mean_file", preparation.where)
        return read_mean(name).shape[1:]

    @property
    def classes(self) -> int:
        """How many scores an image gets."""
        return int(np.prod(self.net.blobs[self.output].shape[1:]))

    def describe(self) -> str:
        """Return in words what is done to an image."""
        param = self.preparation.param
        order = "grey" if self.channels == 1 else "RGB" if self.preparation.rgb else "BGR"
        parts = [order, f"resized to {self.size[0]}×{self.size[1]}"]
        if param.crop_size:
            parts.append(f"centre crop {param.crop_size}×{param.crop_size}")
        if param.HasField("mean_file"):
            parts.append(f"minus {param.mean_file}")
        if param.mean_value:
            parts.append("minus " + ", ".join(f"{v:g}" for v in param.mean_value))
        if param.scale != 1:
            parts.append(f"times {param.scale:g}")
        return f"{'; '.join(parts)} ({self.preparation.origin})"

    def as_data(self) -> dict[str, Any]:
        """Return what is done to an image, for JSON."""
        param = self.preparation.param
        return {
            "origin": self.preparation.origin,
            "channels": "grey" if self.channels == 1 else "RGB" if self.preparation.rgb else "BGR",
            "resize": list(self.size),
            "crop": param.crop_size or None,
            "mean_file": param.mean_file or None,
            "mean": list(param.mean_value) or None,
            "scale": param.scale,
        }

    def prepare(self, path: _Path) -> Array:
        """Return the image of a file as the net takes it, (C, H, W) float32.

        Raises:
            DataError: it cannot be read, or is no image.
        """
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise DataError(f"{os.fspath(path)}: cannot be read: {error.strerror}") from None
        image = decode_image(content, lambda: os.fspath(path), self.channels == 3)
        image = resize(np.ascontiguousarray(image), *self.size)
        if self.preparation.rgb:
            image = image[::-1]
        y = np.empty(self.transformer.output_shape(image.shape), np.float32)  # type: ignore[arg-type]
        self.transformer.apply(image, np.zeros(3, np.uint64), y)
        return y

    def scores(self, paths: Sequence[_Path], batch: int = 10) -> Iterator[Array]:
        """Yield the scores of each image, (classes,) float32, ``batch`` images at a time.

        Raises:
            DataError: as :meth:`prepare`.
        """
        blob = self.net.blobs[self.input]
        for start in range(0, len(paths), batch):
            images = [self.prepare(path) for path in paths[start : start + batch]]
            blob.reshape(len(images), *images[0].shape)
            blob.data[...] = images
            self.net.run_forward()
            yield from self.net.blobs[self.output].data.reshape(len(images), -1).copy()


def best(scores: Array, count: int) -> list[int]:
    """Return the classes of the highest scores, highest first."""
    return [int(i) for i in np.argsort(-scores, kind="stable")[:count]]


def read_labels(path: _Path, classes: int) -> list[str]:
    """Read a file with the name of a class in each line.

    Raises:
        DataError: it cannot be read, or has another number of lines than there are classes.
    """
    try:
        labels = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{os.fspath(path)}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{os.fspath(path)}: expected text in UTF-8") from None
    while labels and not labels[-1].strip():
        labels.pop()
    if len(labels) != classes:
        raise DataError(
            f"{os.fspath(path)}: expected {classes} lines, one for each class, got {len(labels)}"
        )
    return [label.strip() for label in labels]
