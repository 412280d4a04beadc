"""The records that a trained net gets wrong."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from protonet.blob import Array

if TYPE_CHECKING:
    from protonet.net import Net
    from protonet.plan import Step

_JUDGES = ("SoftmaxWithLoss", "HingeLoss", "Accuracy")


@dataclass(frozen=True)
class Mistake:
    """One record that was classified wrongly.

    Attributes:
        image: (H, W) or (H, W, 3) uint8, stretched to its own darkest and lightest value.
        label, guess: the right class and the one that scored highest.
    """

    image: Any
    label: int
    guess: int


@dataclass
class Mistakes:
    """What a search found.

    Attributes:
        scored: name of the blob that was judged.
        records: how many records were looked at.
        wrong: how many of them were wrong.
        examples: the first of those.
        confusions: how often each (label, guess) occurred.
    """

    scored: str
    records: int = 0
    wrong: int = 0
    examples: list[Mistake] = field(default_factory=list)
    confusions: Counter[tuple[int, int]] = field(default_factory=Counter)


def find_mistakes(
    net: Net, batches: int, examples: int = 48, seconds: float = 30.0
) -> Mistakes | None:
    """Run a net over batches and collect what its last head gets wrong.

    Args:
        examples: how many to keep.
        seconds: give up looking after this time.

    Returns:
        None if the net does not classify images: it then has nothing to show.
    """
    judge = next((s for s in reversed(net.steps) if _judges(s)), None)
    images = next((s.top[0] for s in net.steps if s.layer.is_data and _is_image(s)), None)
    if judge is None or images is None:
        return None
    found = Mistakes(_name(net, judge))
    until = time.perf_counter() + seconds
    for _ in range(batches):
        net.run_forward()
        scores, labels = (blob.data for blob in judge.bottom[:2])
        guesses = scores.reshape(scores.shape[0], -1).argmax(axis=1)
        truth = labels.reshape(-1).astype(np.int64)
        found.records += len(truth)
        for n in np.flatnonzero(guesses != truth).tolist():
            label, guess = int(truth[n]), int(guesses[n])
            found.wrong += 1
            found.confusions[label, guess] += 1
            if len(found.examples) < examples:
                found.examples.append(Mistake(picture(images.data[n]), label, guess))
        if time.perf_counter() > until:
            break
    return found


def picture(values: Array) -> Any:
    """Return what a blob holds of one image as (H, W) or (H, W, 3) uint8.

    values: (1 or 3, H, W) float32, colours in Caffe's order: blue, green, red.
    """
    low, high = float(values.min()), float(values.max())
    pixels = np.round((values - low) * (255 / (high - low or 1))).astype(np.uint8)
    return pixels[0] if len(pixels) == 1 else pixels[::-1].transpose(1, 2, 0)


def _name(net: Net, judge: Step) -> str:
    """Return the name that the file gives what is judged, of which it may read a copy."""
    ref = judge.node.bottoms[0]
    made = next(s for s in net.steps if ref in s.node.tops)
    return made.node.bottoms[0].name if made.node.inserted else ref.name


def _judges(step: Step) -> bool:
    if step.node.type not in _JUDGES or len(step.bottom) < 2:
        return False
    scores, labels = step.bottom[0].shape, step.bottom[1].count
    # one label for each record: not a map of them
    return len(scores) >= 2 and scores[0] == labels == step.bottom[0].count // scores[1]


def _is_image(step: Step) -> bool:
    shape = step.top[0].shape
    return len(shape) == 4 and shape[1] in (1, 3) and min(shape[2:]) > 1
