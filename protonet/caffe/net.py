"""``caffe.Net``: pycaffe's arguments, names and return types over protonet's net."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from protonet import net as core
from protonet.blob import Array, Blob
from protonet.errors import DataError, GraphError, ShapeError
from protonet.layer import Layer
from protonet.layers import layer_types

_Path = str | os.PathLike[str]
IndexHook = Callable[[int], None]


def layer_type_list() -> list[str]:
    """Return the names of all layer types."""
    return sorted(layer_types())


class Net(core.Net):
    """A net: ``Net(file, phase)``, ``Net(file, phase, level, stages, weights)`` by position or
    name, or the older ``Net(file, weights, phase)``.

    Attributes:
        blobs: OrderedDict, name -> Blob; ``data`` and ``diff`` of a blob are live arrays.
        params: OrderedDict, layer name -> its parameter blobs.

    Raises:
        ProtonetError: whatever is wrong with file, graph, shapes, sources or weights.
        TypeError: no phase is given.
    """

    def __init__(
        self,
        network_file: Any,
        *args: Any,
        phase: int | None = None,
        level: int = 0,
        stages: Sequence[str] | None = None,
        weights: _Path | None = None,
        share_with: core.Net | None = None,
    ) -> None:
        if args and isinstance(args[0], str | os.PathLike):
            weights, *args = args  # type: ignore[assignment]
        given = dict(zip(("phase", "level", "stages", "weights"), args, strict=False))
        phase = given.get("phase", phase)
        if phase is None or len(args) > 4:
            raise TypeError("expected Net(file, phase, level=0, stages=None, weights=None)")
        super().__init__(
            network_file,
            phase,
            weights=given.get("weights", weights),
            level=given.get("level", level),
            stages=given.get("stages", stages) or (),
            share_with=share_with,
        )
        self.blobs = OrderedDict(self.blobs)
        self.params = OrderedDict(self.params)

    # --- names -----------------------------------------------------------------------------
    @property
    def layer_dict(self) -> dict[str, Layer]:
        return OrderedDict((layer.name, layer) for layer in self.layers)

    @property
    def top_names(self) -> dict[str, list[str]]:
        return OrderedDict(super().top_names)

    @property
    def bottom_names(self) -> dict[str, list[str]]:
        return OrderedDict(super().bottom_names)

    @property
    def blob_loss_weights(self) -> dict[str, float]:
        return OrderedDict(super().blob_loss_weights)

    @property
    def _blob_names(self) -> list[str]:
        return list(self.blobs)

    @property
    def _layer_names(self) -> list[str]:
        return [layer.name for layer in self.layers]

    @property
    def _blobs(self) -> list[Blob]:
        return list(self.blobs.values())

    @property
    def _blob_loss_weights(self) -> list[float]:
        return list(self.blob_loss_weights.values())

    @property
    def _inputs(self) -> list[int]:
        return self._ids(self.inputs)

    @property
    def _outputs(self) -> list[int]:
        return self._ids(self.outputs)

    def _ids(self, names: Iterable[str]) -> list[int]:
        order = {name: i for i, name in enumerate(self.blobs)}
        return [order[name] for name in names]

    def _bottom_ids(self, layer: int) -> list[int]:
        return self._ids(ref.name for ref in self.steps[layer].node.bottoms)

    def _top_ids(self, layer: int) -> list[int]:
        return self._ids(ref.name for ref in self.steps[layer].node.tops)

    # --- running ---------------------------------------------------------------------------
    def _forward(self, start: int, end: int) -> float:
        return self.run_forward(range(start, end + 1))

    def _backward(self, start: int, end: int) -> None:
        self.run_backward(range(start, end - 1, -1))

    def forward(
        self,
        blobs: Iterable[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        **inputs: Any,
    ) -> dict[str, Array]:
        """Run the layers from ``start`` to ``end``, names of layers, both included.

        Args:
            blobs: names of blobs to return besides the outputs (or the tops of ``end``).
            inputs: values of all input blobs, by name, or of none.

        Returns:
            name -> values, live.

        Raises:
            GraphError: other inputs than the net's.
            ShapeError: inputs of another batch size.
        """
        self._fill(inputs, self.inputs, "input", lambda blob: blob.data)
        return super().forward(blobs, start, end)

    def backward(
        self,
        diffs: Iterable[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        **tops: Any,
    ) -> dict[str, Array]:
        """Run the layers backward from ``start`` to ``end``, names of layers, both included.

        Args:
            diffs: names of blobs whose gradients to return besides those of the inputs (or of
                the bottoms of ``end``).
            tops: gradients of all output blobs, by name, or of none.

        Returns:
            name -> gradient, live.

        Raises:
            GraphError: other outputs than the net's.
            ShapeError: gradients of another batch size.
        """
        self._fill(tops, self.outputs, "output", lambda blob: blob.diff)
        return super().backward(diffs, start, end)

    def _fill(
        self,
        given: dict[str, Any],
        names: list[str],
        what: str,
        part: Callable[[Blob], Array],
    ) -> None:
        if not given:
            return
        if set(given) != set(names):
            raise GraphError(
                f"net '{self.name}': expected values for all {what} blobs, {', '.join(names)}, "
                f"got {', '.join(given)}"
            )
        for name, value in given.items():
            target = part(self.blobs[name])
            if np.shape(value)[:1] != target.shape[:1]:
                raise ShapeError(
                    f"{what} blob '{name}': expected a batch of {target.shape[:1]}, "
                    f"got values of shape {np.shape(value)}"
                )
            target[...] = value

    def forward_all(self, blobs: Iterable[str] | None = None, **inputs: Any) -> dict[str, Array]:
        """Run any number of inputs through the net, batch by batch.

        Args:
            blobs: names of blobs to return besides the outputs.
            inputs: values of all input blobs, by name, each of the same number of rows.

        Returns:
            name -> values for all rows, a copy.
        """
        kept: dict[str, list[Array]] = {}
        for batch in self._batch(inputs):
            for name, values in self.forward(blobs=blobs, **batch).items():
                kept.setdefault(name, []).append(np.atleast_1d(values).copy())
        return _joined(kept, _rows(inputs))

    def forward_backward_all(
        self,
        blobs: Iterable[str] | None = None,
        diffs: Iterable[str] | None = None,
        **values: Any,
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Run any number of inputs forward and gradients backward, batch by batch.

        Args:
            blobs, diffs: names of blobs whose values, or gradients, to return besides those of
                the outputs, or of the inputs.
            values: values of input blobs and gradients of output blobs, by name.

        Returns:
            (name -> values, name -> gradients), copies for all rows.
        """
        forward = self._batch({n: values[n] for n in self.inputs if n in values})
        backward = self._batch({n: values[n] for n in self.outputs if n in values})
        kept: dict[str, list[Array]] = {}
        kept_diffs: dict[str, list[Array]] = {}
        nothing: dict[str, Any] = {}
        for inputs, tops in zip_longest(forward, backward, fillvalue=nothing):
            for name, data in self.forward(blobs=blobs, **inputs).items():
                kept.setdefault(name, []).append(np.atleast_1d(data).copy())
            for name, diff in self.backward(diffs=diffs, **tops).items():
                kept_diffs.setdefault(name, []).append(np.atleast_1d(diff).copy())
        rows = _rows(values)
        return _joined(kept, rows), _joined(kept_diffs, rows)

    def _batch(self, blobs: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the values of each batch, the last one filled up with zeros."""
        if not blobs:
            return
        rows = _rows(blobs)
        size = next(iter(self.blobs.values())).shape[0]
        for start in range(0, rows, size):
            batch = {name: np.asarray(v[start : start + size]) for name, v in blobs.items()}
            missing = start + size - rows
            if missing > 0:
                batch = {
                    name: np.concatenate([v, np.zeros((missing, *v.shape[1:]), v.dtype)])
                    for name, v in batch.items()
                }
            yield batch

    def set_input_arrays(self, data: Array, labels: Array) -> None:
        """Hand rows to the MemoryData layer with which the net begins.

        Args:
            data: (rows, channels, height, width) float32, rows a multiple of the batch size.
            labels: (rows,) or (rows, 1, 1, 1) float32.

        Raises:
            DataError: the first layer is another, or the arrays do not fit.
        """
        set_arrays = getattr(self.layers[0], "set_arrays", None)
        if set_arrays is None:
            raise DataError(
                f"net '{self.name}': set_input_arrays needs a MemoryData layer as the first, got "
                f"'{self.layers[0].name}' ({self.layers[0].type})"
            )
        set_arrays(data, labels)

    _set_input_arrays = set_input_arrays

    # --- weights ---------------------------------------------------------------------------
    def save_hdf5(self, path: _Path) -> None:
        """Write layers and weights in HDF5, whatever the name.

        Raises:
            OutputError: the file cannot be written.
        """
        from protonet.solvers import snapshot_hdf5

        snapshot_hdf5.save_weights(self, path, diffs=False)

    def load_hdf5(self, path: _Path) -> None:
        """Copy weights from an HDF5 file by layer name, whatever the file's name.

        Raises:
            SnapshotError: the file cannot be read, or a layer's blobs do not fit.
        """
        from protonet.solvers import snapshot, snapshot_hdf5

        snapshot.load_weights(self, path, snapshot_hdf5.read_weights(path))

    # --- callbacks get the index of the layer -------------------------------------------------
    def before_forward(self, hook: IndexHook) -> None:  # type: ignore[override]
        """Call ``hook(index)`` before each layer runs forward."""
        self._before["forward"].append(hook)

    def after_forward(self, hook: IndexHook) -> None:  # type: ignore[override]
        """Call ``hook(index)`` after each layer has run forward."""
        self._after["forward"].append(hook)

    def before_backward(self, hook: IndexHook) -> None:  # type: ignore[override]
        """Call ``hook(index)`` before each layer runs backward."""
        self._before["backward"].append(hook)

    def after_backward(self, hook: IndexHook) -> None:  # type: ignore[override]
        """Call ``hook(index)`` after each layer has run backward."""
        self._after["backward"].append(hook)


def _rows(values: dict[str, Any]) -> int:
    return len(next(iter(values.values()))) if values else 0


def _joined(kept: dict[str, list[Array]], rows: int) -> dict[str, Array]:
    """Return the batches of each name in one array, without the rows that filled up the last."""
    joined = {name: np.concatenate(batches) for name, batches in kept.items()}
    surplus = len(next(iter(joined.values()), ())) - rows
    if surplus > 0 and rows:
        joined = {name: values[:-surplus] for name, values in joined.items()}
    return joined
