"""Records as TensorBoard events, for those who watch their runs there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from protonet.errors import OutputError

MISSING = "--tensorboard needs a package: pip install 'protonet-caffe[tensorboard]'"


class TensorBoardEvents:
    """A sink of records that writes event files into a folder.

    Scalars are named ``train/<output>``, ``test/<output>``, ``gradient/<layer>/<index>`` and so
    on, at the iterations done.

    Raises:
        OutputError: the library that writes such files is not installed, or the folder cannot be
            written.
    """

    def __init__(self, folder: Path) -> None:
        try:
            import tensorboardX  # noqa: F401
        except ImportError:
            raise OutputError(MISSING) from None
        self._folder = folder
        self._writer: Any = None

    def __call__(self, record: dict[str, Any]) -> None:
        if self._writer is None:
            self._writer = self._open()
        for name, value in scalars(record).items():
            self._writer.add_scalar(name, value, record["iter"])

    def _open(self) -> Any:
        from tensorboardX import SummaryWriter

        try:
            return SummaryWriter(str(self._folder))
        except OSError as error:
            raise OutputError(f"{self._folder}: cannot be written: {error.strerror}") from None

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def scalars(record: dict[str, Any]) -> dict[str, float]:
    """Return the single numbers of a record under the names they have in TensorBoard."""
    event = record["event"]
    found: dict[str, Any] = {}
    if event == "train":
        found = {"train/total": record["loss"], "learning rate": record["lr"]}
        found["iterations per second"] = record["per_second"]
    elif event == "gradients":
        for entry in record["params"]:
            for what in ("gradient", "weight", "ratio"):
                found[f"{what}/{entry['layer']}/{entry['index']}"] = entry[what]
        for what in ("dead", "saturated"):
            found.update((f"{what}/{layer}", share) for layer, share in record[what].items())
    if event in ("train", "test"):
        kind = event if record.get("net", 0) == 0 else f"{event} {record['net']}"
        found.update((f"{kind}/{name}", value) for name, value in record["outputs"].items())
    return {name: value for name, value in found.items() if isinstance(value, int | float)}
