"""What a run measured, read back: from metrics.jsonl, or from a log that Caffe wrote."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from protonet.errors import DataError
from protonet.watch.metrics import NAME, Record

Curve = tuple[list[int], list[float]]

_KINDS = {"train": "train", "test": "tests", "gradients": "gradients"}


@dataclass
class History:
    """The records of one run, by kind. Their fields are described in ``metrics.py``.

    Attributes:
        name: what to call the run in a figure.
        net: name of the net, or "".
        heads: names of the outputs that are losses.
        train, tests, gradients: records in order.
    """

    name: str
    net: str = ""
    heads: list[str] = field(default_factory=list)
    train: list[Record] = field(default_factory=list)
    tests: list[Record] = field(default_factory=list)
    gradients: list[Record] = field(default_factory=list)

    def add(self, record: Record) -> None:
        """Take in one record, of a kind that is known here; for a run that goes on.

        Raises:
            KeyError, TypeError: it is no record.
        """
        event = record["event"]
        if event == "run":
            self.net, self.heads = record["net"], record["heads"]
        elif event in _KINDS:
            record["iter"] += 0
            getattr(self, _KINDS[event]).append(record)

    def curve(self, records: list[Record], key: str) -> Curve:
        """Return iterations and values of one field (``lr``) or output (``outputs/loss``)."""
        xs: list[int] = []
        ys: list[float] = []
        for record in records:
            value: Any = record
            for part in key.split("/", 1):
                value = value.get(part) if isinstance(value, dict) else None
            if isinstance(value, int | float):
                xs.append(record["iter"])
                ys.append(float(value))
        return xs, ys

    def outputs(self, records: list[Record]) -> list[str]:
        """Return the names of the single-valued outputs in these records."""
        names = dict.fromkeys(name for record in records for name in record["outputs"])
        return [n for n in names if self.curve(records, f"outputs/{n}")[0]]

    def test_nets(self) -> list[int]:
        """Return the numbers of the test nets."""
        return sorted({record["net"] for record in self.tests})

    def tests_of(self, net: int) -> list[Record]:
        return [record for record in self.tests if record["net"] == net]

    def flow(self, what: str) -> dict[tuple[str, int], Curve]:
        """Return (layer, blob index) -> its mean ``gradient``, ``weight`` or update ``ratio``."""
        curves: dict[tuple[str, int], Curve] = {}
        for record in self.gradients:
            for entry in record["params"]:
                if entry.get(what) is not None:
                    xs, ys = curves.setdefault((entry["layer"], entry["index"]), ([], []))
                    xs.append(record["iter"])
                    ys.append(entry[what])
        return curves


def read_history(path: str | os.PathLike[str]) -> History:
    """Read what a run left: its folder, a metrics file, or a glog file of Caffe's.

    Raises:
        DataError: there is nothing of the kind in that place.
    """
    place = Path(path)
    name = place.name or str(place.resolve().name)
    if place.is_dir():
        if not (place / NAME).is_file():
            raise DataError(
                f"{place}: no {NAME} in this folder: expected a run folder of protonet train"
            )
        return _from_metrics(place / NAME, name)
    try:
        with place.open(encoding="utf-8", errors="replace") as file:
            if place.suffix == ".jsonl":
                return _from_metrics(place, place.parent.name if place.name == NAME else place.stem)
            history = from_glog(file, name)
    except FileNotFoundError:
        raise DataError(f"{place}: no such file or folder") from None
    except OSError as error:
        raise DataError(f"{place}: cannot be read: {error.strerror}") from None
    if not history.train and not history.tests:
        raise DataError(
            f"{place}: no training of Caffe's in this file: expected a {NAME}, or a log with "
            "lines like 'I1122 20:17:13.556969 10515 solver.cpp:239] Iteration 100, loss = 0.3'"
        )
    return history


def _from_metrics(path: Path, name: str) -> History:
    history = History(name)
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            history.add(json.loads(line))
        except (ValueError, KeyError, TypeError):
            if number == len(lines):
                break  # the run was killed, or goes on, while this line was written
            raise DataError(f"{path}:{number}: expected a record of a training run") from None
    if not (history.train or history.tests):
        raise DataError(f"{path}: the run came to no iteration: nothing was measured")
    return history


# --- Caffe's logs ---------------------------------------------------------------------------------
_LINE = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ([\w.+-]+):\d+\] ?(.*)")
_NUMBER = r"([-+]?(?:\d[\d.]*(?:e[-+]?\d+)?|inf|nan))"
_SHOWN = re.compile(rf"Iteration (\d+)(?: \({_NUMBER} iter/s.*\))?, loss = {_NUMBER}")
_RATE = re.compile(rf"Iteration (\d+), lr = {_NUMBER}")
_TESTING = re.compile(r"Iteration (\d+), Testing net(?: \(#(\d+)\))?")
_OUTPUT = re.compile(rf" *(Train|Test) net output #\d+: (.+?) = {_NUMBER}(?: \(\* .* loss\))?")
_SCORE = re.compile(rf"Test score #(\d+): {_NUMBER}")
_GRADIENT = re.compile(
    rf" *\[Backward\] Layer (.+), param blob (?:(\d+)|.*) diff: {_NUMBER}", re.IGNORECASE
)
_UPDATE = re.compile(
    rf" *\[Update\] Layer (.+), param (?:(\d+)|.*) data: {_NUMBER}; diff: {_NUMBER}", re.IGNORECASE
)
_SOLVING = re.compile(r"Solving ?(.*)")


def from_glog(lines: Iterable[str], name: str = "") -> History:
    """Read the lines that real Caffe, or this program without a terminal, logs while it trains.

    Gradients are there if the solver had ``debug_info``. Lines of other kinds are passed over.
    """
    history = History(name)
    reader = _LogReader(history)
    for message in _messages(lines):
        reader.read(message)
    return history


def _messages(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        match = _LINE.match(line.rstrip("\r\n"))
        if match:
            yield match[2]


class _LogReader:
    def __init__(self, history: History) -> None:
        self.history = history
        self.flow: list[dict[str, Any]] = []
        self.current: Record = {}

    def read(self, message: str) -> None:
        history = self.history
        if match := _SHOWN.match(message):
            iteration = int(match[1])
            per_second = float(match[2]) if match[2] else None
            self.current = {"iter": iteration, "lr": None, "loss": float(match[3])}
            self.current.update(outputs={}, per_second=per_second)
            history.train.append(self.current)
            if self.flow:
                # Caffe tells an iteration's number after its passes, and the last layer first
                history.gradients.append({"iter": iteration, "params": self.flow[::-1]})
            self.flow = []
        elif match := _OUTPUT.match(message):
            self._output(match)
        elif match := _RATE.match(message):
            if history.train and history.train[-1]["iter"] == int(match[1]):
                history.train[-1]["lr"] = float(match[2])
        elif match := _TESTING.match(message):
            self.current = {"iter": int(match[1]), "net": int(match[2] or 0), "outputs": {}}
            history.tests.append(self.current)
        elif (match := _SCORE.match(message)) and "net" in self.current:
            self.current["outputs"][f"score {match[1]}"] = float(match[2])
        elif match := _GRADIENT.match(message):
            entry = {"layer": match[1], "index": int(match[2] or 0), "gradient": float(match[3])}
            self.flow.append(entry)
        elif match := _UPDATE.match(message):
            self._update(match)
        elif (match := _SOLVING.match(message)) and not history.net:
            history.net = match[1]

    def _output(self, match: re.Match[str]) -> None:
        if not self.current or ("net" in self.current) != (match[1] == "Test"):
            return
        outputs: dict[str, Any] = self.current["outputs"]
        value: Any = float(match[3])
        if match[2] in outputs:
            earlier = outputs[match[2]]
            value = [*(earlier if isinstance(earlier, list) else [earlier]), value]
        outputs[match[2]] = value
        if "loss)" in match[0] and match[2] not in self.history.heads:
            self.history.heads.append(match[2])

    def _update(self, match: re.Match[str]) -> None:
        if not self.history.gradients:
            return
        for entry in self.history.gradients[-1]["params"]:
            if (entry["layer"], entry["index"]) == (match[1], int(match[2] or 0)):
                weight = float(match[3])
                entry["weight"] = weight
                entry["ratio"] = float(match[4]) / weight if weight else None
