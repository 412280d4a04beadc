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

import numpy as np

from protonet.blob import Blob
from protonet.errors import GraphError
from protonet.kernels import normalize
from protonet.kernels.finish import PLAIN, Finish
from protonet.kernels.normalize import Stats
from protonet.layer import TEST, Layer, register
from protonet.schema import caffe_pb2 as pb


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
        # those of the last forward pass
        self.mean: Stats = np.zeros(channels)
        self.factor: Stats = np.zeros(channels)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        shape, channels = bottom[0].shape, self.blobs[0].count
        if not shape or (shape[1] if len(shape) > 1 else 1) != channels:
            raise self.error(f"expected a bottom of {channels} channels, got shape {shape}")
        self.sizes = (shape[0], channels, Blob(shape[2:]).count)
        top[0].reshape(*shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        self.forward_finished(bottom, top, PLAIN)

    def can_finish(self, bottom: list[Blob], kind: str) -> bool:
        return kind in ("affine", "slope", "backward") and len(bottom[0].shape) > 1

    def forward_finished(self, bottom: list[Blob], top: list[Blob], finish: Finish) -> None:
        if self.running:
            self.mean, self.factor = self._statistics()
            self._apply(bottom, top, finish)
            return
        x, y = bottom[0].data.reshape(-1), top[0].data.reshape(-1)
        eps: float = self.param.batch_norm_param.eps
        self.mean, var, self.factor = normalize.forward(x, eps, finish, y, self.sizes)
        self._remember(var)

    def rewrite(self, bottom: list[Blob], top: list[Blob]) -> None:
        if self.running:
            self.forward(bottom, top)
        else:
            self._apply(bottom, top, PLAIN)

    def _apply(self, bottom: list[Blob], top: list[Blob], finish: Finish) -> None:
        """Write the top, with the statistics there are."""
        x, y = bottom[0].data.reshape(-1), top[0].data.reshape(-1)
        normalize.forward_running(x, self.mean, self.factor, finish, y, self.sizes)

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
        m = self.sizes[0] * self.sizes[2]
        fraction = self.param.batch_norm_param.moving_average_fraction
        news = (self.mean, var * (m / (m - 1) if m > 1 else 1), 1)
        for blob, new in zip(self.blobs, news, strict=True):
            blob.data[...] = fraction * blob.data + new

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        if not propagate_down[0]:
            return
        if self.running:  # nothing but dy counts
            dy, dx = top[0].diff.reshape(-1), bottom[0].diff.reshape(-1)
            nothing = np.zeros_like(self.mean)
            normalize.forward_running(dy, nothing, self.factor, PLAIN, dx, self.sizes)
        else:
            self.backward_finished(top, bottom, PLAIN)

    def backward_finished(
        self, top: list[Blob], bottom: list[Blob], finish: Finish
    ) -> tuple[Stats, Stats]:
        x, y, dy, dx = (
            values.reshape(-1)
            for values in (bottom[0].data, top[0].data, top[0].diff, bottom[0].diff)
        )
        of_batch = not self.running
        statistics = (self.mean, self.factor, of_batch)
        return normalize.backward(x, y, dy, *statistics, finish, dx, self.sizes)
