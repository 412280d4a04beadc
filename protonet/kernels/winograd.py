"""A convolution by Winograd's method, where that is less work: simd_winograd.py says how.

It is used for images in numbers, kernels of 3 x 3 and 5 x 5, and stride 1, as other fast programs
do; a layer with ``engine: CAFFE`` keeps to plain sums. Rounding errors are some times larger, and
grow with the root of the number of channels that are summed up: with more than MOST_CHANNELS they
would come near a hundred-thousandth of the largest result.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from protonet.blob import Array
from protonet.kernels import cpu, scratch, threads, winograd_plan
from protonet.kernels.direct import NOWHERE, TILES, by_lane
from protonet.kernels.finish import PLAIN, Finish
from protonet.kernels.pooling import Mask
from protonet.kernels.weight_gradient_plan import Geometry
from protonet.kernels.winograd_plan import N, Plan, SumPlan

if TYPE_CHECKING:
    from protonet.kernels.winograd_kernels import Kernels

MOST_CHANNELS = 256
GRAIN = 2048  # pairs of channels whose weights are worth a thread of their own

_NONE, _ONES = np.empty(0, np.float32), np.ones(16, np.float32)


class Winograd:
    """A convolution, or the gradient of its data. See :func:`find`.

    Attributes:
        weights: how many values the weights take as the kernel reads them.
        work: the multiply-adds of a direct way that would take as long.
    """

    def __init__(self, g: Geometry, plan: Plan, turned: bool, back: bool) -> None:
        """Take a plan.

        Args:
            turned: the gradient of the data is meant, and g is the convolution of dy that it is.
            back: it is meant, and g is the convolution that it belongs to.
        """
        self._geometry, self._plan, self._turned, self._back = g, plan, turned, back
        self.weights, self.work = plan.weights, plan.work

    def pack(self, w: Array, packed: Array) -> None:
        """Transform the weights. packed: at least (weights,)."""
        g, taps = self._geometry, self._geometry.kernel[0] ** 2
        targets, sources = g.O // g.group, g.C // g.group
        steps = (taps, targets * taps) if self._turned else (sources * taps, taps)
        threads.share(
            _kernels(g).transform_weights, g.O,
            w.reshape(-1), packed, targets, sources, *steps, self._turned,
            scratch.each("staged", (taps + N * N) * cpu.lanes()), self._plan.numbers,
            grain=max(1, GRAIN // sources),
        )  # fmt: skip

    def can_pool(self) -> bool:
        """Return whether :meth:`run` takes a mask."""
        return not any(size % 2 for size in self._geometry.output)

    def run(
        self,
        source: Array,
        packed: Array,
        bias: Array | None,
        target: Array,
        finish: Finish = PLAIN,
        mask: Mask | None = None,
    ) -> None:
        """Write the target: as Direct.run, but going back there is no bias, finish or mask."""
        kernels, plan, g = _kernels(self._geometry), self._plan, self._geometry
        ways, staged = kernels.convolve, scratch.each("staged", plan.scratch)
        if self._back:
            threads.share(
                kernels.convolve_back[plan.rows, plan.columns], plan.items,
                source.reshape(-1), packed, target.reshape(-1), staged, plan.numbers,
            )  # fmt: skip
            return
        if mask is not None:
            plan, ways = self._pooled_plan, kernels.convolve_pooled
            staged = scratch.each("staged", plan.scratch)
        depth = cpu.lanes()
        starts = g.group * int(plan.numbers[winograd_plan.RESULT_PIXEL]) // 4
        threads.share(
            ways[plan.rows, plan.columns], plan.items,
            source.reshape(-1), packed, *by_lane(starts, g.group, depth, bias, finish),
            target.reshape(-1), NOWHERE if mask is None else mask.reshape(-1),
            staged, plan.numbers,
        )  # fmt: skip

    @functools.cached_property
    def _pooled_plan(self) -> Plan:
        return winograd_plan.forward(self._geometry, cpu.lanes(), TILES[cpu.registers()], True)


class WinogradSums:
    """The gradient of a convolution's weights. See :func:`find_sums`.

    Attributes:
        work: the multiply-adds of a direct way that would take as long.
        can_spread: False, dy cannot be given pooled.
    """

    can_spread = False

    def __init__(self, g: Geometry, plan: SumPlan) -> None:
        self._geometry, self._plan, self.work = g, plan, plan.work

    def add(self, x: Array, dy: Array, dw: Array, db: Array | None, mask: Mask | None) -> None:
        """Add to dw, and to db if that is given. mask: None, see ``can_spread``."""
        assert mask is None
        g, plan, kernels = self._geometry, self._plan, _kernels(self._geometry)
        taps, outputs, channels = g.kernel[0] ** 2, g.O // g.group, g.C // g.group
        sums = scratch.get("sums", plan.sums)
        parts, slices = plan.numbers[[winograd_plan.SUMS_PARTS, winograd_plan.SUMS_SLICES]]
        threads.share(
            kernels.sum_products, int(parts * slices) * g.group,
            x.reshape(-1), dy.reshape(-1), sums, db is not None, _ONES,
            scratch.each("staged", plan.scratch), plan.numbers, plan.of_x, plan.of_dy,
        )  # fmt: skip
        threads.share(
            kernels.add_sums, g.O,
            sums, dw.reshape(-1), _NONE if db is None else db, outputs, channels,
            scratch.each("staged", (taps + N * N + taps + 1) * cpu.lanes()), plan.numbers,
            grain=max(1, GRAIN // channels),
        )  # fmt: skip


def find(g: Geometry, backward: bool) -> Winograd | None:
    """Return the way that is the least work, of a convolution or of the gradient of its data.

    None: there is none for a convolution like this.
    """
    if not winograd_plan.fits(g) or (g.O if backward else g.C) > MOST_CHANNELS * g.group:
        return None
    lanes, tiles = cpu.lanes(), TILES[cpu.registers()]
    if not backward:
        return Winograd(g, winograd_plan.forward(g, lanes, tiles), turned=False, back=False)
    reach = g.kernel[0] - 1
    pad = (reach - g.pad[0], reach - g.pad[1])
    turned = g._replace(C=g.O, O=g.C, size=g.output, output=g.size, pad=pad)
    found = Winograd(turned, winograd_plan.forward(turned, lanes, tiles), turned=True, back=False)
    plan = winograd_plan.backward(g, lanes, tiles)
    if plan is not None and plan.work < found.work:
        return Winograd(g, plan, turned=False, back=True)
    return found


def find_sums(g: Geometry) -> WinogradSums | None:
    """Return the way to the gradient of the weights. None: there is none like this."""
    plan = winograd_plan.sums(g, cpu.lanes()) if winograd_plan.fits(g) else None
    return None if plan is None else WinogradSums(g, plan)


def _kernels(g: Geometry) -> Kernels:
    from protonet.kernels.winograd_kernels import KERNELS

    return KERNELS[g.kernel[0]]
