"""What the nets are put together from: layers with names, data layers, heads, recipes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from protonet.schema import caffe_pb2 as pb

Filler = dict[str, Any]
XAVIER: Filler = {"type": "xavier"}
MSRA: Filler = {"type": "msra"}


def gaussian(std: float) -> Filler:
    """Return a filler of normal values around 0."""
    return {"type": "gaussian", "std": std}


def constant(value: float) -> Filler:
    """Return a filler of one value."""
    return {"type": "constant", "value": value}


class Builder:
    """A net that grows layer by layer. Each method adds one and returns the name of its top.

    Args:
        name: of the net.
        train: whether the weights get fillers and multipliers, and the net its extra heads.
        weights, bias: fillers, where a layer has no other; a bias of None leaves it out.
    """

    def __init__(
        self, name: str, train: bool, weights: Filler = XAVIER, bias: Filler | None = None
    ) -> None:
        self.net = pb.NetParameter(name=name)
        self.train = train
        self.weights = weights
        self.bias = bias

    def layer(
        self, kind: str, name: str, bottom: str | list[str], top: str = "", **parts: Any
    ) -> str:
        """Add a layer of any type. ``parts``: the other fields of a LayerParameter."""
        bottoms = [bottom] if isinstance(bottom, str) else bottom
        self.net.layer.add(name=name, type=kind, bottom=bottoms, top=[top or name], **parts)
        return top or name

    def conv(
        self,
        name: str,
        bottom: str,
        num_output: int,
        kernel_size: int,
        *,
        pad: int = 0,
        stride: int = 1,
        group: int = 1,
        weights: Filler | None = None,
        bias: Filler | None = None,
        decay: float = 1,
    ) -> str:
        """Add a convolution with a square kernel."""
        shape: dict[str, Any] = {"num_output": num_output, "kernel_size": [kernel_size]}
        if pad:
            shape["pad"] = [pad]
        if stride > 1:
            shape["stride"] = [stride]
        if group > 1:
            shape["group"] = group
        return self._weighted("Convolution", name, bottom, shape, weights, bias, decay)

    def inner_product(
        self,
        name: str,
        bottom: str,
        num_output: int,
        *,
        weights: Filler | None = None,
        bias: Filler | None = None,
    ) -> str:
        """Add a fully connected layer."""
        return self._weighted(
            "InnerProduct", name, bottom, {"num_output": num_output}, weights, bias, 1
        )

    def _weighted(
        self,
        kind: str,
        name: str,
        bottom: str,
        shape: dict[str, Any],
        weights: Filler | None,
        bias: Filler | None,
        decay: float,
    ) -> str:
        """Add weights that learn at the solver's rate, and a bias at twice it without decay."""
        bias = bias or self.bias
        if bias is None:
            shape["bias_term"] = False
        params = []
        if self.train:
            shape["weight_filler"] = weights or self.weights
            params.append({"lr_mult": 1, "decay_mult": decay})
            if bias is not None:
                params.append({"lr_mult": 2, "decay_mult": 0})
                if bias.get("value"):
                    shape["bias_filler"] = bias
        if kind == "Convolution":
            return self.layer(kind, name, bottom, param=params, convolution_param=shape)
        return self.layer(kind, name, bottom, param=params, inner_product_param=shape)

    def relu(self, name: str, bottom: str) -> str:
        """Add a ReLU in place."""
        return self.layer("ReLU", name, bottom, bottom)

    def batch_norm(self, name: str, scale: str, bottom: str) -> str:
        """Normalize in place by batch, then by a learned scale and shift for each channel."""
        self.layer("BatchNorm", name, bottom, bottom)
        params = [{"lr_mult": 1, "decay_mult": 0}] * 2 if self.train else []
        return self.layer(
            "Scale", scale, bottom, bottom, param=params, scale_param={"bias_term": True}
        )

    def max_pool(self, name: str, bottom: str, kernel: int, stride: int, pad: int = 0) -> str:
        """Add max pooling."""
        shape = {"pool": pb.PoolingParameter.MAX, "kernel_size": kernel, "stride": stride}
        if pad:
            shape["pad"] = pad
        return self.layer("Pooling", name, bottom, pooling_param=shape)

    def mean_pool(self, name: str, bottom: str, kernel: int = 0, stride: int = 1) -> str:
        """Add average pooling, over the whole image without a kernel."""
        window = {"kernel_size": kernel, "stride": stride} if kernel else {"global_pooling": True}
        shape = {"pool": pb.PoolingParameter.AVE, **window}
        return self.layer("Pooling", name, bottom, pooling_param=shape)

    def norm(self, name: str, bottom: str) -> str:
        """Add the response normalization of Krizhevsky et al. (2012), section 3.3."""
        return self.layer(
            "LRN", name, bottom, lrn_param={"local_size": 5, "alpha": 1e-4, "beta": 0.75}
        )

    def concat(self, name: str, bottoms: list[str]) -> str:
        """Put channels behind one another."""
        return self.layer("Concat", name, bottoms)

    def dropout(self, name: str, bottom: str, ratio: float) -> str:
        """Add dropout in place."""
        return self.layer("Dropout", name, bottom, bottom, dropout_param={"dropout_ratio": ratio})

    def head(self, scores: str, loss: str, top1: str, top5: str, weight: float = 1) -> None:
        """Judge scores by a softmax loss, and in the TEST phase by two accuracies."""
        weights = [weight] if weight != 1 else []
        self.layer("SoftmaxWithLoss", loss, [scores, "label"], loss_weight=weights)
        test = [{"phase": pb.TEST}]
        self.layer("Accuracy", top1, [scores, "label"], include=test)
        self.layer("Accuracy", top5, [scores, "label"], include=test, accuracy_param={"top_k": 5})


