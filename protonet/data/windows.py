"""Window files (R-CNN's lists of boxes), and reading batches of warped windows.

A file holds, for each image: ``# <index>``, its path, channels, height, width, the number of
windows, and for each of these ``<class> <overlap> <x1> <y1> <x2> <y2>``. Windows that overlap an
object enough are foreground and keep their class; those that overlap little enough are
background, class 0; what lies between is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from protonet import random
from protonet.data.batch import Batch
from protonet.data.image_list import Entry, ImageFiles
from protonet.data.images import Pixels, decode_image
from protonet.data.resize import resize
from protonet.data.transformer import Shape3, Transformer
from protonet.errors import DataError

_DRAWS = 2  # random numbers a window takes: which one, and whether it is mirrored


@dataclass(frozen=True)
class Window:
    """A box in an image; the corners belong to it."""

    image: int
    label: int
    x1: int
    y1: int
    x2: int
    y2: int


@dataclass
class WindowFile:
    """What a window file holds.

    Attributes:
        images: paths, with the number of the line that each stands on.
        channels: of the last image, as Caffe takes it.
        foreground, background: the windows to sample from.
    """

    images: list[Entry]
    channels: int
    foreground: list[Window]
    background: list[Window]


def read_windows(path: str, fg_threshold: float, bg_threshold: float) -> WindowFile:
    """Read a window file.

    Raises:
        DataError: it cannot be read, breaks off, or has something else where a number belongs.
    """
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise DataError(f"source '{path}' cannot be read: {error.strerror}") from error
    found = WindowFile([], 0, [], [])
    rest = ((n, line.split()) for n, line in enumerate(lines, 1) if line.strip())
    for number, fields in rest:
        if fields[0] != "#":
            raise DataError(
                f"source '{path}', line {number}: expected '# <index>', got '{fields[0]}'"
            )
        number, fields = _next(path, rest, "the path of an image")
        image = len(found.images)
        found.images.append(Entry(" ".join(fields), 0, number))
        found.channels = int(_number(path, rest, "channels"))
        for what in ("height", "width"):
            _number(path, rest, what)
        for _ in range(int(_number(path, rest, "the number of windows"))):
            _add_window(path, rest, found, image, fg_threshold, bg_threshold)
    if not found.images:
        raise DataError(f"source '{path}' lists no images")
    return found


def _next(path: str, rest: Iterator[tuple[int, list[str]]], what: str) -> tuple[int, list[str]]:
    for numbered in rest:
        return numbered
    raise DataError(f"source '{path}' breaks off: expected {what}")


def _number(path: str, rest: Iterator[tuple[int, list[str]]], what: str) -> float:
    return _numbers(path, rest, what, 1)[0]


def _numbers(
    path: str, rest: Iterator[tuple[int, list[str]]], what: str, count: int
) -> list[float]:
    number, fields = _next(path, rest, what)
    try:
        values = [float(field) for field in fields]
    except ValueError:
        values = []
    if len(values) != count or not np.isfinite(values).all():
        raise DataError(
            f"source '{path}', line {number}: expected {what}, got '{' '.join(fields)}'"
        )
    return values


def _add_window(
    path: str,
    rest: Iterator[tuple[int, list[str]]],
    found: WindowFile,
    image: int,
    fg_threshold: float,
    bg_threshold: float,
) -> None:
    what = "a window: class, overlap, x1, y1, x2, y2"
    values = _numbers(path, rest, what, 6)
    label, overlap, box = int(values[0]), values[1], [int(v) for v in values[2:]]
    if overlap >= fg_threshold:
        if label < 1:
            raise DataError(
                f"source '{path}': a foreground window has class {label}, expected 1 up"
            )
        found.foreground.append(Window(image, label, *box))
    elif overlap < bg_threshold:
        found.background.append(Window(image, 0, *box))


@dataclass(frozen=True)
class Warp:
    """How a window becomes a square crop.

    Attributes:
        crop_size: side of the crop.
        context_pad: pixels of surroundings on each side of the window, in the crop.
        square: whether windows are made square first, not squeezed.
    """

    crop_size: int
    context_pad: int
    square: bool

    def place(
        self, window: Window, height: int, width: int
    ) -> tuple[tuple[int, int, int, int], tuple[int, int], tuple[int, int, int]]:
        """Find what part of an image of this size is warped to where.

        Returns:
            The part (x1, y1, x2, y2) inside the image; the size (height, width) it is warped
            to; and the empty rows above it, columns left of it, and columns right of it.
        """
        size = self.crop_size
        x1, y1, x2, y2 = window.x1, window.y1, window.x2, window.y2
        if not self.context_pad and not self.square:
            return (x1, y1, x2, y2), (size, size), (0, 0, 0)
        scale = size / (size - 2 * self.context_pad)
        half_h, half_w = (y2 - y1 + 1) / 2, (x2 - x1 + 1) / 2
        x, y = x1 + half_w, y1 + half_h
        if self.square:
            half_h = half_w = max(half_h, half_w)
        x1, x2 = _round(x - half_w * scale), _round(x + half_w * scale)
        y1, y2 = _round(y - half_h * scale), _round(y + half_h * scale)
        scale_w, scale_h = size / (x2 - x1 + 1), size / (y2 - y1 + 1)
        left, top = max(0, -x1), max(0, -y1)
        right, bottom = max(0, x2 - width + 1), max(0, y2 - height + 1)
        x1, y1, x2, y2 = x1 + left, y1 + top, x2 - right, y2 - bottom
        to_w, to_h = _round((x2 - x1 + 1) * scale_w), _round((y2 - y1 + 1) * scale_h)
        empty = _round(top * scale_h), _round(left * scale_w), _round(right * scale_w)
        return (x1, y1, x2, y2), (to_h, to_w), empty


def _round(value: float) -> int:
    """Round halves away from zero, as C does."""
    return int(np.copysign(np.floor(abs(value) + 0.5), value))


class WindowReader:
    """Reads batch after batch of windows drawn at random. Belongs to one thread at a time."""

    def __init__(
        self,
        files: ImageFiles,
        found: WindowFile,
        warp: Warp,
        transformer: Transformer,
        batch_size: int,
        fg_fraction: float,
        rng: np.random.Generator,
        *,
        cache: bool = False,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            fg_fraction: share of each batch that is foreground; it comes after the background.
            rng: of this reader's own.
            cache: keep the image files in memory.
        """
        self._files = files
        self._found = found
        self._warp = warp
        self._transformer = transformer
        self._foreground = int(batch_size * np.float32(fg_fraction))
        self._size = batch_size
        self._rng, self._rng_state = rng, rng.bit_generator.state
        self._cache: dict[int, bytes] | None = {} if cache else None
        self._check_enough()

    def _check_enough(self) -> None:
        for name, windows, count in (
            ("foreground", self._found.foreground, self._foreground),
            ("background", self._found.background, self._size - self._foreground),
        ):
            if count and not windows:
                raise DataError(
                    f"source '{self._files.list_path}' has no {name} windows, "
                    f"but each batch takes {count}"
                )

    def seek(self, record: int) -> None:
        """Go on with the draws that come after so many windows."""
        self._rng = random.thawed(self._rng_state)  # a new one, see DatumReader.seek
        self._rng.bit_generator.advance(_DRAWS * record)  # type: ignore[attr-defined]

    def read(self, batch: Batch) -> int:
        """Fill ``batch`` with windows. Returns how many they are.

        Raises:
            DataError: an image is missing or broken, or a window lies outside of it.
        """
        size = self._warp.crop_size
        batch.reshape(self._size, self._found.channels, size, size)
        batch.data.fill(0)
        draws = self._rng.integers(0, 2**64, (self._size, _DRAWS), np.uint64)
        for i, (which, flip) in enumerate(draws.tolist()):
            foreground = i >= self._size - self._foreground
            windows = self._found.foreground if foreground else self._found.background
            window = windows[which % len(windows)]
            mirror = self._transformer.mirror and flip % 2 == 1
            self._write(window, mirror, batch.data[i])
            batch.labels[i] = window.label
        return self._size

    def _image(self, index: int) -> Pixels:
        entry = self._found.images[index]
        content = self._cache.get(index) if self._cache is not None else None
        if content is None:
            content = self._files.content(entry)
        if self._cache is not None:
            self._cache[index] = content
        return decode_image(content, lambda: self._files.describe(entry), True)

    def _write(self, window: Window, mirror: bool, y: np.ndarray[Any, Any]) -> None:
        """Warp a window into y: (C, crop_size, crop_size), zero where the image has nothing."""
        image = self._image(window.image)
        shape: Shape3 = image.shape
        where = self._files.describe(self._found.images[window.image])
        (x1, y1, x2, y2), (height, width), (top, left, right) = self._warp.place(window, *shape[1:])
        if shape[0] != y.shape[0]:
            raise DataError(
                f"{where} has {shape[0]} channels, but its window file says {y.shape[0]}"
            )
        if not (0 <= x1 <= x2 < shape[2] and 0 <= y1 <= y2 < shape[1]):
            raise DataError(
                f"{where}: the window {window.x1} {window.y1} {window.x2} {window.y2} does not lie "
                f"in the image of shape {shape}"
            )
        size = self._warp.crop_size
        left = right if mirror else left
        # Rounding may have made the parts larger than the whole.
        height, width = min(height, size - top), min(width, size - left)
        if height < 1 or width < 1:
            return
        pixels = resize(np.ascontiguousarray(image[:, y1 : y2 + 1, x1 : x2 + 1]), height, width)
        x = (pixels[:, :, ::-1] if mirror else pixels).astype(np.float32)
        window_mean = self._transformer.centre_mean(shape[0], size)
        rows, columns = slice(top, top + height), slice(left, left + width)
        if window_mean.size:
            x -= window_mean[:, rows, columns] if window_mean.shape[1] == size else window_mean
        np.multiply(x, self._transformer.scale, out=y[:, rows, columns])
