"""MNIST: the full set ships with the package and becomes a database when a net asks for one.

Nets from courses and papers name their MNIST sources in a handful of ways
(``mnist-train-leveldb``, ``examples/mnist/mnist_train_lmdb``, ...). Where such a source does not
exist, the database is built once in the user's cache folder, record for record what Caffe's own
conversion makes of the original files.

Data: Y. LeCun, C. Cortes, CC BY-SA 3.0; see ``bundled/LICENSE-MNIST.txt``.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from protonet.data.paths import existing
from protonet.data.source import Record, Source, open_source
from protonet.data.writer import KINDS, write_database
from protonet.errors import DataError, OutputError

SHAPE = (1, 28, 28)  # channels, height, width of an image
COUNTS = {"train": 60_000, "test": 10_000}

_log = logging.getLogger("protonet")

_NAME = re.compile(r"mnist[-_](train|test)(?:[-_](lmdb|leveldb|db))?", re.IGNORECASE)
_FILES = {"train": "train", "test": "t10k"}
_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


@dataclass(frozen=True)
class BundledMnist:
    """One part of MNIST as a database of one kind, built or not.

    Attributes:
        part: "train" or "test".
        kind: "lmdb" or "leveldb".
    """

    part: str
    kind: str

    @property
    def path(self) -> str:
        """Where in the cache folder it is, or will be."""
        return os.path.join(cache_folder(), "data", f"mnist_{self.part}_{self.kind}")

    def __len__(self) -> int:
        return COUNTS[self.part]

    def open(self, name: str) -> Source:
        """Open the database, having built it if it was not there yet.

        Args:
            name: the source as the net calls it, for the log.

        Raises:
            OutputError: the cache folder cannot be written.
        """
        path = self.path
        if os.path.isdir(path):
            _log.info("source '%s' does not exist: using the bundled MNIST in %s", name, path)
        else:
            _log.info("source '%s' does not exist: building it from the bundled MNIST in %s",
                      name, path)  # fmt: skip
            try:
                # Uncompressed: unpacking would take most of the time that reading takes.
                write_database(path, self.kind, records(self.part), compress=False)
            except OutputError as error:
                if not os.path.isdir(path):  # otherwise another process has built it meanwhile
                    raise OutputError(
                        f"{error}; set PROTONET_CACHE to a folder that can be written"
                    ) from error
        return open_source(path)


def bundled_mnist(source: str, backend: str) -> BundledMnist | None:
    """Return the part of MNIST that a source's name customarily stands for, if it does.

    Args:
        source: as in the net. Only its last part counts: ``examples/mnist/mnist_train_lmdb``.
        backend: the kind to build if the name does not say.
    """
    match = _NAME.fullmatch(os.path.basename(source.replace("\\", "/").rstrip("/")))
    if match is None:
        return None
    kind = (match[2] or "").lower()
    return BundledMnist(match[1].lower(), kind if kind in KINDS else backend)


def open_named(name: str) -> Source:
    """Open the database that a command line names; a bundled one where there is none.

    Raises:
        DataError: there is neither, or it is broken.
    """
    bundled = None if os.path.exists(name) else bundled_mnist(name, "lmdb")
    return bundled.open(name) if bundled else open_source(existing(name, "database"))


def cache_folder() -> str:
    """Return protonet's folder for what can be made again. ``PROTONET_CACHE`` moves it."""
    base = os.environ.get("PROTONET_CACHE")
    if base:
        return base
    import platformdirs

    return platformdirs.user_cache_dir("protonet", appauthor=False)


def records(part: str) -> Iterator[Record]:
    """Yield the records of "train" or "test": key ``00000000`` on, value a Datum's bytes."""
    images, labels = _load_part(part)
    channels, height, width = SHAPE
    size = channels * height * width
    # Fields 1, 2, 3, the key and length of field 4, the key of field 5, as protobuf writes them.
    head = bytes([8, channels, 16, height, 24, width, 34, size & 127 | 128, size >> 7])
    tails = [bytes([40, label]) for label in range(10)]
    pixels = images.tobytes()
    for i, label in enumerate(labels.tolist()):
        yield b"%08d" % i, head + pixels[i * size : (i + 1) * size] + tails[label]


def load_mnist() -> dict[str, Any]:
    """Return the bundled set as arrays.

    Returns:
        train_images (60000, 28, 28), train_labels (60000,), test_images (10000, 28, 28),
        test_labels (10000,), all uint8.
    """
    train, test = _load_part("train"), _load_part("test")
    return {
        "train_images": train[0],
        "train_labels": train[1],
        "test_images": test[0],
        "test_labels": test[1],
    }


def _load_part(part: str) -> tuple[Any, Any]:
    count, (_, height, width) = COUNTS[part], SHAPE
    images = np.frombuffer(_unpack(f"{_FILES[part]}-images-idx3-ubyte"), np.uint8, offset=16)
    labels = np.frombuffer(_unpack(f"{_FILES[part]}-labels-idx1-ubyte"), np.uint8, offset=8)
    return images.reshape(count, height, width), labels


def _unpack(name: str) -> bytes:
    import lzma
    from importlib import resources

    packed = resources.files("protonet.data").joinpath("bundled", f"{name}.xz")
    try:
        content = lzma.decompress(packed.read_bytes())
    except (OSError, lzma.LZMAError) as error:
        raise DataError(f"the bundled MNIST file {name}.xz cannot be read: {error}") from error
    if hashlib.sha256(content).hexdigest() != _SHA256[name]:
        raise DataError(f"the bundled MNIST file {name}.xz is damaged: install protonet again")
    return content
