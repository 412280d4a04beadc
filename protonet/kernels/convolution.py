"""Convolution of images: forward and its three gradients.

x: (N, C, H, W), w: (O, C / group, kh, kw), bias: (O,), y: (N, O, OH, OW), all float32; as BVLC
Caffe 1.0, which correlates: ``y[n, o, i, j] = bias[o] + sum over c, k, l of w[o, c, k, l] *
x[n, c, i * sh - ph + k * dh, j * sw - pw + l * dw]``.

This module chooses how it is computed, by the work that each way would do: as plain sums
(direct.py, rows.py), by Winograd's method (winograd.py), or plane by plane where each channel has
kernels of its own (depthwise_plan.py).
"""

from __future__ import annotations

import functools
import math

import numpy as np

from protonet.blob import Array, aligned_zeros
from protonet.kernels import cpu, depthwise_plan, rows, scratch, threads, winograd
from protonet.kernels.affine import channel_sums
from protonet.kernels.direct import TILES, Direct, DirectSums, Pair, axes
from protonet.kernels.finish import PLAIN, Finish
from protonet.kernels.im2col import output_size
from protonet.kernels.kept import Kept
from protonet.kernels.pooling import Mask
from protonet.kernels.rows import Rows
from protonet.kernels.weight_gradient_plan import Geometry
from protonet.kernels.winograd import Winograd, WinogradSums, WinogradTiles

ROW_WIDTHS = range(28, 129)  # what a 1 x 1 kernel had better see as a row, whatever the image
KEEP_POSITIONS = 2048  # of all images; with more it takes no time to pack the weights anew


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
        plain: bool = False,
    ) -> None:
        """Describe a convolution.

        Args:
            plain: Winograd's method is not to be used.
        """
        height, width = map(output_size, (H, W), kernel, stride, pad, dilation)
        self.x_shape = (N, C, H, W)
        self.w_shape = (num_output, C // group, *kernel)
        self.y_shape = (N, num_output, height, width)
        self._windows = (kernel, stride, pad, dilation)
        self._group = group
        self._plain = plain
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

    @property
    def can_write_apart(self) -> bool:
        """Whether the images of y may lie apart when forward writes it."""
        return not self._depthwise

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
            y: each image contiguous. See can_write_apart.
            version: of w, where equal ones mean equal values. Of few positions, the weights as
                the kernel takes them are kept from the second call on: as much memory again as
                the weights take, or four times that with Winograd's method.
        """
        if not y.size:
            return
        if self._depthwise:
            self._along_planes(self._forward_planes, x, w, bias, y, finish)
            return
        version = version if self._few_positions else None
        packed, there = self._kept.take(version, self._forward.weights)
        if not there:
            self._forward.pack(w, packed)
        self._forward.run(x, packed, bias, y, finish)

    def forward_pooled(
        self,
        x: Array,
        w: Array,
        bias: Array | None,
        y: Array,
        finish: Finish,
        mask: Mask,
        for_good: bool = False,
    ) -> None:
        """Write the largest values of windows of 2 x 2 of what forward would have written.

        Args:
            y, mask: (N, O, OH / 2, OW / 2); where a value lies is written to the mask, as
                pooling.max_forward does.
            for_good: nobody will ask to complete it, so w and bias need not be kept for that.
        """
        if for_good:
            packed = scratch.get("weights", self._pooling.weights)
        else:
            if self._taken is None:
                self._taken = aligned_zeros(self._pooling.weights)
            self._taken_bias = None if bias is None else bias.copy()
            packed = self._taken
        self._pooling.pack(w, packed)
        self._pooling.run(x, packed, bias, y, finish, mask)

    def complete(self, x: Array, y: Array, finish: Finish) -> None:
        """Write y as forward would have with the weights that forward_pooled took last."""
        if self._taken is not None:
            self._pooling.run(x, self._taken, self._taken_bias, y, finish)

    @functools.cached_property
    def can_pool(self) -> bool:
        """Whether there is forward_pooled."""
        g = self._geometry
        if self._depthwise or g.output != self.y_shape[2:] or not math.prod(self.y_shape):
            return False
        return self._pooling.can_pool()

    def backward_data(self, dy: Array, w: Array, dx: Array) -> None:
        """Write dx."""
        if not dx.size:
            return
        if self._depthwise:
            self._along_planes(self._backward_planes, dy, w, None, dx)
            return
        packed = scratch.get("weights", self._backward.weights)
        self._backward.pack(w, packed)
        self._backward.run(dy, packed, None, dx)

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
        self._sums.add(x, dy, dw, db, mask)

    @functools.cached_property
    def can_spread(self) -> bool:
        """Whether backward_weights takes a mask."""
        return self.can_pool and self._sums.can_spread

    def backward_bias(self, dy: Array, db: Array) -> None:
        """Add to db the sum of dy over images and positions."""
        _, outputs, height, width = self.y_shape
        db += channel_sums(dy.reshape(-1), outputs, height * width)

    @functools.cached_property
    def _forward(self) -> Direct | Winograd | WinogradTiles | Rows:
        return self._along_rows(self._pooling, backward=False)

    @functools.cached_property
    def _backward(self) -> Direct | Winograd | WinogradTiles | Rows:
        return self._along_rows(self._way(backward=True), backward=True)

    @functools.cached_property
    def _pooling(self) -> Direct | Winograd | WinogradTiles:
        """What :meth:`forward_pooled` does, where there is one."""
        return self._way(backward=False)

    def _way(self, backward: bool) -> Direct | Winograd | WinogradTiles:
        direct = Direct(self._geometry, backward)
        other = None if self._plain else winograd.find(self._geometry, backward)
        return direct if other is None or direct.work < other.work else other

    def _along_rows(
        self, way: Direct | Winograd | WinogradTiles, backward: bool
    ) -> Direct | Winograd | WinogradTiles | Rows:
        """Return what takes less time than a way of plain sums and gives the same bits, or that."""
        if isinstance(way, Direct):
            other = rows.find(self._geometry, backward)
            if other is not None and other.time < way.time:
                return other
        return way

    @functools.cached_property
    def _sums(self) -> DirectSums | WinogradSums:
        direct = DirectSums(self._geometry)
        other = None if self._plain else winograd.find_sums(self._geometry)
        return direct if other is None or direct.work < other.work else other

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
            plan.sources, plan.targets, plan.taps, plan.pitch,
            *plan.source_step, *plan.target_step, plan is self._backward_planes,
            step=max(1, channels // self.x_shape[1]),  # no plane of x is staged by two threads
        )  # fmt: skip

    def _weights_along_planes(self, x: Array, dy: Array, dw: Array) -> None:
        from protonet.kernels import depthwise

        plan, taps = self._forward_planes, dw.reshape(len(dw), -1)

        threads.share(
            depthwise.add_weights, len(dw), x, dy, taps,
            scratch.each("staged", plan.staged), scratch.each("results", plan.results),
            scratch.each("sums", depthwise.DOTS * cpu.lanes()),
            plan.sources, plan.places, plan.pitch, *plan.source_step,
        )  # fmt: skip

    @functools.cached_property
    def _forward_planes(self) -> depthwise_plan.Plan:
        return depthwise_plan.make(*axes(self._geometry, backward=False))

    @functools.cached_property
    def _backward_planes(self) -> depthwise_plan.Plan:
        return depthwise_plan.make(*axes(self._geometry, backward=True))


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
