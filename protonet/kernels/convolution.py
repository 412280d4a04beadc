"""Convolution of images: forward and its three gradients.

x: (N, C, H, W), w: (O, C / group, kh, kw), bias: (O,), y: (N, O, OH, OW), all float32; as BVLC
Caffe 1.0, which correlates: ``y[n, o, i, j] = bias[o] + sum over c, k, l of w[o, c, k, l] *
x[n, c, i * sh - ph + k * dh, j * sw - pw + l * dw]``.

How it is computed: correlation_plan.py (forward, and the gradient by the data) and
weight_gradient_plan.py. This module chooses between their layouts by the work that each would do,
padding included.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from protonet.blob import Array, aligned_zeros
from protonet.kernels import (
    correlation_plan,
    cpu,
    depthwise_plan,
    scratch,
    threads,
    weight_gradient_plan,
)
from protonet.kernels.affine import channel_sums
from protonet.kernels.correlation_plan import CHANNEL_BLOCKS, Axis, Layout, Plan, Shape
from protonet.kernels.finish import PLAIN, Finish, Values
from protonet.kernels.im2col import output_size
from protonet.kernels.kept import Kept
from protonet.kernels.pooling import Mask
from protonet.kernels.weight_gradient_plan import BLOCKS, Geometry

Pair = tuple[int, int]

# Tiles (rows, columns of vectors) by number of registers, the more efficient first.
TILES = {32: ((14, 2), (10, 2), (8, 3), (7, 3)), 16: ((5, 2), (4, 3))}
ROW_WIDTHS = range(28, 129)  # what a 1 x 1 kernel had better see as a row, whatever the image
JOIN_COST = 1.1  # joined strips take longer to stage
PACK_GRAIN = 128 * 1024  # weights for which a thread of its own is worth while
SUM_GRAIN = 32 * 1024  # sums of weights' gradients for which it is
KEEP_POSITIONS = 2048  # of all images; with more it takes no time to pack the weights anew

_NONE, _ZEROS = np.empty(0, np.float32), np.zeros(16, np.float32)
_NOWHERE = np.empty(0, np.int32)


class Convolution2D:
    """A convolution of one shape. Cheap to make: nothing is compiled or allocated until used.

    Attributes:
        x_shape, w_shape, y_shape: the shapes of x, w and y.
    """

    def __init__(
        self,
        N: int,
        C: int,
        H: int,
        W: int,
        num_output: int,
        kernel: Pair,
        stride: Pair = (1, 1),
        pad: Pair = (0, 0),
        dilation: Pair = (1, 1),
        group: int = 1,
    ) -> None:
        height, width = map(output_size, (H, W), kernel, stride, pad, dilation)
        self.x_shape = (N, C, H, W)
        self.w_shape = (num_output, C // group, *kernel)
        self.y_shape = (N, num_output, height, width)
        self._windows = (kernel, stride, pad, dilation)
        self._group = group
        self._depthwise = group == C > 1
        self._few_positions = N * height * width <= KEEP_POSITIONS
        self._kept = Kept()
        # what forward_pooled took last: weights, packed, and bias
        self._taken: Array | None = None
        self._taken_bias: Array | None = None

    @functools.cached_property
    def _geometry(self) -> Geometry:
        # looks at the processor, which takes llvmlite: too slow for nets that are only drawn
        N, C, *size = self.x_shape
        num_output, output = self.y_shape[1], self.y_shape[2:]
        height, width = size
        kernel, stride, pad, _ = self._windows
        if kernel == stride == (1, 1) and pad == (0, 0):
            (height, width) = output = _even_rows(height, width)
        return Geometry(N, C, num_output, (height, width), output, *self._windows, self._group)

    def forward(
        self,
        x: Array,
        w: Array,
        bias: Array | None,
        y: Array,
        version: int | None = None,
        finish: Finish = PLAIN,
    ) -> None:
        """Write y, or what ``finish`` makes of it.

        Args:
            version: of w, where equal ones mean equal values. Of few positions, the weights as
                the kernel takes them are kept from the second call on: as much memory again as
                the weights take.
        """
        if not y.size:
            return
        if self._depthwise:
            self._along_planes(self._forward_planes, x, w, bias, y, finish)
            return
        packed = self._packed(w, version if self._few_positions else None)
        _correlate(self._forward_plan, x, packed, bias, y, finish)

    def forward_pooled(
        self, x: Array, w: Array, bias: Array | None, y: Array, finish: Finish, mask: Mask
    ) -> None:
        """Write the largest values of windows of 2 x 2 of what forward would have written.

        Args:
            y, mask: (N, O, OH / 2, OW / 2); where a value lies is written to the mask, as
                pooling.max_forward does.
        """
        if self._taken is None:
            self._taken = aligned_zeros(self._forward_plan.weights)
        self._pack_forward(w, self._taken)
        self._taken_bias = None if bias is None else bias.copy()
        _correlate(self._pooled_plan, x, self._taken, bias, y, finish, mask)

    def complete(self, x: Array, y: Array, finish: Finish) -> None:
        """Write y as forward would have with the weights that forward_pooled took last."""
        if self._taken is not None:
            _correlate(self._forward_plan, x, self._taken, self._taken_bias, y, finish)

    @functools.cached_property
    def can_pool(self) -> bool:
        """Whether there is forward_pooled."""
        g = self._geometry
        if self._depthwise or g.output != self.y_shape[2:] or not math.prod(self.y_shape):
            return False
        return correlation_plan.can_pool(self._forward_shape, self._forward_plan.layout)

    def _packed(self, w: Array, version: int | None) -> Array:
        """Return the weights as forward takes them, packed anew where they may have changed."""
        packed, there = self._kept.take(version, self._forward_plan.weights)
        if not there:
            self._pack_forward(w, packed)
        return packed

    def _pack_forward(self, w: Array, packed: Array) -> None:
        targets, sources, kh, kw = self.w_shape
        strides = (targets // self._geometry.group, sources, sources * kh * kw, kh * kw)
        _pack(self._forward_plan, w, strides, packed)

    def backward_data(self, dy: Array, w: Array, dx: Array) -> None:
        """Write dx."""
        if not dx.size:
            return
        if self._depthwise:
            self._along_planes(self._backward_planes, dy, w, None, dx)
            return
        sources, targets, kh, kw = self.w_shape
        strides = (targets, sources // self._geometry.group, kh * kw, targets * kh * kw)
        packed = scratch.get("weights", self._backward_plan.weights)
        _pack(self._backward_plan, w, strides, packed)
        _correlate(self._backward_plan, dy, packed, None, dx)

    def backward_weights(
        self,
        x: Array,
        dy: Array,
        dw: Array,
        db: Array | None = None,
        mask: Mask | None = None,
    ) -> None:
        """Add to dw, and to db, (O,), if that is given.

        Args:
            mask: dy is that of the results pooled by windows of 2 x 2, which come from here. dy and
                mask: (N, O, OH / 2, OW / 2). The sums are the same to the bit. See can_spread.
        """
        if not dy.size:
            return
        if self._depthwise:
            self._weights_along_planes(x, dy, dw)
            if db is not None:
                self.backward_bias(dy, db)
            return
        from protonet.kernels import weight_gradient

        plan, variants = self._weights_plan, weight_gradient.VARIANTS
        if mask is not None:
            plan, variants = self._spread_plan, weight_gradient.SPREAD_VARIANTS
        outputs = self.w_shape[0]
        sums, parts = scratch.get("sums", plan.sums), len(plan.parts) - 1
        blocks = self._geometry.group * int(plan.numbers[BLOCKS])
        threads.share(
            variants[plan.rows, plan.columns], blocks if parts == 1 else parts,
            x.reshape(-1), dy.reshape(-1), _NOWHERE if mask is None else mask.reshape(-1),
            sums, db is not None, _ZEROS,
            scratch.each("staged", plan.scratch),
            scratch.each("runs", 2 * plan.runs).view(np.int64),
            plan.numbers, plan.bands, plan.strips, plan.parts,
        )  # fmt: skip
        threads.share(
            weight_gradient.add_sums, outputs,
            sums, dw.reshape(-1), _NONE if db is None else db, plan.places, plan.numbers, parts,
            plan.rows,
            grain=max(1, SUM_GRAIN * outputs // max(1, plan.sums)),
        )  # fmt: skip

    @functools.cached_property
    def can_spread(self) -> bool:
        """Whether backward_weights takes a mask."""
        return self.can_pool and weight_gradient_plan.can_spread(self._weights_plan)

    def backward_bias(self, dy: Array, db: Array) -> None:
        """Add to db the sum of dy over images and positions."""
        _, outputs, height, width = self.y_shape
        db += channel_sums(dy.reshape(-1), outputs, height * width)

    @property
    def _forward_shape(self) -> Shape:
        g = self._geometry
        return Shape(g.N, g.C, g.O, g.group, *self._axes(backward=False))

    @functools.cached_property
    def _forward_plan(self) -> Plan:
        return _plan(self._forward_shape)

    @functools.cached_property
    def _pooled_plan(self) -> Plan:
        return correlation_plan.make(self._forward_shape, self._forward_plan.layout, pooled=True)

    @functools.cached_property
    def _backward_plan(self) -> Plan:
        g = self._geometry
        return _plan(Shape(g.N, g.O, g.C, g.group, *self._axes(backward=True)))

    def _along_planes(
        self,
        plan: depthwise_plan.Plan,
        source: Array,
        w: Array,
        bias: Array | None,
        target: Array,
        finish: Finish = PLAIN,
    ) -> None:
        from protonet.kernels import depthwise

        channels = target.shape[1]
        start = np.zeros((channels, cpu.lanes()), np.float32)
        if bias is not None:
            start += bias.reshape(-1, 1)
        taps = w.reshape(len(w), -1)
        threads.share(
            depthwise.convolve, len(target) * channels, source, taps, start, *finish, target,
            scratch.each("staged", plan.staged), scratch.each("results", plan.results),
            plan.sources, plan.targets, plan.runs, plan.pitch,
            *plan.source_step, *plan.target_step, plan is self._backward_planes,
            step=max(1, channels // self.x_shape[1]),  # no plane of x is staged by two threads
        )  # fmt: skip

    def _weights_along_planes(self, x: Array, dy: Array, dw: Array) -> None:
        from protonet.kernels import depthwise

        plan, taps = self._forward_planes, dw.reshape(len(dw), -1)

        threads.share(
            depthwise.add_weights, len(dw), x, dy, taps,
            scratch.each("staged", plan.staged), scratch.each("results", plan.results),
            plan.sources, plan.places, plan.pitch, *plan.source_step,
        )  # fmt: skip

    @functools.cached_property
    def _forward_planes(self) -> depthwise_plan.Plan:
        return depthwise_plan.make(*self._axes(backward=False))

    @functools.cached_property
    def _backward_planes(self) -> depthwise_plan.Plan:
        return depthwise_plan.make(*self._axes(backward=True))

    def _axes(self, backward: bool) -> tuple[Axis, Axis]:
        g = self._geometry
        source, target = (g.output, g.size) if backward else (g.size, g.output)
        vertical, horizontal = (
            Axis(source[i], target[i], g.kernel[i], g.stride[i], g.pad[i], g.dilation[i], backward)
            for i in range(2)
        )
        return vertical, horizontal

    @functools.cached_property
    def _weights_plan(self) -> weight_gradient_plan.Plan:
        return weight_gradient_plan.make(self._geometry, cpu.lanes(), *self._weights_tile)

    @functools.cached_property
    def _spread_plan(self) -> weight_gradient_plan.Plan:
        tile = self._weights_tile
        return weight_gradient_plan.make(self._geometry, cpu.lanes(), *tile, spread=True)

    @functools.cached_property
    def _weights_tile(self) -> tuple[int, int, bool]:
        """Choose rows and columns of the tile, and whether strips are joined."""
        g, lanes = self._geometry, cpu.lanes()
        joins = (False, True) if g.dilation[1] == 1 and g.kernel[0] > 1 else (False,)

        def cost(choice: tuple[Pair, bool]) -> float:
            (rows, columns), join = choice
            work = weight_gradient_plan.padded_work(g, rows, columns * lanes, join)
            return work * (JOIN_COST if join else 1.0)

        tiles = sorted(TILES[cpu.registers()], reverse=True)
        (rows, columns), join = min(((t, join) for t in tiles for join in joins), key=cost)
        return rows, columns, join


def _even_rows(H: int, W: int) -> Pair:
    """Return rows and columns of as many positions that a kernel of 1 x 1 divides best.

    Where a row begins makes no difference to it, but tiles should fit into rows.
    """
    count = H * W
    tile = max(rows for rows, _ in TILES[cpu.registers()])
    widths = [w for w in ROW_WIDTHS if count % w == 0]
    if not widths:
        return (1, count) if W < ROW_WIDTHS[0] else (H, W)
    width = min(widths, key=lambda w: (-(-w // tile) * tile / w, w))
    return count // width, width


def _plan(shape: Shape) -> Plan:
    """Choose the layout that does the least work."""
    lanes = cpu.lanes()
    tiles = TILES[cpu.registers()]
    layouts = [Layout(lanes, *tile, images) for images in (False, True) for tile in tiles]
    return correlation_plan.make(shape, min(layouts, key=lambda one: _cost(shape, one)))


def _cost(shape: Shape, layout: Layout) -> float:
    """Return the work, weighed by how well a tile of this kind was seen to do."""
    short = not layout.images and layout.rows < 10  # then weights stream past few positions
    return correlation_plan.work(shape, layout) * (1.15 if short else 1.0)


def _pack(plan: Plan, w: Array, strides: tuple[int, int, int, int], packed: Array) -> None:
    """Lay the weights out as the kernel takes them.

    Args:
        strides: target and source channels of a group, and from one of each to the next in w.
        packed: at least (plan.weights,).
    """
    from protonet.kernels import correlation

    ws, (targets, sources) = w.reshape(-1), strides[:2]
    taps = ws.size // max(1, targets * sources * plan.group)
    blocks = plan.group * int(plan.numbers[CHANNEL_BLOCKS])
    threads.share(
        correlation.pack, blocks,
        ws, packed, targets, sources, taps, *strides[2:], plan.layout.channels,
        grain=max(1, PACK_GRAIN * blocks // max(1, plan.weights)),
    )  # fmt: skip


def _correlate(
    plan: Plan,
    source: Array,
    packed: Array,
    bias: Array | None,
    target: Array,
    finish: Finish = PLAIN,
    mask: Mask | None = None,
) -> None:
    """Run a correlation. packed: what :func:`_pack` made; bias: (target channels,) or None.

    mask: if given, results are pooled.
    """
    from protonet.kernels import correlation

    start = _by_lane(plan, "start", bias)
    if finish.factor.size:
        finish = Finish(
            _by_lane(plan, "factor", finish.factor),
            _by_lane(plan, "shift", finish.shift),
            finish.slope,
        )
    variants = correlation.VARIANTS if mask is None else correlation.POOLED_VARIANTS
    threads.share(
        variants[plan.layout.rows, plan.layout.columns], plan.items,
        source.reshape(-1), packed, start, *finish, target.reshape(-1),
        _NOWHERE if mask is None else mask.reshape(-1),
        scratch.each("staged", plan.scratch), plan.numbers,
        plan.rows, plan.tiles, plan.chunks, plan.bands, plan.classes, plan.runs,
    )  # fmt: skip


def _by_lane(plan: Plan, use: str, values: Values | None) -> Array:
    """Return values of the target channels, (channels,) or None for 0, as the kernel takes them."""
    laid = scratch.get(use, plan.starts)[: plan.starts].reshape(plan.group, -1, plan.layout.depth)
    targets = 0 if values is None else values.size // plan.group
    if targets < laid.shape[1]:
        laid[:, targets:] = 0
    if values is not None:
        laid[:, :targets] = values.reshape(plan.group, targets, 1)
    return laid.reshape(-1)
