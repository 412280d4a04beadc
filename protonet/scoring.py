"""Scoring a net: the means of its outputs over batches.

As BVLC Caffe 1.0 does it while training (``Solver::Test``) and in ``caffe test``: every batch
counts the same, values of an output are averaged one by one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from protonet import recipe
from protonet.errors import DataError, GraphError
from protonet.layer import TEST
from protonet.net import Net
from protonet.watch.reporter import OutputLine


@dataclass(frozen=True)
class Scores:
    """What a net scored.

    Attributes:
        outputs: name, mean and loss weight of each value of each output.
        loss: the mean of the weighted sum of the losses.
        batches: how many were averaged.
    """

    outputs: list[OutputLine]
    loss: float
    batches: int

    def by_name(self) -> dict[str, list[float]]:
        """Return output name -> the means of its values."""
        means: dict[str, list[float]] = {}
        for name, mean, _ in self.outputs:
            means.setdefault(name, []).append(mean)
        return means


def score(
    net: Net,
    batches: int,
    after_batch: Callable[[int, list[OutputLine]], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Scores | None:
    """Run a net forward over batches and average its outputs.

    Args:
        batches: how many, at least 1.
        after_batch: is called with the number of a batch, from 0, and its output values.
        stopped: is asked after each batch whether to give up.

    Returns:
        The means, or None if it was stopped before the end.

    Raises:
        DataError: a source cannot be read on.
    """
    loss = 0.0
    totals: list[float] = []
    for i in range(batches):
        loss += net.run_forward()
        lines = list(net.output_values())
        values = [value for _, value, _ in lines]
        totals = [a + b for a, b in zip(totals, values, strict=True)] if i else values
        if after_batch is not None:
            after_batch(i, lines)
        if stopped() and i + 1 < batches:
            return None
    means = [total / batches for total in totals]
    outputs = [(name, mean, w) for (name, _, w), mean in zip(lines, means, strict=True)]
    return Scores(outputs, loss / batches, batches)


@dataclass(frozen=True)
class WholePass:
    """What it takes to read a net's source once.

    Attributes:
        records: how many the source has.
        batch: how many a batch takes.
    """

    records: int
    batch: int

    @property
    def batches(self) -> int:
        """Batches until every record was read."""
        return -(-self.records // self.batch)

    @property
    def repeated(self) -> int:
        """Records that the last batch takes from the beginning again."""
        return self.batches * self.batch - self.records


def whole_pass(net: Net) -> WholePass | None:
    """Return the longest whole pass over the net's sources, None where no number is known."""
    passes = [
        WholePass(records, step.top[0].shape[0])
        for step in net.steps
        if (records := getattr(step.layer, "records", lambda: 0)())
    ]
    return max(passes, key=lambda one: one.batches, default=None)


# --- which net is scored --------------------------------------------------------------------------
@dataclass(frozen=True)
class ToScore:
    """The net that a file is scored with.

    Attributes:
        source: what ``schema.read_net`` returns, or a test net derived from it.
        note: how it came about, "" where the file is taken as it is.
    """

    source: Any
    note: str = ""


def net_to_score(path: str | os.PathLike[str], phase: int = TEST) -> ToScore:
    """Return what scores a net file: its own TEST part, or a test net made as training makes it.

    In the TRAIN phase that is the file as it is.

    Raises:
        PrototxtError: the file is no net.
        DataError: the sibling source cannot be opened.
    """
    from protonet.schema.read import NetSource, read_net

    source = read_net(path)
    if phase != TEST or recipe.has_test_part(source.message):
        return ToScore(source)
    derived = recipe.derive_test_net(source)
    if derived is None:
        return ToScore(
            source, "no TEST part and no source with 'train' in its name: taken as it is"
        )
    appended = len(derived.message.layer) - len(source.lines)
    return ToScore(
        NetSource(derived.message, source.path, source.lines + [0] * appended),
        f"no TEST part: testing on the {derived.records:,} records of the sibling source, every "
        "softmax head scored",
    )


def check_scores(net: Net, path: str) -> None:
    """Refuse to score a net that reads no data or has no outputs.

    Raises:
        DataError, GraphError: which of the two it is.
    """
    check_reads_data(net, path)
    if not net.outputs:
        raise GraphError(f"{path}: the net has no outputs to score")


def check_reads_data(net: Net, path: str) -> None:
    """Raise DataError if nothing in a net but its inputs could bring in values."""
    sources = {step.node.type for step in net.steps if not step.node.bottoms}
    if sources <= {"Input", "Parameter"}:
        inputs = ", ".join(f"'{name}'" for name in net.inputs) or "none"
        phase = "TEST" if net.phase == TEST else "TRAIN"
        raise DataError(f"{path}: there is no data layer in the {phase} phase; inputs: {inputs}")
