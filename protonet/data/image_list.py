"""List files (an image and a label a line), and reading batches of the images they name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protonet import random
from protonet.data.batch import Batch
from protonet.data.images import Pixels, decode_image
from protonet.data.paths import existing
from protonet.data.resize import resize
from protonet.data.transformer import Shape3, Transformer, skip_draws
from protonet.errors import DataError


@dataclass(frozen=True)
class Entry:
    """One line of a list file: a path as it stands there, a label, and the line's number."""

    name: str
    label: int
    line: int


def read_list(path: str) -> list[Entry]:
    """Read a list file. Paths may hold spaces; the label follows the last one.

    Raises:
        DataError: it cannot be read, has a line without a label, or names nothing.
    """
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise DataError(f"source '{path}' cannot be read: {error.strerror}") from error
    entries = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            name, label = line.rsplit(maxsplit=1)
            entries.append(Entry(name, int(label), number))
        except ValueError:
            raise DataError(
                f"source '{path}', line {number}: expected a path and a label, got '{line.strip()}'"
            ) from None
    if not entries:
        raise DataError(f"source '{path}' lists no images")
    return entries


@dataclass(frozen=True)
class ImageFiles:
    """How the images of a list are found and read.

    Attributes:
        list_path: the list file.
        root: put before every path, as it is.
        color: True for three channels (blue, green, red), False for one.
        size: (height, width) to resize to, or None.
        where: ``file:line: `` of the layer.
    """

    list_path: str
    root: str = ""
    color: bool | None = True
    size: tuple[int, int] | None = None
    where: str = ""

    def content(self, entry: Entry) -> bytes:
        """Return the bytes of an image file.

        Raises:
            DataError: it does not exist or cannot be read.
        """
        name = self.root + entry.name
        path = existing(
            name, "image", self.where, named_in=self.list_path, detail=self._line(entry)
        )
        try:
            with open(path, "rb") as file:
                return file.read()
        except OSError as error:
            raise DataError(f"{self.describe(entry)} cannot be read: {error.strerror}") from error

    def read(self, entry: Entry) -> Pixels:
        """Return an image (C, H, W) uint8.

        Raises:
            DataError: it does not exist or cannot be decoded.
        """
        image = decode_image(self.content(entry), lambda: self.describe(entry), self.color)
        return resize(image, *self.size) if self.size else image

    def describe(self, entry: Entry) -> str:
        """Return how messages name an image."""
        return f"image '{self.root}{entry.name}'{self._line(entry)}"

    def _line(self, entry: Entry) -> str:
        return f" (line {entry.line} of '{self.list_path}')"


class ImageReader:
    """Reads batch after batch of a list's images. Belongs to one thread at a time."""

    def __init__(
        self,
        files: ImageFiles,
        entries: list[Entry],
        transformer: Transformer,
        batch_size: int,
        rng: np.random.Generator,
        *,
        shuffle: np.random.Generator | None = None,
        skip: int = 0,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            rng: for crops and mirroring, of this reader's own.
            shuffle: for a new order in every pass; None keeps the order of the list.
            skip: images at the beginning that are left out of the first pass.
        """
        self._files = files
        self._entries = entries
        self._transformer = transformer
        self._size = batch_size
        self._rng_state = random.frozen(rng)
        self._shuffle = shuffle
        self._shuffle_state = shuffle.bit_generator.state if shuffle else {}
        self._skip = skip
        self.seek(0)

    def first_shape(self) -> Shape3:
        """Return the shape of the image that comes next, before crops."""
        return self._files.read(self._entries[self._order[self._at]]).shape

    def seek(self, record: int) -> None:
        """Go on with the image that would come after so many, random draws included."""
        passes, self._at = divmod(self._skip + record, len(self._entries))
        if self._shuffle:
            self._shuffle = random.thawed(self._shuffle_state)
        for _ in range(passes + 1):
            self._order = self._next_order()
        self._rng = random.thawed(self._rng_state)  # new ones, see DatumReader.seek
        if self._transformer.random:
            skip_draws(self._rng, record)

    def describe(self, record: int) -> str:
        """Return how messages name the image that comes after so many."""
        passes, at = divmod(self._skip + record, len(self._entries))
        if self._shuffle:
            shuffle = random.thawed(self._shuffle_state)
            for _ in range(passes + 1):
                order = shuffle.permutation(len(self._entries))
            at = int(order[at])
        return self._files.describe(self._entries[at])

    def _next_order(self) -> list[int]:
        count = len(self._entries)
        return self._shuffle.permutation(count).tolist() if self._shuffle else list(range(count))

    def read(self, batch: Batch) -> int:
        """Fill ``batch`` with the next images. Returns how many they are.

        Raises:
            DataError: an image is missing, broken, or does not fit the batch.
        """
        draws = self._transformer.draw(self._rng, self._size)
        for i in range(self._size):
            entry = self._entries[self._order[self._at]]
            image = self._files.read(entry)
            try:
                if i == 0:
                    # As in Caffe the first image of a batch gives the batch its shape.
                    shape: Shape3 = image.shape
                    batch.reshape(self._size, *self._transformer.output_shape(shape))
                self._transformer.apply(image, draws[i], batch.data[i])
            except DataError as error:
                raise DataError(f"{self._files.describe(entry)}: {error}") from error
            batch.labels[i] = entry.label
            self._at += 1
            if self._at == len(self._entries):
                self._at, self._order = 0, self._next_order()
        return self._size
