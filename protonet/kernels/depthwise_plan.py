"""Where a depthwise convolution reads and writes: its index arithmetic.

Each output channel sees one input channel only, so there is nothing to multiply matrices with:
vectors run along the image. A plane is staged with its padding; with a stride s it is split into
s x s *phases*, so that what a tap of the kernel sees for neighbouring targets lies together in one
phase. All rows of a staged phase, and of the results, are equally long: then one tap sees, for the
whole plane, one stretch of memory.

The gradient by the data is the same with source and target exchanged: one phase of the source,
s x s of the target.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from protonet.kernels.correlation_plan import Axis, Ints

# Columns of Plan.sources and .targets: where a phase begins in the image, how many values of it
# there are; where it begins in its staged memory, in values.
ROW, COLUMN, ROWS, COLUMNS, AT, FIRST_TAP, TAPS = range(7)

SLACK = 128  # values that vectors may read or write past the end
TOGETHER = 3  # taps whose gradients are summed in one pass


class Plan(NamedTuple):
    """Tables for the kernels.

    Attributes:
        sources: (phases, 7): the row and column of the image where each begins (may be negative),
            rows and columns staged, where in scratch memory.
        targets: (phases, 7): the same of the targets, and which taps make them.
        taps: (taps, 2): bytes from the first weight of a channel, in the staged source.
        places: of the first target phase: where in the staged source each tap begins, in bytes;
            the last one again and again, up to a multiple of TOGETHER.
        source_step, target_step: (2,) from one row and column of a phase to the next, in the image.
        pitch: values of a row of a phase.
        staged, results: values of scratch memory for the source and for one target phase.
    """

    sources: Ints
    targets: Ints
    taps: Ints
    places: Ints
    source_step: tuple[int, int]
    target_step: tuple[int, int]
    pitch: int
    staged: int
    results: int


class _Tap(NamedTuple):
    k: int
    phase: int
    shift: int


def make(vertical: Axis, horizontal: Axis) -> Plan:
    """Work out the tables of one shape."""
    axes = (vertical, horizontal)
    steps = [1 if axis.backward else axis.stride for axis in axes]
    taps = [[_taps(axis, phase) for phase in range(axis.phases)] for axis in axes]
    shifts = [[tap.shift for phase in taps[i] for tap in phase] or [0] for i in range(2)]
    first = [min(0, *s) for s in shifts]
    counts = [-(-axis.target // axis.phases) for axis in axes]
    rows, pitch = (counts[i] + max(0, *shifts[i]) - first[i] for i in range(2))

    plane = rows * pitch
    sources: list[tuple[int, ...]] = []
    for f in itertools.product(range(steps[0]), range(steps[1])):
        start = [first[i] if axis.backward else f[i] - axis.pad for i, axis in enumerate(axes)]
        sources.append((*start, rows, pitch, len(sources) * plane, 0, 0))

    targets: list[tuple[int, ...]] = []
    table: list[tuple[int, int]] = []
    for f in itertools.product(range(vertical.phases), range(horizontal.phases)):
        begin = len(table)
        for down, across in itertools.product(taps[0][f[0]], taps[1][f[1]]):
            at = (down.phase * steps[1] + across.phase) * plane
            at += (down.shift - first[0]) * pitch + across.shift - first[1]
            table.append(((down.k * horizontal.kernel + across.k) * 4, at * 4))
        size = [-(-(axis.target - f[i]) // axis.phases) for i, axis in enumerate(axes)]
        targets.append((*f, *size, 0, begin, len(table) - begin))
    places = [at for _, at in table[: targets[0][TAPS]]]
    places += places[-1:] * (-len(places) % TOGETHER)
    return Plan(
        np.array(sources, np.int64),
        np.array(targets, np.int64),
        np.array(table, np.int64).reshape(len(table), 2),
        np.array(places, np.int64),
        (steps[0], steps[1]),
        (vertical.phases, horizontal.phases),
        pitch,
        len(sources) * plane + SLACK,
        counts[0] * pitch + SLACK,
    )


def _taps(axis: Axis, phase: int) -> list[_Tap]:
    """Return which taps of the kernel a target phase sees, in which phase, how far along."""
    found = []
    for k in range(axis.kernel):
        if axis.backward:
            shift, rest = divmod(phase + axis.pad - k * axis.dilation, axis.stride)
            if rest == 0:
                found.append(_Tap(k, 0, shift))
        else:
            shift, source_phase = divmod(k * axis.dilation, axis.stride)
            found.append(_Tap(k, source_phase, shift))
    return found
