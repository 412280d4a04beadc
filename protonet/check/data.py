"""What a net is fed: values that make sense, labels that the scores have a place for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from protonet.blob import Array
from protonet.check.finding import ERROR, OK, WARNING, Finding
from protonet.net import Net
from protonet.plan import Step

# Losses and scores that take class numbers, and the axis of the classes.
_JUDGES = {
    "SoftmaxWithLoss": "softmax_param",
    "Accuracy": "accuracy_param",
    "HingeLoss": "",
    "InfogainLoss": "infogain_loss_param",
    "MultinomialLogisticLoss": "",
}
_LARGE = 20.0


def check_data(net: Net, batches: int) -> Iterator[Finding]:
    """Read batches, run no other layer, and say what is in them.

    Raises:
        DataError: a source cannot be read.
    """
    sources = [
        i
        for i, step in enumerate(net.steps)
        if step.layer.is_data and step.node.type != "DummyData"
    ]
    judged = dict(_labels(net))
    seen: dict[str, list[Array]] = {}
    for _ in range(batches):
        net.run_forward(sources)
        for i in sources:
            for ref, blob in zip(net.steps[i].node.tops, net.steps[i].top, strict=False):
                seen.setdefault(ref.name, []).append(blob.data.copy())
    for name, parts in seen.items():
        values = np.concatenate([part.reshape(-1) for part in parts])
        if not np.isfinite(values).all():
            yield Finding(ERROR, f"blob '{name}': values that are infinite or no numbers")
        elif name in judged:
            yield from _check_labels(name, values, *judged[name])
        else:
            yield from _check_values(name, values, parts[0].shape)
    for name in set(judged) - set(seen):
        if name in net.inputs:
            yield Finding(OK, f"labels '{name}': an input, without values to look at")


def _labels(net: Net) -> Iterator[tuple[str, tuple[Step, int]]]:
    """Yield the name of each blob of class numbers, who judges by it, and the number of classes."""
    origin: dict[str, str] = {}
    for step in net.steps:
        names = [origin.get(ref.name, ref.name) for ref in step.node.bottoms]
        if step.node.inserted:
            origin.update((ref.name, names[0]) for ref in step.node.tops)
        if step.node.type in _JUDGES and len(names) >= 2:
            settings = getattr(step.layer.param, _JUDGES[step.node.type] or "name")
            axis = getattr(settings, "axis", 1)
            yield names[1], (step, step.bottom[0].shape[axis])


def _check_labels(name: str, labels: Array, judge: Step, classes: int) -> Iterator[Finding]:
    low, high = labels.min(), labels.max()
    what = f"labels '{name}'"
    param = judge.layer.param
    settings = param.accuracy_param if judge.node.type == "Accuracy" else param.loss_param
    ignored = settings.ignore_label if settings.HasField("ignore_label") else None
    counted = labels[labels != ignored] if ignored is not None else labels
    if (labels != np.round(labels)).any():
        odd = labels[labels != np.round(labels)][0]
        yield Finding(ERROR, f"{what}: expected class numbers, got {odd:g}")
    elif counted.size and (counted.min() < 0 or counted.max() >= classes):
        bad = counted[(counted < 0) | (counted >= classes)][0]
        text = f"{what}: expected 0 to {classes - 1} for {classes} classes, got {bad:g}"
        hint = "; are they counted from 1?" if counted.min() == 1 and bad == classes else ""
        yield Finding(ERROR, str(judge.layer.error(text + hint)))
    elif len(np.unique(counted)) == 1 and counted.size > 1 and classes > 1:
        yield Finding(
            WARNING,
            f"{what}: all of the first {labels.size} records are of class {low:g}: Caffe reads in "
            "the order of the source, which wants shuffling once",
        )
    else:
        text = f"{what}: {low:g} to {high:g} of {classes} classes in {labels.size:,} records"
        yield Finding(OK, text)


def _check_values(name: str, values: Array, shape: tuple[int, ...]) -> Iterator[Finding]:
    low, high = float(values.min()), float(values.max())
    shown = "×".join(map(str, shape))
    if low == high:
        yield Finding(WARNING, f"data '{name}': {shown}, all values are {low:g}")
    elif low >= 0 and high > _LARGE:
        yield Finding(
            WARNING,
            f"data '{name}': {shown}, values from {low:g} to {high:g}: neither scaled (scale: "
            "0.00390625) nor centred (mean_value, mean_file), training may not start",
        )
    else:
        yield Finding(
            OK,
            f"data '{name}': {shown}, values from {low:.4g} to {high:.4g}, mean "
            f"{values.mean(dtype=np.float64):.4g}",
        )
