"""What reads files, as functions of bytes, with whole files to start from: for fuzzing.

Each function reads the bytes as the program would, or raises an error of ours; nothing else.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from places import MODELS, REFERENCE

Target = Callable[[bytes], None]

SMALL_NET = REFERENCE / "snapshots/sgd_net.prototxt"
SMALL_SOLVER = "snapshots/sgd_BINARYPROTO.prototxt"


def files(*patterns: str) -> list[bytes]:
    """Return the contents of files of the reference."""
    return [p.read_bytes() for pattern in patterns for p in sorted(REFERENCE.glob(pattern))]


def _written(data: bytes, name: str) -> str:
    Path(name).write_bytes(data)
    return name


# --- nets and solvers ----------------------------------------------------------------------------
def net(data: bytes) -> None:
    """Read a net of any generation and form, build its graph and its shapes, without memory."""
    from protonet.graph import build_graph
    from protonet.layers import python
    from protonet.plan import build_plan
    from protonet.schema.read import read_net
    from protonet.schema.write import write_text

    python.ALLOW = False
    source = read_net(_written(data, "net.prototxt"))
    write_text(source.message)
    for phase in (0, 1):
        build_plan(build_graph(source, phase), static=True)


def solver(data: bytes) -> None:
    """Read a solver."""
    from protonet.schema.read import read_any
    from protonet.solvers import rule_of

    source = read_any(_written(data, "solver.prototxt"))
    if hasattr(source, "refuse_unknown"):
        source.refuse_unknown()
        rule_of(source)


@cache
def _solver() -> Any:
    import protonet

    before = os.getcwd()
    os.chdir(REFERENCE)
    try:
        return protonet.get_solver(SMALL_SOLVER)
    finally:
        os.chdir(before)


def weights(data: bytes) -> None:
    """Read a .caffemodel and copy what fits."""
    from protonet.solvers.snapshot import load_weights

    load_weights(_solver().net, _written(data, "w.caffemodel"))


def state(data: bytes) -> None:
    """Read a .solverstate."""
    from protonet.solvers.snapshot import load_state

    load_state(_solver(), _written(data, "s.solverstate"))


def weights_h5(data: bytes) -> None:
    """Read weights in HDF5."""
    from protonet.solvers.snapshot import load_weights

    load_weights(_solver().net, _written(data, "w.caffemodel.h5"))


def state_h5(data: bytes) -> None:
    """Read a solver state in HDF5."""
    from protonet.solvers.snapshot import load_state

    load_state(_solver(), _written(data, "s.solverstate.h5"))


def npz(data: bytes) -> None:
    """Read weights as NumPy's arrays."""
    from protonet.solvers.snapshot import load_weights

    load_weights(_solver().net, _written(data, "w.npz"))


def safetensors(data: bytes) -> None:
    """Read weights as safetensors."""
    from protonet.solvers.snapshot import load_weights

    load_weights(_solver().net, _written(data, "w.safetensors"))


def _npz_files() -> list[bytes]:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    seeds = []
    for save in (np.savez, np.savez_compressed):
        out = io.BytesIO()
        save(out, **{"conv/0": values, "ip/1": values})
        seeds.append(out.getvalue())
    return seeds


