"""Weights by themselves: what a file holds, and the same as plain arrays for other programs.

Besides Caffe's two formats, NumPy's ``.npz`` and ``.safetensors`` are read and written. In both
an array is called ``<layer>/<index>``, as in Caffe's HDF5; of layers that share a name the second
is ``<layer>#2/<index>``, and so on.
"""

from __future__ import annotations

import json
import os
import struct
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from protonet.blob import Array, Shape
from protonet.errors import OutputError, SnapshotError, did_you_mean
from protonet.files import written_beside
from protonet.solvers import snapshot
from protonet.solvers.snapshot import Stored, StoredWeights

_Path = str | os.PathLike[str]

_MOST_TIMES, _ALWAYS = 200, 2**26  # bytes in memory for one in an archive, and for nothing
_MAX_HEADER = 100_000_000  # bytes of a safetensors file's header, the limit of its own library
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1"}
_ALIGNMENT = 8


# --- what a file holds ---------------------------------------------------------------------------
@dataclass(frozen=True)
class BlobFacts:
    """One parameter blob of a file.

    Attributes:
        layer, index: where it belongs.
        minimum, maximum, mean, std: of its values; nan for an empty blob.
        zeros: the share of values that are 0.
        finite: whether all values are numbers.
    """

    layer: str
    index: int
    shape: Shape
    count: int
    minimum: float
    maximum: float
    mean: float
    std: float
    zeros: float
    finite: bool

    def as_data(self) -> dict[str, Any]:
        """Return a dict for JSON, None in place of what is no finite number."""
        data = asdict(self)
        return {
            k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in data.items()
        }


def facts(stored: StoredWeights) -> list[BlobFacts]:
    """Return the facts of each blob, in the order of the file."""
    return [
        _blob_facts(name, i, blob.shape, blob.read())
        for name, blobs in stored.layers
        for i, blob in sorted(blobs.items())
    ]


def _blob_facts(layer: str, index: int, shape: Shape, values: Array) -> BlobFacts:
    wide = values.astype(np.float64)
    some = wide.size > 0
    with np.errstate(invalid="ignore"):
        low, high, mean, std = (
            float(f(wide)) if some else float("nan") for f in (np.min, np.max, np.mean, np.std)
        )
    zeros = float((wide == 0).mean()) if some else 0.0
    finite = bool(np.isfinite(wide).all())
    shape, count = tuple(shape), values.size
    return BlobFacts(layer, index, shape, count, low, high, mean, std, zeros, finite)


# --- files of arrays -----------------------------------------------------------------------------
def read_arrays(path: _Path) -> StoredWeights:
    """Read a ``.npz`` or ``.safetensors`` file.

    Raises:
        SnapshotError: the file cannot be read, is none, or holds arrays of other names than
            ``<layer>/<index>``.
    """
    name = os.fspath(path)
    try:
        arrays = _read_npz(name) if name.endswith(".npz") else _read_safetensors(name)
    except FileNotFoundError:
        siblings = [p.name for p in Path(name).parent.glob("*") if p.is_file()]
        raise SnapshotError(
            f"{name}: no such file{did_you_mean(Path(name).name, siblings)}"
        ) from None
    except Exception as error:  # readers of archives raise whatever a broken one leads them to
        kind = name.rpartition(".")[2]
        reason = (str(error) or repr(error)).splitlines()[0]
        raise SnapshotError(f"{name}: not a {kind} file of arrays, or broken: {reason}") from None
    layers: dict[str, dict[int, Stored]] = {}
    for key, values in arrays.items():
        layer, _, index = key.rpartition("/")
        if not layer or not index.isdecimal():
            raise SnapshotError(f"{name}: expected arrays called <layer>/<index>, found '{key}'")
        layers.setdefault(layer, {})[int(index)] = _stored(values)
    return StoredWeights([(_plain(layer, layers), blobs) for layer, blobs in layers.items()])


def _plain(layer: str, layers: Mapping[str, Any]) -> str:
    name, _, number = layer.rpartition("#")
    return name if number.isdecimal() and name in layers else layer


def _stored(values: Any) -> Stored:
    flat = np.ascontiguousarray(values, np.float32).reshape(-1)
    return Stored(tuple(values.shape), lambda: flat, four=values.ndim == 4)


