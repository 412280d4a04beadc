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
            from tensorboardX import SummaryWriter
        except ImportError:
            raise OutputError(MISSING) from None
        try:
            self._writer = SummaryWriter(str(folder))
        except OSError as error:
            raise OutputError(f"{folder}: cannot be written: {error.strerror}") from None

    def __call__(self, record: dict[str, Any]) -> None:
        for name, value in scalars(record).items():
            self._writer.add_scalar(name, value, record["iter"])

    def close(self) -> None:
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