def _safetensors_files() -> list[bytes]:
    import json
    import struct

    head = {"conv/0": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
    text = json.dumps(head).encode()
    return [struct.pack("<Q", len(text)) + text + bytes(24)]


def resume(data: bytes) -> None:
    """Read what stands beside a solver state, with a checksum that fits or not."""
    import hashlib

    from protonet.solvers import resume

    if data[:1] == b"+":
        data = data[1:]
        digest = hashlib.sha256(data).hexdigest()
        data = f"protonetstate 1 sha256 {digest}\n".encode() + data
    found = resume.read(_written(data, "s.protonetstate"))
    resume.restore(_solver(), found, "s.protonetstate")


def _resume_seeds() -> list[bytes]:
    import json

    from protonet.solvers import resume

    body = json.dumps(resume.captured(_solver()), default=resume._encoded).encode()
    lstm = b'{"float32": "AAAAAA==", "shape": [1]}'
    return [
        b"+" + body,
        b'+{"nets": [[{"layer": "lstm", "type": "LSTM", "state": ' + lstm + b"}]]}",
    ]


# --- data ----------------------------------------------------------------------------------------
def mean(data: bytes) -> None:
    """Read a mean file."""
    from protonet.data.transformer import read_mean

    read_mean(_written(data, "mean.binaryproto"))


def datum(data: bytes) -> None:
    """Decode a record, in Python and by the kernel; what both read is the same."""
    from protonet.data.batch import transform_records
    from protonet.data.datum import decode_datum

    raw = np.frombuffer(data, np.uint8)
    shape = (1, 28, 28)
    y, labels = np.zeros(shape, np.float32), np.zeros(1, np.float32)
    done = transform_records(
        raw, np.array([0]), np.array([raw.size]), shape, shape, np.empty(0, np.float32), 1.0, 0,
        False, np.zeros((1, 3), np.uint64), y.reshape(-1), labels,
    )  # fmt: skip
    image, label = decode_datum(data, lambda: "record", None)
    if done:
        assert np.array_equal(image.astype(np.float32), y, equal_nan=True)
        assert np.float32(label) == labels[0]


def _datums() -> list[bytes]:
    from protonet.data.source import open_source

    folders = ("mnist-1k-lmdb", "data/encoded-lmdb", "data/float-lmdb", "data/encoded-gray-lmdb")
    return [open_source(REFERENCE / folder).first() for folder in folders]


def image(data: bytes) -> None:
    """Decode an image in all three ways."""
    from protonet.data.images import decode_image

    for color in (True, False, None):
        decode_image(data, lambda: "image", color)


def _images() -> list[bytes]:
    from PIL import Image

    rng = np.random.default_rng(3)
    pixels = Image.fromarray(rng.integers(0, 256, (9, 7, 3), np.uint8))
    seeds = []
    for mode, formats in (
        ("RGB", ("PNG", "JPEG", "BMP", "GIF", "TIFF", "PPM", "WEBP")),
        ("L", ("PNG", "JPEG")),
        ("P", ("PNG", "GIF")),
        ("RGBA", ("PNG", "TIFF")),
        ("I", ("TIFF",)),
        ("F", ("TIFF",)),
    ):
        for kind in formats:
            out = io.BytesIO()
            pixels.convert(mode).save(out, kind)
            seeds.append(out.getvalue())
    return seeds


def lists(data: bytes) -> None:
    """Read a list of images, of HDF5 files, of windows."""
    from protonet.data.hdf5 import read_file_list
    from protonet.data.image_list import read_list
    from protonet.data.windows import read_windows
    from protonet.errors import DataError

    path = _written(data, "list.txt")
    for read in (read_list, read_file_list, lambda p: read_windows(p, 0.5, 0.5)):
        try:
            read(path)
        except DataError:
            continue


def hdf5(data: bytes) -> None:
    """Read rows of an HDF5 file."""
    from protonet.data.hdf5 import Hdf5Rows

    rows = Hdf5Rows([_written(data, "rows.h5")], ["data", "label"])
    if sum(int(np.prod(shape)) for shape in rows.shapes) < 2**20:
        rows.read([np.empty((2, *shape), np.float32) for shape in rows.shapes])


def _hdf5() -> list[bytes]:
    import h5py

    seeds = []
    for options in ({}, {"compression": "gzip", "chunks": True}):
        out = io.BytesIO()
        with h5py.File(out, "w") as file:
            file.create_dataset("data", data=np.ones((3, 2), np.float32), **options)
            file.create_dataset("label", data=np.ones(3, np.float32), **options)
        seeds.append(out.getvalue())
    return seeds


def lmdb(data: bytes) -> None:
    """Read all records of an LMDB."""
    _database("data.mdb", data, {})


def leveldb(data: bytes) -> None:
    """Read all records of a LevelDB, one of whose files is this one: a zero byte tells which."""
    name, _, content = data.partition(b"\0")
    others = _leveldb_files()
    if name.decode("latin-1") in others:
        _database(name.decode("latin-1"), content, others)


def _database(name: str, data: bytes, others: dict[str, bytes]) -> None:
    """Read a database of these files, in a folder of its own: a handle may outlive this call."""
    import tempfile

    from protonet.data.source import open_source

    with tempfile.TemporaryDirectory() as folder:
        for file, content in {**others, name: data}.items():
            (Path(folder) / file).write_bytes(content)
        source = open_source(folder)
        seen = 0
        for key, value in source:
            seen += len(key) + len(value)
            if seen > 2**24:
                break
        source.describe(0)
        together = list(source.take_from(0)(100))
        assert together == list(islice(source.values(), len(together)))
        del source


@cache
def _leveldb_files() -> dict[str, bytes]:
    folder = REFERENCE / "data/gray-leveldb"
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name not in ("LOCK", "LOG")}


def _leveldbs() -> list[bytes]:
    return [name.encode() + b"\0" + content for name, content in _leveldb_files().items()]


def _lmdbs() -> list[bytes]:
    return [p.read_bytes() for p in sorted(REFERENCE.glob("data/*-lmdb/data.mdb"))]


TARGETS: dict[str, tuple[Target, Callable[[], list[bytes]]]] = {
    "net": (
        net,
        lambda: [
            *(p.read_bytes() for p in sorted(MODELS.glob("**/*.prototxt"))[:12]),
            *files("legacy/*.prototxt", "layers/*.prototxt", "snapshots/*.caffemodel")[:80],
        ],
    ),
    "solver": (solver, lambda: files("legacy/solver*.prototxt", "solvers/*.prototxt")[:20]),
    "weights": (weights, lambda: files("snapshots/*.caffemodel")),
    "state": (state, lambda: files("snapshots/*.solverstate")),
    "weights_h5": (weights_h5, lambda: files("snapshots/*.caffemodel.h5")),
    "state_h5": (state_h5, lambda: files("snapshots/*.solverstate.h5")),
    "npz": (npz, _npz_files),
    "safetensors": (safetensors, _safetensors_files),
    "resume": (resume, _resume_seeds),
    "mean": (mean, lambda: files("data/*.binaryproto")),
    "datum": (datum, _datums),
    "image": (image, _images),
    "lists": (lists, lambda: [*files("data/*.txt"), b"# 0\na.png\n3\n9\n9\n1\n1 0.9 1 1 4 4\n"]),
    "hdf5": (hdf5, _hdf5),
    "lmdb": (lmdb, _lmdbs),
    "leveldb": (leveldb, _leveldbs),
}


def target(name: str) -> tuple[Target, list[bytes]]:
    """Return a target and the files to start from."""
    function, seeds = TARGETS[name]
    return function, seeds()
