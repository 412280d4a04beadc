"""Learned features: filters and activations of LeNet and LeNet-DSN, with a linear probe.

A probe is a linear classifier (ridge regression on one-hot labels) on the activations of a layer:
its accuracy is a number for how far the features tell digits apart. The probe learns from half of
the records that the test net read, and is scored on the others.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from protonet.lab import Training
from protonet.schema.read import read_net
from protonet.spread import Spread, difference
from protonet.study.study import Bench, Outcome, model, study
from protonet.watch import figures

_NETS = {"CNN": "lenet", "DSN": "lenet_dsn"}
_LAYERS = ("pool1", "ip1")
_RIDGE = 1e-2  # of the mean variance of a feature


@study("features", 7, "the features that deep supervision learns tell digits apart better")
def run(bench: Bench) -> Outcome:
    seeds = range(1, bench.pick(2, 5) + 1)
    iterations = bench.pick(200, 2000)
    records = bench.pick(1600, 10_000)
    fields = (f"max_iter={iterations}", f"test_interval={iterations}", "test_iter=20")
    accuracy: dict[tuple[str, str], list[float]] = {}
    shown: dict[str, tuple[Training, dict[str, Any]]] = {}
    for name, net in _NETS.items():
        source = read_net(model(net))
        for seed in seeds:
            training = bench.train(source, seed, *fields, gradients=False)
            activations = _activations(training, records)
            shown.setdefault(name, (training, activations))
            for layer in _LAYERS:
                score = probe(activations[layer], activations["label"])
                accuracy.setdefault((name, layer), []).append(100 * score)
    _draw(bench, shown)
    told, clear = [], []
    for layer in _LAYERS:
        cnn, dsn = (accuracy[name, layer] for name in _NETS)
        apart = difference(dsn, cnn)
        clear.append(0 if not apart.clear else 1 if apart.value > 0 else -1)
        told.append(
            f"{layer} {Spread.of(dsn).text()} % (DSN) against {Spread.of(cnn).text()} % (CNN), "
            f"{apart.text()}"
        )
    finding = f"Linear probes after {iterations:,} iterations: {'; '.join(told)}."
    supported = None if not any(clear) else min(clear) >= 0
    rows = [
        (layer, *(Spread.of(accuracy[name, layer]).text() for name in _NETS)) for layer in _LAYERS
    ]
    return Outcome(finding, supported, ("probe on", *(f"{n}, accuracy %" for n in _NETS)), rows)


def _activations(training: Training, records: int) -> dict[str, Any]:
    """Return label (n,) and the activations (n, d) of each layer, of records of the test net."""
    net = training.solver.test_nets[0]
    net.share_with(training.solver.net)
    parts: dict[str, list[Any]] = {name: [] for name in (*_LAYERS, "label")}
    while sum(map(len, parts["label"])) < records:
        net.run_forward()
        for name, kept in parts.items():
            values = net.blobs[name].data
            kept.append(values.reshape(len(values), -1).copy())
    found = {name: np.concatenate(kept)[:records] for name, kept in parts.items()}
    found["label"] = found["label"].reshape(-1).astype(int)
    return found


def probe(x: Any, label: Any) -> float:
    """Return the accuracy on the second half of x (n, d) of a linear classifier of the first."""
    half = len(x) // 2
    learn, judge = x[:half].astype(np.float64), x[half:].astype(np.float64)
    mean = learn.mean(axis=0)
    learn, judge = learn - mean, judge - mean
    target = np.eye(label.max() + 1)[label[:half]]
    away = target - target.mean(axis=0)
    ridge = _RIDGE * float(np.square(learn).sum()) / learn.shape[1]
    if half < learn.shape[1]:
        # (XᵀX + rI)⁻¹Xᵀ = Xᵀ(XXᵀ + rI)⁻¹, and the latter is smaller
        weights = learn.T @ np.linalg.solve(learn @ learn.T + ridge * np.eye(half), away)
    else:
        weights = np.linalg.solve(learn.T @ learn + ridge * np.eye(learn.shape[1]), learn.T @ away)
    scores = judge @ weights + target.mean(axis=0)
    return float((scores.argmax(axis=1) == label[half:]).mean())


def principal(x: Any, count: int = 2) -> Any:
    """Return x (n, d) along the ``count`` directions in which it varies most, (n, count)."""
    centred = x - x.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    return u[:, :count] * s[:count]


def _draw(bench: Bench, shown: dict[str, tuple[Training, dict[str, Any]]]) -> None:
    points = 400
    with figures.figure(bench.figure, 2, 3, (10.5, 6.4)) as (_, axes):
        for row, (name, (training, activations)) in zip(axes, shown.items(), strict=True):
            weights = training.solver.net.params["conv1"][0].data[:, 0]
            row[0].imshow(_tiles(weights, 5), cmap="gray")
            row[0].set(title=f"{name}: filters of conv1")
            row[0].set_axis_off()
            label = activations["label"][:points]
            for axis, layer in zip(row[1:], _LAYERS, strict=True):
                at = principal(activations[layer][:points])
                dots = axis.scatter(*at.T, c=label, cmap="tab10", s=7, vmin=-0.5, vmax=9.5)
                axis.set(title=f"{name}: {layer}, two principal components")
                axis.set(xticks=[], yticks=[])
            row[2].legend(
                *dots.legend_elements(), loc="center left", bbox_to_anchor=(1, 0.5), title="digit"
            )


def _tiles(filters: Any, columns: int) -> Any:
    """Return filters (n, h, w) side by side, each stretched to its own range."""
    n, h, w = filters.shape
    rows = -(-n // columns)
    sheet = np.full((rows * (h + 1) - 1, columns * (w + 1) - 1), np.nan)
    for i, one in enumerate(filters):
        low, high = one.min(), one.max()
        y, x = (i // columns) * (h + 1), (i % columns) * (w + 1)
        sheet[y : y + h, x : x + w] = (one - low) / (high - low or 1)
    return sheet