@dataclass(frozen=True)
class Model:
    """A net for ImageNet's 1000 classes, with its recipe.

    Attributes:
        folder: under ``models/``.
        name: of the net.
        about: the comment above each of its files: whose net it is.
        builder: makes an empty net with the fillers that it starts from; (name, train).
        body: adds the layers from blob "data" on, and returns the blob of the scores. In training
            it may add heads of its own.
        size: height and width of the images.
        batches: images of a training batch and of a test batch.
        loss: names of the loss and of the two accuracies.
        solver: fields of the SolverParameter, besides those that all share.
        transform: fields of the TransformationParameter, besides mirror and crop.
    """

    folder: str
    name: str
    about: str
    builder: Callable[[str, bool], Builder]
    body: Callable[[Builder, str], str]
    size: int
    batches: tuple[int, int]
    solver: dict[str, Any]
    loss: tuple[str, str, str] = ("loss", "accuracy", "accuracy_top5")
    transform: dict[str, Any] = field(default_factory=lambda: {"mean_value": [104, 117, 123]})

    def train_val(self) -> Any:
        """Return the net for training and validation."""
        net = self.builder(self.name, True)
        for phase, part, batch in zip(
            (pb.TRAIN, pb.TEST), ("train", "val"), self.batches, strict=True
        ):
            mirror = {"mirror": True} if phase == pb.TRAIN else {}
            net.net.layer.add(
                name="data",
                type="Data",
                top=["data", "label"],
                include=[{"phase": phase}],
                transform_param={**mirror, "crop_size": self.size, **self.transform},
                data_param={
                    "source": f"ilsvrc12_{part}_lmdb",
                    "backend": pb.DataParameter.LMDB,
                    "batch_size": batch,
                },
            )
        net.head(self.body(net, "data"), *self.loss)
        return net.net

    def deploy(self) -> Any:
        """Return the net that takes an image and gives probabilities."""
        net = self.builder(self.name, False)
        shape = {"shape": [{"dim": [1, 3, self.size, self.size]}]}
        net.layer("Input", "data", [], input_param=shape)
        net.layer("Softmax", "prob", self.body(net, "data"))
        return net.net

    def recipe(self) -> Any:
        """Return the solver. Validation covers ImageNet's 50,000 images."""
        return pb.SolverParameter(
            net="train_val.prototxt",
            test_iter=[50_000 // self.batches[1]],
            test_initialization=False,
            momentum=0.9,
            solver_mode=pb.SolverParameter.CPU,
            **self.solver,
        )
