"""A convolution by Winograd's method, where that is less work: simd_winograd.py says how.

It is used for kernels of 3 x 3 and 5 x 5 at stride 1, as other fast programs do; a layer with
``engine: CAFFE`` keeps to plain sums. Vectors run over images or, where these are few or large,
over the tiles of an image: winograd_tiles.py. Rounding errors are some times larger than those of
plain sums. Over images they grow with the number of channels, which are summed up one by one: with
more than MOST_CHANNELS they would come near a hundred-thousandth of the largest result.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

from protonet.blob import Array
from protonet.kernels import cpu, scratch, threads, winograd_plan, winograd_tiles
from protonet.kernels.copies import in_a_row
from protonet.kernels.direct import NOWHERE, TILES, by_lane
from protonet.kernels.finish import NONE, PLAIN, Finish
from protonet.kernels.gemm import multiply
from protonet.kernels.pooling import Mask
from protonet.kernels.weight_gradient_plan import Geometry
from protonet.kernels.winograd_plan import Plan, SumPlan, round_up
from protonet.kernels.winograd_tiles import TilePlan

if TYPE_CHECKING:
    from protonet.kernels.winograd_kernels import Kernels

MOST_CHANNELS = 256

ADD_GRAIN = 16384  # sums which it is worth a thread to make weights of

_ONES = np.ones(16, np.float32)


class Winograd:
    """A convolution, or the gradient of its data. See :func:`find`.

    Attributes:
        weights: how many values the weights take as the kernel reads them.
        work: the multiply-adds of a direct way that would take as long.
    """

    def __init__(self, g: Geometry, plan: Plan, turned: bool = False) -> None:
        """Take a plan.

        Args:
            turned: the gradient of the data is meant, and g is the convolution of dy that it is.
        """
        self._geometry, self._plan, self._turned = g, plan, turned
        self.weights, self.work = plan.weights, plan.work

    def pack(self, w: Array, packed: Array) -> None:
        """Transform the weights. packed: at least (weights,)."""
        _transform(self._geometry.kernel[0], self._turned, w, packed)

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
        kernels = _kernels(self._geometry.kernel[0])
        plan, group = self._plan, self._geometry.group
        ways = kernels.convolve
        if mask is not None:
            plan, ways = self._pooled_plan, kernels.convolve_pooled
        starts = group * int(plan.numbers[winograd_plan.RESULT_PIXEL]) // 4
        threads.share(
            ways[plan.rows, plan.columns], plan.items,
            source.reshape(-1), packed, *by_lane(starts, group, cpu.lanes(), bias, finish),
            *in_a_row(target), NOWHERE if mask is None else mask.reshape(-1),
            scratch.each("staged", plan.scratch), plan.numbers,
        )  # fmt: skip

    @functools.cached_property
    def _pooled_plan(self) -> Plan:
        return winograd_plan.forward(
            self._geometry, cpu.lanes(), TILES[cpu.registers()], pooled=True
        )


class WinogradTiles:
    """A convolution of few images, or the gradient of its data, as :class:`Winograd`."""

    def __init__(self, plan: TilePlan, turned: bool = False) -> None:
        self._plan, self._turned = plan, turned
        self.weights, self.work = plan.weights, plan.work

    def pack(self, w: Array, packed: Array) -> None:
        """Transform the weights. packed: at least (weights,)."""
        _transform(self._plan.geometry.kernel[0], self._turned, w, packed)

    def can_pool(self) -> bool:
        """Return False: :meth:`run` takes no mask."""
        return False

    def run(
        self,
        source: Array,
        packed: Array,
        bias: Array | None,
        target: Array,
        finish: Finish = PLAIN,
        mask: Mask | None = None,
    ) -> None:
        """Write the target. mask: None, see :meth:`can_pool`."""
        assert mask is None
        added = np.zeros(target.shape[1], np.float32) if bias is None else bias
        winograd_tiles.convolve(self._plan, source, packed, added, target, finish)


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
        g, plan = self._geometry, self._plan
        parts, points, groups, rows, row = plan.sums
        past = winograd_plan.SUMS_VECTORS * cpu.lanes()
        sums = scratch.get("sums", math.prod(plan.sums) + past)
        of_bias = np.empty(0 if db is None else parts * groups * rows * 4, np.float32)
        kernels = _kernels(g.kernel[0])
        items = parts * groups * int(plan.numbers[winograd_plan.SUMS_SLICES])
        threads.share(
            kernels.sum_products, items,
            x.reshape(-1), dy.reshape(-1), sums, of_bias, _ONES,
            scratch.each("staged", plan.scratch), plan.numbers, plan.of_x, plan.of_dy,
        )  # fmt: skip
        matrix = _kernel_matrix(g.kernel[0])
        room = (sum(matrix.shape) + 1) * round_up(row, past)
        threads.share(
            kernels.add_weights, g.O,
            sums, of_bias, matrix.reshape(-1), dw.reshape(-1), NONE if db is None else db,
            scratch.each("packed", room), scratch.each("runs", 32).view(np.int64),
            plan.numbers, plan.of_x, g.O // groups,
            grain=max(1, ADD_GRAIN // (parts * points * row)),
        )  # fmt: skip


def find(g: Geometry, backward: bool) -> Winograd | WinogradTiles | None:
    """Return the way that is the least work, of a convolution or of the gradient of its data.

    None: there is none for a convolution like this.
    """
    if not winograd_plan.fits(g):
        return None
    if not backward:
        return _least(ways(g))
    reach = g.kernel[0] - 1
    pad = (reach - g.pad[0], reach - g.pad[1])
    turned = g._replace(C=g.O, O=g.C, size=g.output, output=g.size, pad=pad)
    found = ways(turned, turned=True)
    other = winograd_plan.backward(g, cpu.lanes(), TILES[cpu.registers()])
    if other is not None and g.O <= MOST_CHANNELS * g.group:
        found.append(Winograd(g, other))
    return _least(found)


def ways(g: Geometry, turned: bool = False) -> list[Winograd | WinogradTiles]:
    """Return the ways to a convolution."""
    lanes, tiles = cpu.lanes(), TILES[cpu.registers()]
    found: list[Winograd | WinogradTiles] = [
        WinogradTiles(
            winograd_tiles.plan(g, lanes, winograd_tiles.TILES[cpu.registers()], turned), turned
        )
    ]
    if g.C <= MOST_CHANNELS * g.group:
        plan = winograd_plan.forward(g, lanes, tiles, turned=turned)
        found.append(Winograd(g, plan, turned))
    return found


def _least(found: list[Winograd | WinogradTiles]) -> Winograd | WinogradTiles:
    return min(found, key=lambda way: way.work)


def find_sums(g: Geometry) -> WinogradSums | None:
    """Return the way to the gradient of the weights. None: there is none like this."""
    plan = winograd_plan.sums(g, cpu.lanes()) if winograd_plan.fits(g) else None
    return None if plan is None else WinogradSums(g, plan)


def _transform(r: int, turned: bool, w: Array, packed: Array) -> None:
    """Write kernels of r x r by points. packed: of as many values at least."""
    matrix = _kernel_matrix(r, turned)
    points = packed[: len(matrix) * w.size // matrix.shape[1]].reshape(len(matrix), -1)
    multiply(matrix, w.reshape(-1, matrix.shape[1]), points, trans_b=True)


@functools.cache
def _kernel_matrix(r: int, turned: bool = False) -> Array:
    """Return what a kernel of r x r, flat, is multiplied by: (points, r * r).

    turned: the kernel's values are taken from the last to the first.
    """
    from protonet.kernels.simd_winograd import matrices

    G = np.array(matrices(winograd_plan.OUTPUTS[r])[1], np.float64)
    matrix = np.kron(G, G).astype(np.float32)
    return np.ascontiguousarray(matrix[:, ::-1]) if turned else matrix


@functools.cache
def _kernels(r: int) -> Kernels:
    from protonet.kernels.winograd_kernels import KERNELS

    return KERNELS[r]
