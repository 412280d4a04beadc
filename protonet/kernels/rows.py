"""A convolution as plain sums whose vectors run along rows: rows_plan.py, and when to use it.

Nothing is transposed, as it is for direct.Direct, which in turn pads less where rows are short, and
gets more out of each value that it has staged. Sums are the same to the bit.
"""

from __future__ import annotations

import functools
import math

from protonet.blob import Array
from protonet.kernels import cpu, rows_plan, scratch, threads
from protonet.kernels.copies import in_a_row
from protonet.kernels.direct import TILES, by_lane, pack
from protonet.kernels.finish import PLAIN, Finish
from protonet.kernels.pooling import Mask
from protonet.kernels.rows_plan import PARTS, Plan
from protonet.kernels.weight_gradient_plan import Geometry

# Multiply-adds that take as long as staging a value does, less what that takes Direct; and where
# several threads each stage what they share. By number of registers.
STAGE_COST = {32: (0, 20), 16: (20, 20)}
# How long tiles take for the same work, by rows and columns.
PACE = {(14, 2): 1.0, (10, 2): 1.0, (8, 3): 0.93, (7, 3): 0.95, (5, 2): 1.0, (4, 3): 0.96}


class Rows:
    """A convolution, or the gradient of its data at stride 1, as direct.Direct.

    Attributes:
        time: the multiply-adds that would take as long, to be compared with Direct.time.
    """

    def __init__(self, g: Geometry, turned: bool = False) -> None:
        """Take a convolution.

        Args:
            turned: the gradient of the data is meant, and g is the convolution of dy that it is.
        """
        self._geometry, self._turned = g, turned
        costs = {
            tile: rows_plan.work(g, cpu.lanes(), *tile) * PACE[tile]
            for tile in TILES[cpu.registers()]
        }
        self._tile = min(costs, key=costs.__getitem__)
        stage_cost = STAGE_COST[cpu.registers()][int(self.plan.numbers[PARTS] > 1)]
        self.time = costs[self._tile] + stage_cost * g.N * g.C * math.prod(g.size)

    @functools.cached_property
    def plan(self) -> Plan:
        return rows_plan.make(self._geometry, cpu.lanes(), *self._tile, self._turned)

    @property
    def weights(self) -> int:
        """How many values the weights take as the kernel reads them."""
        return self.plan.weights

    def pack(self, w: Array, packed: Array) -> None:
        """Lay the weights out as the kernel reads them. packed: at least (weights,)."""
        g, taps = self._geometry, math.prod(self._geometry.kernel)
        targets, sources = g.O // g.group, g.C // g.group
        strides = (taps, targets * taps) if self._turned else (sources * taps, taps)
        pack(w, packed, g.group, (targets, sources, *strides), self.plan.rows)

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
        """Write the target: as Direct.run. mask: None, see :meth:`can_pool`."""
        from protonet.kernels import rows_kernels

        assert mask is None
        plan, group = self.plan, self._geometry.group
        images, image_bytes = in_a_row(target)
        threads.share(
            rows_kernels.VARIANTS[plan.rows, plan.columns], plan.items,
            source.reshape(-1), packed, *by_lane(plan.starts, group, cpu.lanes(), bias, finish),
            images, image_bytes // 4, scratch.each("staged", plan.scratch), plan.numbers,
            plan.phases, plan.taps,
            whole=bool(plan.numbers[PARTS] > 1),  # each call would stage the source again
        )  # fmt: skip


def find(g: Geometry, backward: bool) -> Rows | None:
    """Return the convolution, or the gradient of its data, if there is one along rows."""
    if not backward:
        return Rows(g)
    other = turned(g)
    return None if other is None else Rows(other, turned=True)


def turned(g: Geometry) -> Geometry | None:
    """Return the convolution of dy that is the gradient of the data, if there is one."""
    pads = [d * (k - 1) - p for d, k, p in zip(g.dilation, g.kernel, g.pad, strict=True)]
    if g.stride != (1, 1) or min(pads) < 0:
        return None
    return g._replace(C=g.O, O=g.C, size=g.output, output=g.size, pad=(pads[0], pads[1]))
