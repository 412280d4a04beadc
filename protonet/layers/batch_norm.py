"""BatchNorm: y = (x - mean) / sqrt(variance + eps), for each channel.

Statistics are those of the batch, over N, H and W, or the running ones. The layer keeps three
parameters, none of which a gradient reaches: running sums of mean and variance, (C,) each, and
their weight, (1,). With the moving average fraction f a batch of m values a channel makes them

    weight = f · weight + 1;  means = f · means + mean;  variances = f · variances + v · m / (m - 1)

and the running statistics are sums divided by the weight, or 0 while it is 0.

Backward, with y and the means of dy and dy · y over the batch: dx = (dy - mean(dy) -
y · mean(dy · y)) / sqrt(variance + eps); with running statistics dx = dy / sqrt(variance + eps).
As BVLC Caffe 1.0; Ioffe and Szegedy (2015).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from protonet.blob import Array, Blob
from protonet.errors import GraphError
from protonet.kernels import threads
from protonet.kernels.finish import Finish
from protonet.kernels.jit import Kernel, kernel
from protonet.layer import TEST, Layer, register
from protonet.schema import caffe_pb2 as pb

GRAIN = 16384  # values for which a thread of its own is worth while
ROW = 64  # values: channels of smaller planes are done several at a time, a cache line of them

Stats = np.ndarray[Any, np.dtype[np.float64]]


@kernel("inline")
def moments(x: Array, mean: Stats, var: Stats, N: int, C: int, D: int, lo: int, hi: int) -> None:
    """Write mean and variance of channels lo .. hi - 1: the mean first, then squares about it."""
    for c in range(lo, hi):
        mean[c] = var[c] = 0
    for n in range(N):
        for c in range(lo, hi):
            row = x[(n * C + c) * D : (n * C + c + 1) * D]
            total = np.float32(0)
            for d in range(D):
                total += row[d]
            mean[c] += total
    for c in range(lo, hi):
        mean[c] /= N * D
    for n in range(N):
        for c in range(lo, hi):
            row = x[(n * C + c) * D : (n * C + c + 1) * D]
            centre, total = np.float32(mean[c]), np.float32(0)
            for d in range(D):
                total += (row[d] - centre) * (row[d] - centre)
            var[c] += total
    for c in range(lo, hi):
        var[c] /= N * D


@kernel("inline")
def normalize(
    x: Array, mean: Stats, factor: Stats, y: Array, N: int, C: int, D: int, lo: int, hi: int
) -> None:
    """Write y = (x - mean) · factor for channels lo .. hi - 1."""
    for n in range(N):
        for c in range(lo, hi):
            part = slice((n * C + c) * D, (n * C + c + 1) * D)
            xs, ys = x[part], y[part]
            centre, scale = np.float32(mean[c]), np.float32(factor[c])
            for d in range(D):
                ys[d] = (xs[d] - centre) * scale


@kernel(
    "void(float32[::1], float64, float64[::1], float64[::1], float64[::1], float32[::1],"
    " int64, int64, int64, int64, int64, int64)",
    shared=True,
)
def batch_forward(
    x: Array,
    eps: float,
    mean: Stats,
    var: Stats,
    factor: Stats,
    y: Array,
    N: int,
    C: int,
    D: int,
    block: int,
    lo: int,
    hi: int,
) -> None:
    """Write mean, var, factor = 1 / sqrt(var + eps) and y, a few channels at a time: they stay in
    the cache meanwhile.
    """
    for first in range(lo, hi, block):
        last = min(first + block, hi)
        moments(x, mean, var, N, C, D, first, last)
        for c in range(first, last):
            factor[c] = 1 / np.sqrt(var[c] + eps)
        normalize(x, mean, factor, y, N, C, D, first, last)


@kernel(
    "void(float32[::1], float64[::1], float64[::1], float32[::1], int64, int64, int64, int64,"
    " int64)",
    shared=True,
)
def running_forward(
    x: Array, mean: Stats, factor: Stats, y: Array, N: int, C: int, D: int, lo: int, hi: int
) -> None:
    """Write y for channels lo .. hi - 1, with statistics that are given."""
    normalize(x, mean, factor, y, N, C, D, lo, hi)


@kernel(
    "void(float32[::1], float32[::1], float64[::1], float64[::1], float64[::1], float64[::1],"
    " float32[::1], int64, int64, int64, int64, int64, int64)",
    shared=True,
)
def batch_backward(
    x: Array,
    dy: Array,
    mean: Stats,
    factor: Stats,
    plain: Stats,
    scaled: Stats,
    dx: Array,
    N: int,
    C: int,
    D: int,
    block: int,
    lo: int,
    hi: int,
) -> None:
    """Write dx for channels lo .. hi - 1; plain and scaled take the sums of dy and dy · y."""
    for first in range(lo, hi, block):
        last = min(first + block, hi)
        for n in range(N):
            for c in range(first, last):
                part = slice((n * C + c) * D, (n * C + c + 1) * D)
                xs, gs = x[part], dy[part]
                centre, a, b = np.float32(mean[c]), np.float32(0), np.float32(0)
                for d in range(D):
                    a += gs[d]
                    b += gs[d] * (xs[d] - centre)
                plain[c] += a
                scaled[c] += b * factor[c]
        for n in range(N):
            for c in range(first, last):
                part = slice((n * C + c) * D, (n * C + c + 1) * D)
                xs, gs, zs = x[part], dy[part], dx[part]
                centre, scale = np.float32(mean[c]), np.float32(factor[c])
                a = np.float32(plain[c] / (N * D))
                b = np.float32(scaled[c] / (N * D) * factor[c])
                for d in range(D):
                    zs[d] = (gs[d] - a - (xs[d] - centre) * b) * scale


@register("BatchNorm")
class BatchNorm(Layer):
    """batch_norm_param: use_global_stats (true in TEST, false in TRAIN),
    moving_average_fraction (0.999), eps (1e-5).

    x: (N, C, ...), y the same. Backward needs x, so it has storage of its own.
    """

    learned = False

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        p = self.param.batch_norm_param
        for i, spec in enumerate(self.param.param):
            if spec.HasField("lr_mult") and spec.lr_mult != 0:
                raise self.error(
                    f"expected an lr_mult of 0 for each parameter, no gradient reaches them; "
                    f"param {i} has {spec.lr_mult:g}",
                    GraphError,
                )
        self.running: bool = (
            p.use_global_stats if p.HasField("use_global_stats") else self.phase == TEST
        )
        channels = bottom[0].shape[1] if len(bottom[0].shape) > 1 else 1
        for shape in ((channels,), (channels,), (1,)):
            self.add_param(shape, pb.FillerParameter())

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        shape, channels = bottom[0].shape, self.blobs[0].count
        if not shape or (shape[1] if len(shape) > 1 else 1) != channels:
            raise self.error(f"expected a bottom of {channels} channels, got shape {shape}")
        self.n, self.c = shape[0], channels
        self.d = Blob(shape[2:]).count
        top[0].reshape(*shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        x, y = bottom[0].data.reshape(-1), top[0].data.reshape(-1)
        eps: float = self.param.batch_norm_param.eps
        n, c, d = self.n, self.c, self.d
        if self.running:
            self.mean, self.factor = self._statistics()
            self._by_channel(running_forward, x, self.mean, self.factor, y, n, c, d)
            return
        self.mean, self.factor, var = np.empty(c), np.empty(c), np.empty(c)
        block = self._block()
        self._by_channel(batch_forward, x, eps, self.mean, var, self.factor, y, n, c, d, block)
        self._remember(var)

    def maps_channels(self, bottom: list[Blob]) -> str:
        return "affine" if self.running and len(bottom[0].shape) > 1 else ""

    def channel_map(self) -> Finish:
        mean, factor = self._statistics()
        return Finish(factor, -mean * factor)

    def _statistics(self) -> tuple[Stats, Stats]:
        """Return the running mean and 1 / sqrt(variance + eps), (C,) each."""
        means, variances, weight = (blob.values.astype(np.float64) for blob in self.blobs)
        share = 0 if weight[0] == 0 else 1 / weight[0]
        return means * share, 1 / np.sqrt(variances * share + self.param.batch_norm_param.eps)

    def _remember(self, var: Stats) -> None:
        """Take the statistics of this batch into the running sums."""
        m = self.n * self.d
        fraction = self.param.batch_norm_param.moving_average_fraction
        news = (self.mean, var * (m / (m - 1) if m > 1 else 1), 1)
        for blob, new in zip(self.blobs, news, strict=True):
            blob.data[...] = fraction * blob.data + new

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        if not propagate_down[0]:
            return
        x, dy, dx = bottom[0].data.reshape(-1), top[0].diff.reshape(-1), bottom[0].diff.reshape(-1)
        n, c, d = self.n, self.c, self.d
        plain, scaled = np.zeros(c), np.zeros(c)
        if self.running:
            self._by_channel(running_forward, dy, plain, self.factor, dx, n, c, d)
        else:
            sums, sizes = (plain, scaled), (n, c, d, self._block())
            self._by_channel(batch_backward, x, dy, self.mean, self.factor, *sums, dx, *sizes)

    def _by_channel(self, kernel: Kernel, *args: Any) -> None:
        values = max(self.n * self.d, 1)
        threads.share(kernel, self.c, *args, grain=max(GRAIN // values, 1))

    def _block(self) -> int:
        return max(ROW // max(self.d, 1), 1)
