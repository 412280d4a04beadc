"""Each layer's backward pass against central differences of its forward pass.

A layer is built anew with the weights and the values that it has in the net, for the first few
records, each moved a little so that few of them lie on a kink. With fixed random numbers c, the
gradient of Σ c·y by single values of bottoms and parameters must be what backward says.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from protonet.blob import Array, Blob
from protonet.errors import ProtonetError
from protonet.layer import TEST, Layer
from protonet.plan import Step

NO_BOTTOMS, NO_GRADIENT = "it has no bottoms", "no gradient passes it"

_RECORDS = 4
_LARGE = 400_000  # values of a bottom beyond which two records must do
_STEP = 1e-2  # of the typical size of the values
_TOLERANCE = 1e-2
_EPSILON = 6e-8  # of float32


@dataclass(frozen=True)
class Checked:
    """What came of one layer.

    Attributes:
        compared: how many derivatives were compared.
        kinks: how many were left out, as the function has a corner there.
        worst: the largest relative deviation.
        wrong: describes the first derivative that does not agree, or "".
        skipped: why nothing was compared, or "".
    """

    compared: int = 0
    kinks: int = 0
    worst: float = 0.0
    wrong: str = ""
    skipped: str = ""


def check_gradient(
    step: Step, rng: np.random.Generator, samples: int = 5, seconds: float = 2.0
) -> Checked:
    """Compare single derivatives of one layer, whose net has run forward.

    Args:
        samples: how many values of each bottom and parameter to look at.
        seconds: stop with fewer after this time.
    """
    why = _exempt(step)
    if why:
        return Checked(skipped=why)
    trial = None
    for records in dict.fromkeys((_records(step), None)):
        try:
            trial = _Trial(step, rng, records)
            break
        except (ProtonetError, ValueError) as error:
            # a layer may want all the records that it was made for
            why = str(error)
    return trial.run(samples, seconds) if trial is not None else Checked(skipped=why)


def _exempt(step: Step) -> str:
    layer = step.layer
    if layer.is_data or not step.bottom:
        return NO_BOTTOMS
    if not step.backward:
        return NO_GRADIENT
    pooling = layer.param.pooling_param
    if step.node.type == "Pooling" and pooling.pool == pooling.STOCHASTIC:
        return "it draws at random"
    return ""


def _records(step: Step) -> int:
    large = any(blob.count > _LARGE * max(1, blob.shape[0]) for blob in step.bottom if blob.shape)
    return 2 if large else _RECORDS


class _Trial:
    """A copy of a layer on few records, with fixed gradients at its tops."""

    def __init__(self, step: Step, rng: np.random.Generator, records: int | None) -> None:
        # Dropout and its like draw in training; what they do in tests has the same gradient rule
        phase = TEST if step.node.type == "Dropout" else step.layer.phase
        self.layer: Layer = type(step.layer)(step.layer.param, phase, step.layer.where)
        self.rng = rng
        fixed = step.layer.not_differentiable
        self.bottoms = [
            _moved(blob, rng, records, i not in fixed) for i, blob in enumerate(step.bottom)
        ]
        self.tops = [Blob() for _ in step.top]
        self.layer.setup(self.bottoms, self.tops)
        self.layer.reshape(self.bottoms, self.tops)
        self.layer.loss_weights = list(step.layer.loss_weights)
        learned = self.layer.learned
        self.layer.param_propagate_down = [learned] * len(self.layer.blobs)
        for mine, theirs in zip(self.layer.blobs, step.layer.blobs, strict=True):
            mine.data[...] = theirs.data
        self.propagate = [i not in fixed for i in range(len(self.bottoms))]
        self.layer.forward(self.bottoms, self.tops)
        weights = self.layer.loss_weights
        is_loss = any(weights)
        self.at_tops: list[Array] = []
        for top, weight in zip(self.tops, weights, strict=True):
            c = np.full(top.shape, weight) if is_loss else rng.standard_normal(top.shape)
            self.at_tops.append(np.asarray(c, np.float32))

    def run(self, samples: int, seconds: float) -> Checked:
        until = time.perf_counter() + seconds
        for top, c in zip(self.tops, self.at_tops, strict=True):
            top.diff[...] = c
        self.layer.backward(self.tops, list(self.propagate), self.bottoms)
        compared, kinks, worst = 0, 0, 0.0
        for name, blob in self._blobs():
            gradient = blob.diff.reshape(-1).copy()
            values = blob.data.reshape(-1)
            size = float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) or 1.0
            for i in self._chosen(gradient, samples):
                found = self._difference(values, i, _STEP * max(size, abs(float(values[i]))))
                if found is None:
                    kinks += 1
                    continue
                numeric, noise = found
                analytic = float(gradient[i])
                off = max(0.0, abs(analytic - numeric) - 4 * noise)
                scale = max(abs(analytic), abs(numeric), 1e-3 * float(np.abs(gradient).max()))
                deviation = off / scale if scale else 0.0
                compared += 1
                worst = max(worst, deviation)
                if deviation > _TOLERANCE:
                    text = f"the gradient by value {i} of {name} is {analytic:.6g}, differences "
                    return Checked(compared, kinks, worst, f"{text}say {numeric:.6g}")
                if time.perf_counter() > until:
                    return Checked(compared, kinks, worst)
        return Checked(compared, kinks, worst)

    def _blobs(self) -> Iterator[tuple[str, Blob]]:
        for i, blob in enumerate(self.layer.blobs):
            if self.layer.learned:
                yield f"parameter {i}", blob
        for i, blob in enumerate(self.bottoms):
            if self.propagate[i]:
                yield f"bottom '{self.layer.param.bottom[i]}'", blob

    def _chosen(self, gradient: Array, samples: int) -> list[int]:
        """Return where to look: at the largest gradient, and anywhere."""
        if not gradient.size:
            return []
        anywhere = self.rng.integers(gradient.size, size=max(0, samples - 1)).tolist()
        return list(dict.fromkeys([int(np.abs(gradient).argmax()), *anywhere]))

    def _difference(self, values: Any, i: int, h: float) -> tuple[float, float] | None:
        """Return d Σ c·y / d values[i] and the error of rounding in it; None on a kink."""
        numeric, noise = self._central(values, i, h)
        finer, noise_finer = self._central(values, i, h / 2)
        scale = max(abs(numeric), abs(finer))
        if abs(numeric - finer) > 0.3 * _TOLERANCE * scale + 2 * (noise + noise_finer):
            return None
        return finer, noise_finer

    def _central(self, values: Any, i: int, h: float) -> tuple[float, float]:
        before = float(values[i])
        outputs, reached = [], []
        for x in (before + h, before - h):
            values[i] = x
            reached.append(float(values[i]))  # in float32
            self.layer.forward(self.bottoms, self.tops)
            outputs.append([top.data.astype(np.float64) for top in self.tops])
        values[i] = before
        apart = reached[0] - reached[1]
        total, variance = 0.0, 0.0
        for c, high, low in zip(self.at_tops, *outputs, strict=True):
            total += float((c * (high - low)).sum())
            variance += float(np.square(c * high * (high != low) * _EPSILON).sum())
        return float(total / apart), float(np.sqrt(variance) / apart)


def _moved(blob: Blob, rng: np.random.Generator, records: int | None, differentiable: bool) -> Blob:
    """Return a blob of the first records; values are moved off zeros and ties, none below zero."""
    data = blob.data
    if records is not None and data.ndim:
        data = data[:records]
    copy = Blob(data.shape)
    copy.data[...] = data
    if differentiable and data.size:
        size = float(np.sqrt(np.mean(np.square(data, dtype=np.float64)))) or 1.0
        stretch = 1 + 0.05 * rng.standard_normal(data.shape)
        copy.data[...] = data * stretch + 0.02 * size * np.abs(rng.standard_normal(data.shape))
    return copy
