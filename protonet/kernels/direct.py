"""A convolution as plain sums: correlation_plan.py and weight_gradient_plan.py, and their layouts.

Layouts are chosen by the work that each would do, padding included.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from protonet.blob import Array
from protonet.kernels import correlation_plan, cpu, scratch, threads, weight_gradient_plan
from protonet.kernels.copies import in_a_row
from protonet.kernels.correlation_plan import PARTS, Axis, Layout, Plan, Shape
from protonet.kernels.finish import NONE, PLAIN, Finish, Values
from protonet.kernels.pooling import Mask
from protonet.kernels.weight_gradient_plan import BLOCKS, Geometry

Pair = tuple[int, int]

# Tiles (rows, columns of vectors) by number of registers, the more efficient first.
TILES = {32: ((14, 2), (10, 2), (8, 3), (7, 3)), 16: ((5, 2), (4, 3))}
ALL_TILES = tuple(tile for tiles in TILES.values() for tile in tiles)
JOIN_COST = 1.1  # joined strips take longer to stage
NEAR_BYTES = 12 * 1024 * 1024  # what images that are written together may span
FAR = 30  # multiply-adds that take as long as writing a value, if they span more
NEAR = 12  # if they do not
# With 16 registers, how long tiles take for the same work, by rows, columns and whether vectors run
# over images; where they run over channels, along runs of so many values at least.
PACE = {(5, 2, True): 1.0, (4, 3, True): 0.96, (5, 2, False): 0.92, (4, 3, False): 0.8}
LONG_RUN = 32
PACK_GRAIN = 128 * 1024  # weights for which a thread of its own is worth while
SUM_GRAIN = 32 * 1024  # sums of weights' gradients for which it is

_ZEROS = np.zeros(16, np.float32)
NOWHERE = np.empty(0, np.int32)  # the mask of what is not pooled


class Direct:
    """A convolution, or with ``backward`` the gradient of its data.

    Attributes:
        work: the multiply-adds that it does, padding included.
        time: these, and as many as would take as long as writing the results.
    """

    def __init__(self, g: Geometry, backward: bool) -> None:
        taps, outputs, channels = g.kernel[0] * g.kernel[1], g.O // g.group, g.C // g.group
        # target and source channels of a group, and from one of each to the next in w
        if backward:
            self._shape = Shape(g.N, g.O, g.C, g.group, *axes(g, backward))
            self._strides = (channels, outputs, taps, channels * taps)
        else:
            self._shape = Shape(g.N, g.C, g.O, g.group, *axes(g, backward))
            self._strides = (outputs, channels, channels * taps, taps)
        self._layout = _choose(self._shape)
        met = math.prod(_share(axis) for axis in (self._shape.vertical, self._shape.horizontal))
        self.work = _cost(self._shape, self._layout) * met
        self.time = self.work
        if not _is_far(self._shape, self._layout):  # else it is counted already
            values = g.N * _values(self._shape)
            self.time += (FAR if 4 * values > NEAR_BYTES else NEAR) * values

    @functools.cached_property
    def plan(self) -> Plan:
        return correlation_plan.make(self._shape, self._layout)

    @property
    def weights(self) -> int:
        """How many values the weights take as the kernel reads them."""
        return self.plan.weights

    def pack(self, w: Array, packed: Array) -> None:
        """Lay the weights out as the kernel reads them. packed: at least (weights,)."""
        pack(w, packed, self._shape.group, self._strides, self.plan.layout.channels)

    def can_pool(self) -> bool:
        """Return whether :meth:`run` takes a mask."""
        return correlation_plan.can_pool(self._shape, self._layout)

    def run(
        self,
        source: Array,
        packed: Array,
        bias: Array | None,
        target: Array,
        finish: Finish = PLAIN,
        mask: Mask | None = None,
    ) -> None:
        """Write the target.

        Args:
            target: images, of which each is contiguous; they may lie apart.
            packed: what :meth:`pack` made.
            bias: (target channels,), or None for 0.
            mask: if given, results are pooled by windows of 2 x 2, and this says where they are
                from.
        """
        from protonet.kernels import correlation

        plan, variants = self.plan, correlation.VARIANTS
        if mask is not None:
            plan, variants = self._pooled_plan, correlation.POOLED_VARIANTS
        depth = plan.layout.depth
        threads.share(
            variants[plan.layout.rows, plan.layout.columns], plan.items,
            source.reshape(-1), packed, *by_lane(plan.starts, plan.group, depth, bias, finish),
            *in_a_row(target), NOWHERE if mask is None else mask.reshape(-1),
            scratch.each("staged", plan.scratch), plan.numbers,
            plan.rows, plan.tiles, plan.chunks, plan.bands, plan.classes, plan.runs,
            whole=bool(plan.numbers[PARTS] > 1),  # each call would stage the source again
        )  # fmt: skip

    @functools.cached_property
    def _pooled_plan(self) -> Plan:
        return correlation_plan.make(self._shape, self._layout, pooled=True)


def pack(
    w: Array, packed: Array, group: int, strides: tuple[int, int, int, int], channels: int
) -> None:
    """Lay weights out in blocks of so many target channels, as correlation.pack says.

    Args:
        strides: target and source channels of a group, and from one of each to the next in w.
    """
    from protonet.kernels import correlation

    ws, (targets, sources) = w.reshape(-1), strides[:2]
    taps = ws.size // max(1, targets * sources * group)
    blocks = group * -(-targets // channels)
    threads.share(
        correlation.pack, blocks,
        ws, packed, targets, sources, taps, *strides[2:], channels,
        grain=max(1, PACK_GRAIN // max(1, channels * sources * taps)),
    )  # fmt: skip


def axes(g: Geometry, backward: bool) -> tuple[Axis, Axis]:
    """Return the axes of a convolution, or of the gradient of its data."""
    source, target = (g.output, g.size) if backward else (g.size, g.output)
    vertical, horizontal = (
        Axis(source[i], target[i], g.kernel[i], g.stride[i], g.pad[i], g.dilation[i], backward)
        for i in range(2)
    )
    return vertical, horizontal


def by_lane(
    count: int, group: int, depth: int, bias: Values | None, finish: Finish
) -> tuple[Array, Array, Array, float]:
    """Return start, factor, shift and slope as kernels take them: count values, or none.

    Args:
        depth: how often each channel's value is wanted.
        bias: (target channels,), or None for 0.
    """

    def lay(use: str, values: Values | None) -> Array:
        laid = scratch.get(use, count)[:count].reshape(group, -1, depth)
        targets = 0 if values is None else values.size // group
        if targets < laid.shape[1]:
            laid[:, targets:] = 0
        if values is not None:
            laid[:, :targets] = values.reshape(group, targets, 1)
        return laid.reshape(-1)

    start = lay("start", bias)
    if not finish.factor.size:
        return start, NONE, NONE, finish.slope
    return start, lay("factor", finish.factor), lay("shift", finish.shift), finish.slope


def _share(axis: Axis) -> float:
    """Return how many of the taps meet a source position, of those away from the edges."""
    inside = max(1, axis.kernel * axis.target // (axis.stride if axis.backward else 1))
    return min(1.0, sum(len(axis.taps(place)) for place in range(axis.target)) / inside)


def _choose(shape: Shape) -> Layout:
    """Choose the layout that does the least work."""
    lanes = cpu.lanes()
    tiles = TILES[cpu.registers()]
    layouts = [Layout(lanes, *tile, images) for images in (False, True) for tile in tiles]
    return min(layouts, key=lambda one: _cost(shape, one))


def _cost(shape: Shape, layout: Layout) -> float:
    """Return the work, weighed by how well a tile of this kind was seen to do."""
    work = correlation_plan.work(shape, layout) * _pace(shape, layout)
    return work + (FAR * shape.images * _values(shape) if _is_far(shape, layout) else 0)


def _is_far(shape: Shape, layout: Layout) -> bool:
    """Return whether images that are written together lie far apart."""
    return layout.images and 4 * layout.depth * _values(shape) > NEAR_BYTES


def _values(shape: Shape) -> int:
    """Return the values of a target image."""
    return shape.target_channels * shape.vertical.target * shape.horizontal.target


def _pace(shape: Shape, layout: Layout) -> float:
    """Return how long work takes in tiles of this kind, next to others."""
    if cpu.registers() == 32:
        few = not layout.images and layout.rows < 10  # then weights stream past few positions
        return 1.15 if few else 1.0
    run = shape.source_channels // shape.group * shape.horizontal.kernel
    if layout.images or run >= LONG_RUN:
        return PACE[layout.rows, layout.columns, layout.images]
    return 1.0


class DirectSums:
    """The gradient of a convolution's weights.

    Attributes:
        work: the multiply-adds that it does, padding included.
    """

    def __init__(self, g: Geometry) -> None:
        self._geometry = g
        self._tile = _sums_tile(g)
        self.work = g.N * g.output[0] * g.output[1] * _sums_cost(g, *self._tile)

    @functools.cached_property
    def plan(self) -> weight_gradient_plan.Plan:
        return weight_gradient_plan.make(self._geometry, cpu.lanes(), *self._tile)

    def add(self, x: Array, dy: Array, dw: Array, db: Array | None, mask: Mask | None) -> None:
        """Add to dw, and to db if that is given. mask: see Convolution2D.backward_weights."""
        from protonet.kernels import weight_gradient

        plan, variants = self.plan, weight_gradient.VARIANTS
        if mask is not None:
            plan, variants = self._spread_plan, weight_gradient.SPREAD_VARIANTS
        outputs = len(dw)
        sums, parts = scratch.get("sums", plan.sums), len(plan.parts) - 1
        blocks = self._geometry.group * int(plan.numbers[BLOCKS])
        threads.share(
            variants[plan.rows, plan.columns], blocks if parts == 1 else parts,
            x.reshape(-1), dy.reshape(-1), NOWHERE if mask is None else mask.reshape(-1),
            sums, db is not None, _ZEROS,
            scratch.each("staged", plan.scratch),
            scratch.each("runs", 2 * plan.runs).view(np.int64),
            plan.numbers, plan.bands, plan.strips, plan.parts,
            whole=parts == 1,  # each call would stage x again
        )  # fmt: skip
        threads.share(
            weight_gradient.add_sums, outputs,
            sums, dw.reshape(-1), NONE if db is None else db, plan.places, plan.numbers, parts,
            plan.rows,
            grain=max(1, SUM_GRAIN * outputs // max(1, plan.sums)),
        )  # fmt: skip

    @functools.cached_property
    def can_spread(self) -> bool:
        """Whether :meth:`add` takes a mask."""
        return weight_gradient_plan.can_spread(self.plan)

    @functools.cached_property
    def _spread_plan(self) -> weight_gradient_plan.Plan:
        return weight_gradient_plan.make(self._geometry, cpu.lanes(), *self._tile, spread=True)


def _sums_tile(g: Geometry) -> tuple[int, int, bool]:
    """Choose rows and columns of the tile, and whether strips are joined."""
    joins = (False, True) if g.dilation[1] == 1 and g.kernel[0] > 1 else (False,)
    tiles = sorted(TILES[cpu.registers()], reverse=True)
    choices = ((rows, columns, join) for rows, columns in tiles for join in joins)
    return min(choices, key=lambda choice: _sums_cost(g, *choice))


def _sums_cost(g: Geometry, rows: int, columns: int, join: bool) -> float:
    """Return the work of a position."""
    work = weight_gradient_plan.padded_work(g, rows, columns * cpu.lanes(), join)
    return work * (JOIN_COST if join else 1.0)
