"""What kind of layer a type is: what a diagram colours by."""

from __future__ import annotations

from dataclasses import dataclass

from protonet.layers import layer_types


@dataclass(frozen=True)
class Kind:
    """A family of layers with its colours, light enough to print black text on."""

    name: str
    fill: str
    line: str


KINDS = {
    kind.name: kind
    for kind in (
        Kind("data", "#eceff1", "#546e7a"),
        Kind("convolution", "#d9e8fb", "#2b6cb0"),
        Kind("inner product", "#e4defa", "#6b46c1"),
        Kind("recurrent", "#f3dcf3", "#97318f"),
        Kind("pooling", "#d8f0dd", "#2f7d47"),
        Kind("activation", "#fdf3c7", "#a07a00"),
        Kind("normalization", "#fde5d2", "#b7601a"),
        Kind("joining", "#d5eeee", "#23797c"),
        Kind("loss", "#fbd7d5", "#b3261e"),
        Kind("measure", "#f4e1ea", "#9a4a72"),
        Kind("other", "#f5f2ea", "#7a6a45"),
        Kind("unknown", "#ffffff", "#555555"),
    )
}

_TYPES = {
    "data": "Data DummyData HDF5Data ImageData Input MemoryData WindowData Parameter",
    "convolution": "Convolution ConvolutionDepthwise Deconvolution DepthwiseConvolution Im2col",
    "inner product": "InnerProduct Embed",
    "recurrent": "LSTM LSTMUnit RNN Recurrent",
    "pooling": "Pooling SPP",
    "activation": (
        "AbsVal BNLL Clip ELU Exp Log PReLU Power ReLU ReLU6 Sigmoid Softmax Swish TanH Threshold"
    ),
    "normalization": "BatchNorm Bias Dropout LRN MVN Scale",
    "joining": (
        "BatchReindex Concat Crop Eltwise Filter Flatten Reduction Reshape Slice Split Tile"
    ),
    "loss": (
        "ContrastiveLoss EuclideanLoss HingeLoss InfogainLoss MultinomialLogisticLoss "
        "SigmoidCrossEntropyLoss SoftmaxWithLoss"
    ),
    "measure": "Accuracy ArgMax",
    "other": "HDF5Output Python Silence",
}
TYPE_KINDS = {name: kind for kind, names in _TYPES.items() for name in names.split()}


def kind_of(type_name: str) -> str:
    """Return the kind of a layer type; ``unknown`` where no layer of ours has the type."""
    cls = layer_types().get(type_name)
    if cls is None:
        return "unknown"
    for ancestor in cls.__mro__:
        kind = TYPE_KINDS.get(getattr(ancestor, "type", ""))
        if kind is not None:
            return kind
    if cls.is_loss:
        return "loss"
    return "data" if cls.is_data else "other"