def _read_npz(name: str) -> dict[str, Any]:
    with open(name, "rb") as opened:
        file = np.load(opened, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError("a single array")
        for entry in file.zip.infolist():
            if entry.file_size > _MOST_TIMES * entry.compress_size + _ALWAYS:
                raise ValueError(
                    f"'{entry.filename}' takes {entry.file_size} bytes, but the file holds "
                    f"{entry.compress_size} of it"
                )
        arrays = {key: file[key] for key in file.files}
        for key, values in arrays.items():
            if values.dtype.kind not in "biuf":
                raise ValueError(f"'{key}' holds {values.dtype}, not numbers")
        return arrays


def _read_safetensors(name: str) -> dict[str, Any]:
    raw = np.fromfile(name, np.uint8)
    if raw.size < 8:
        raise ValueError("cut off")
    (size,) = struct.unpack("<Q", raw[:8].tobytes())
    if size > min(_MAX_HEADER, raw.size - 8):
        raise ValueError("cut off")
    header = json.loads(raw[8 : 8 + size].tobytes())
    data = raw[8 + size :]
    arrays = {}
    for key, entry in header.items():
        if key == "__metadata__":
            continue
        if entry["dtype"] not in _DTYPES:
            raise ValueError(f"'{key}' is of type {entry['dtype']}")
        start, end = entry["data_offsets"]
        if not 0 <= start <= end <= data.size:
            raise ValueError(f"'{key}' lies outside of the file")
        arrays[key] = data[start:end].view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return arrays


# --- writing -------------------------------------------------------------------------------------
def write(stored: StoredWeights, path: _Path) -> int:
    """Write weights as ``.npz``, ``.safetensors``, or HDF5 (``.h5``, in Caffe's layout).

    Returns:
        The number of blobs written.

    Raises:
        OutputError: an ending of another kind, or a file that cannot be written.
    """
    suffix = Path(path).suffix
    if suffix not in _WRITERS:
        known = ", ".join(_WRITERS)
        raise OutputError(f"{os.fspath(path)}: expected a name that ends in one of {known}")
    arrays = dict(_named(stored))
    with written_beside(path) as file:
        _WRITERS[suffix](file, arrays)
    return len(arrays)


def _named(stored: StoredWeights) -> Iterator[tuple[str, Array]]:
    seen: Counter[str] = Counter()
    for layer, blobs in stored.layers:
        seen[layer] += bool(blobs)
        name = layer if seen[layer] < 2 else f"{layer}#{seen[layer]}"
        for i, blob in sorted(blobs.items()):
            yield f"{name}/{i}", blob.read().reshape(blob.shape)


def _write_npz(file: Any, arrays: dict[str, Array]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as out:
        for key, values in arrays.items():
            # a date of its own would make every file another one
            with out.open(zipfile.ZipInfo(f"{key}.npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.ascontiguousarray(values))


def _write_safetensors(file: Any, arrays: dict[str, Array]) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "caffe"}}
    end = 0
    for key, values in arrays.items():
        start, end = end, end + 4 * values.size
        entry = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [start, end]}
        header[key] = entry
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    file.write(struct.pack("<Q", len(text)) + text)
    for values in arrays.values():
        file.write(np.ascontiguousarray(values, "<f4").tobytes())


def _write_hdf5(file: Any, arrays: dict[str, Array]) -> None:
    import h5py

    with h5py.File(file, "w") as out:
        data = out.create_group("data")
        for key, values in arrays.items():
            data[key] = values


_WRITERS: dict[str, Callable[[Any, dict[str, Array]], None]] = {
    ".npz": _write_npz,
    ".safetensors": _write_safetensors,
    ".h5": _write_hdf5,
}


# --- into a net ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Imported:
    """What became of the weights of a file.

    Attributes:
        unused: layers of the file that the net does not have.
        left_out: a line for each layer whose blobs did not fit.
        untouched: layers of the net that got nothing.
    """

    unused: list[str]
    left_out: list[str]
    untouched: list[str]


def import_weights(net: Any, path: _Path, ignore_mismatched: bool = False) -> Imported:
    """Copy weights of any kind of file into a net, by layer name.

    Args:
        net: changed.
        ignore_mismatched: leave layers as they are whose blobs do not fit, for fine-tuning.

    Raises:
        SnapshotError: the file cannot be read; blobs do not fit.
    """
    stored = snapshot.read_weights(path)
    left_out: list[str] = []
    unused = snapshot.load_weights(net, path, stored, left_out if ignore_mismatched else None)
    filled = {name for name, blobs in stored.layers if blobs}
    untouched = [name for name in net.params if name not in filled]
    return Imported(unused, left_out, untouched)
