"""What losses have in common: a scalar top, labels that are checked, a divisor."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from protonet.blob import Blob
from protonet.errors import LabelError, ProtonetError
from protonet.kernels.jit import kernel
from protonet.layer import Count, Layer

# LossParameter.NormalizationMode in Caffe's files.
FULL, VALID, BATCH_SIZE, NONE = 0, 1, 2, 3


@kernel("inline")
def label_at(value: float, classes: int) -> int:
    """Return the class that a label names (towards zero, as Caffe), or -1: there is none."""
    if value > -1.0 and value < classes:
        return int(value)
    return -1


@kernel("inline")
def is_ignored(value: float, ignored: float) -> bool:
    """Say whether a label names the class to ignore; no label does when ``ignored`` is NaN."""
    return value - ignored > -1.0 and value - ignored < 1.0 and int(value) == int(ignored)


class Loss(Layer):
    """Predictions and labels with as many samples; the first top is a scalar, shape ().

    On the way down ``top[0].diff`` holds the loss weight.
    """

    bottoms: ClassVar[Count] = 2
    tops: ClassVar[Count] = 1
    is_loss = True
    auto_tops = True
    not_differentiable = frozenset({1})

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        self.check_samples(bottom)
        top[0].reshape()

    def check_samples(self, bottom: list[Blob]) -> None:
        """Raise ShapeError unless bottoms 0 and 1 have equally many samples."""
        shapes = bottom[0].shape, bottom[1].shape
        if not shapes[0] or not shapes[1] or shapes[0][0] != shapes[1][0]:
            raise self.error(
                f"expected two bottoms with the same first axis, got shapes {shapes[0]} "
                f"and {shapes[1]}"
            )

    def check_labels(self, bottom: list[Blob], outer: int, inner: int) -> None:
        """Raise ShapeError unless bottom 1 holds one label for each of outer · inner places."""
        if bottom[1].count != outer * inner:
            raise self.error(
                f"expected {outer * inner} labels, one for each prediction of shape "
                f"{bottom[0].shape}, got {bottom[1].count} in shape {bottom[1].shape}"
            )

    def check_propagation(self, propagate_down: list[bool]) -> None:
        """Raise if a gradient is asked for where none can be given."""
        for i in sorted(self.not_differentiable):
            if i < len(propagate_down) and propagate_down[i]:
                raise self.error(f"no gradient can flow into bottom {i}, the labels")


def label_error(layer: Layer, labels: Blob, place: int, inner: int, classes: int) -> ProtonetError:
    """Return the error for the label at ``place`` of a blob with ``inner`` labels a sample."""
    value = float(labels.data.reshape(-1)[place])
    sample = place // max(inner, 1)
    return layer.error(
        f"label {value:g} of sample {sample} is out of range: there are "
        f"{classes} classes, 0 to {classes - 1}",
        partial(LabelError, sample=sample),
    )


def ignored_label(param: Any) -> float:
    """Return the ``ignore_label`` of a loss_param or accuracy_param, or NaN."""
    return float(param.ignore_label) if param.HasField("ignore_label") else float("nan")


def normalization(param: Any, default: int) -> int:
    """Return the mode that a loss_param asks for; ``normalize`` is its older form."""
    if param.HasField("normalization"):
        return int(param.normalization)
    if param.HasField("normalize"):
        return VALID if param.normalize else BATCH_SIZE
    return default


def normalizer(mode: int, outer: int, inner: int, valid: float) -> float:
    """Return what a loss is divided by; never less than 1, so that no labels give no loss."""
    return float(max(1, (outer * inner, valid, outer, 1)[mode]))
