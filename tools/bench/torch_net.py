"""Run a plan of ours with PyTorch: the peer does the very same layers on the very same shapes.

Covers the layer types of the nets in ``works.py``. Parameters are copied from our net, except
those of recurrent layers, which PyTorch arranges in another way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from protonet.net import Net

Op = Callable[..., Any]


class TorchNet:
    """A net of ours as PyTorch operations.

    Args:
        net: the protonet net.

    Attributes:
        parameters: the learned ones, in the order of the layers.
    """

    def __init__(self, net: Net) -> None:
        self.parameters: list[Any] = []
        self._training = net.phase == 0
        self._steps: list[tuple[Op, list[str], list[str]]] = []
        self._sources: dict[str, Any] = {}
        self._losses: list[tuple[str, float]] = []
        for step in net.steps:
            bottoms = [ref.name for ref in step.node.bottoms]
            tops = [ref.name for ref in step.node.tops]
            kind = step.layer.type
            if kind == "Input":
                for name, blob in zip(tops, step.top, strict=True):
                    self._sources[name] = torch.from_numpy(blob.data.copy())
                continue
            if kind in ("Accuracy", "Silence"):
                continue
            self._steps.append((getattr(self, f"_{kind}")(step), bottoms, tops))
            if kind == "SoftmaxWithLoss":
                self._losses.append((tops[0], step.layer.loss_weights[0]))
        self.outputs = net.outputs

    def set(self, name: str, values: Any) -> None:
        """Give an input blob its values."""
        self._sources[name] = torch.from_numpy(values)

    def forward(self) -> dict[str, Any]:
        """Run all layers; return the blobs that are still there, by name."""
        blobs = dict(self._sources)
        for op, bottoms, tops in self._steps:
            made = op(*(blobs[name] for name in bottoms))
            blobs.update(zip(tops, made if isinstance(made, tuple) else (made,), strict=False))
        return blobs

    def loss(self) -> Any:
        """Run all layers; return the weighted sum of the losses."""
        blobs = self.forward()
        return sum(weight * blobs[name] for name, weight in self._losses)

    # --- one method a layer type: from a step to a function of its bottoms ----------------------
    def _params(self, step: Any) -> list[Any]:
        made = [torch.from_numpy(b.data.copy()) for b in step.layer.blobs]
        for tensor in made:
            tensor.requires_grad_(self._training)
        self.parameters += made
        return made

    def _Convolution(self, step: Any) -> Op:  # noqa: N802 - Caffe's names
        p = step.layer.param.convolution_param
        w, *b = self._params(step)
        stride = tuple(p.stride) or 1
        pad = tuple(p.pad) or 0
        bias = b[0] if b else None
        return lambda x: functional.conv2d(x, w, bias, stride, pad, groups=p.group)

    def _InnerProduct(self, step: Any) -> Op:  # noqa: N802
        w, b = self._params(step)
        axis = step.layer.param.inner_product_param.axis
        return lambda x: functional.linear(x.flatten(axis), w, b)

    def _Pooling(self, step: Any) -> Op:  # noqa: N802
        p = step.layer.param.pooling_param
        if p.global_pooling:
            return lambda x: x.mean((2, 3), keepdim=True)
        size, stride, pad = p.kernel_size, p.stride, p.pad
        if p.pool == p.MAX:
            return lambda x: functional.max_pool2d(x, size, stride, pad, ceil_mode=True)
        return lambda x: functional.avg_pool2d(x, size, stride, pad, ceil_mode=True)

    def _ReLU(self, step: Any) -> Op:  # noqa: N802
        if step.top[0] is step.bottom[0]:
            return functional.relu_
        return functional.relu

    def _LRN(self, step: Any) -> Op:  # noqa: N802
        p = step.layer.param.lrn_param
        return lambda x: functional.local_response_norm(x, p.local_size, p.alpha, p.beta, p.k)

    def _Dropout(self, step: Any) -> Op:  # noqa: N802
        ratio = step.layer.param.dropout_param.dropout_ratio
        return lambda x: functional.dropout(x, ratio, self._training)

    def _BatchNorm(self, step: Any) -> Op:  # noqa: N802
        mean, variance, _ = (torch.from_numpy(b.data.copy()) for b in step.layer.blobs)
        eps = step.layer.param.batch_norm_param.eps
        training = self._training
        return lambda x: functional.batch_norm(x, mean, variance, None, None, training, 0.001, eps)

    def _Scale(self, step: Any) -> Op:  # noqa: N802
        w, b = self._params(step)
        shape = (1, -1, 1, 1)
        return lambda x: torch.addcmul(b.view(shape), x, w.view(shape))

    def _Concat(self, step: Any) -> Op:  # noqa: N802
        axis = step.layer.param.concat_param.axis
        return lambda *xs: torch.cat(xs, axis)

    def _Flatten(self, step: Any) -> Op:  # noqa: N802
        return lambda x: x.flatten(1)

    def _Eltwise(self, step: Any) -> Op:  # noqa: N802
        return lambda a, b: a + b

    def _Split(self, step: Any) -> Op:  # noqa: N802
        count = len(step.top)
        return lambda x: (x,) * count

    def _Softmax(self, step: Any) -> Op:  # noqa: N802
        axis = step.layer.param.softmax_param.axis
        return lambda x: functional.softmax(x, axis)

    def _SoftmaxWithLoss(self, step: Any) -> Op:  # noqa: N802
        axis = step.layer.param.softmax_param.axis

        def loss(x: Any, t: Any) -> Any:
            return functional.cross_entropy(x.movedim(axis, -1).flatten(0, -2), t.long().flatten())

        return loss

    def _LSTM(self, step: Any) -> Op:  # noqa: N802
        w_x, _, w_h = (blob.data for blob in step.layer.blobs)
        lstm = torch.nn.LSTM(w_x.shape[1], w_h.shape[1])
        self.parameters += list(lstm.parameters())
        return lambda x, cont: lstm(x)[0]
