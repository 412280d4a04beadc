"""What layers that move a window over an image have in common: Caffe's ways to describe it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from protonet.blob import Blob, Shape
from protonet.errors import GraphError
from protonet.kernels.convolution import Convolution2D
from protonet.kernels.convolution_nd import ConvolutionND
from protonet.layer import Layer
from protonet.schema import caffe_pb2 as pb


class Windows(NamedTuple):
    """A window's measures, one number for each spatial axis."""

    kernel: Shape
    stride: Shape
    pad: Shape
    dilation: Shape


def read_windows(layer: Layer, param: Any, axes: int) -> Windows:
    """Read a convolution_param for ``axes`` spatial axes.

    Each measure may be given once for all axes, once for each, or, with two axes, as ``_h`` and
    ``_w``.

    Raises:
        GraphError: a measure is missing, given twice, zero, or for another number of axes.
    """
    kernel = _measure(layer, param, "kernel_size", "kernel", axes, None)
    stride = _measure(layer, param, "stride", "stride", axes, 1)
    pad = _measure(layer, param, "pad", "pad", axes, 0)
    dilation = _measure(layer, param, "dilation", None, axes, 1)
    for name, values in (("kernel_size", kernel), ("stride", stride), ("dilation", dilation)):
        if any(v < 1 for v in values):
            raise layer.error(f"{name} must be at least 1, got {_text(values)}", GraphError)
    return Windows(kernel, stride, pad, dilation)


def _measure(
    layer: Layer, param: Any, field: str, pair: str | None, axes: int, default: int | None
) -> Shape:
    given = [int(v) for v in getattr(param, field)]
    names = [f"{pair}_h", f"{pair}_w"] if pair else []
    if any(param.HasField(name) for name in names):
        if given:
            raise layer.error(
                f"{field} and {names[0]}, {names[1]} are both given; expected one or the other",
                GraphError,
            )
        if axes != 2:
            raise layer.error(
                f"{names[0]} and {names[1]} need 2 spatial axes, the bottom has {axes}; "
                f"give {field} {axes} times",
                GraphError,
            )
        return tuple(int(getattr(param, name)) for name in names)
    if not given:
        if default is None and axes > 0:
            raise layer.error("no kernel_size is given", GraphError)
        return (default or 0,) * axes
    if len(given) not in (1, axes):
        raise layer.error(
            f"{field} is given {len(given)} times, expected once or once for each of {axes} "
            "spatial axes",
            GraphError,
        )
    return tuple(given) * (axes if len(given) == 1 else 1)


class Correlation:
    """A convolution's maths, and the shapes in which it takes its arrays.

    Up to 2 spatial axes it is the fast one for images, with axes of size 1 put in where there
    are fewer, unless ``force_nd_im2col``. With ``engine: CAFFE`` it keeps to Caffe's plain sums.

    Args:
        shape: of x, (N, C, size...).
        size: of y, for each spatial axis.
        param: the convolution_param.

    Attributes:
        maths: has forward(x, w, bias, y), backward_data(dy, w, dx), backward_weights(x, dy, dw, db)
            and backward_bias(dy, db).
        x_shape, w_shape, y_shape: (N, C, ...), (num_output, C / group, ...), (N, num_output, ...).
    """

    def __init__(
        self,
        shape: Shape,
        size: Shape,
        num_output: int,
        windows: Windows,
        group: int,
        param: Any,
    ) -> None:
        (N, C), image, kernel, stride, pad, dilation = shape[:2], shape[2:], *windows
        self.maths: Convolution2D | ConvolutionND
        if param.force_nd_im2col or len(image) > 2:
            self.maths = ConvolutionND(shape, num_output, kernel, stride, pad, dilation, group)
        else:
            missing = 2 - len(image)
            ones, zeros = (1,) * missing, (0,) * missing
            image, size, kernel = ones + image, ones + size, ones + kernel
            self.maths = Convolution2D(
                N, C, image[0], image[1], num_output,
                _pair(kernel), _pair(ones + stride), _pair(zeros + pad), _pair(ones + dilation),
                group, plain=param.engine == pb.ConvolutionParameter.CAFFE,
            )  # fmt: skip
        self.x_shape = (N, C, *image)
        self.w_shape = (num_output, C // group, *kernel)
        self.y_shape = (N, num_output, *size)


class BaseConvolution(Layer):
    """A convolution or its transposed: the parameters, the shapes, the bottoms that share them.

    x: (N..., C, size...), with C at convolution_param's ``axis``. The parameters are the weights
    and, with ``bias_term``, a bias (num_output,).
    """

    bottoms = (1, None)
    tops = (1, None)
    equal_counts = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        param, shape = self.param.convolution_param, bottom[0].shape
        self._axis = self.canonical_axis(param.axis, shape)
        self._axes = len(shape)
        if param.num_output < 1:
            raise self.error(f"num_output must be at least 1, got {param.num_output}", GraphError)
        self.windows = read_windows(self, param, len(shape) - self._axis - 1)
        self.num_output, self.group = int(param.num_output), int(param.group)
        self.channels = shape[self._axis]
        if self.group < 1 or self.channels % self.group or self.num_output % self.group:
            raise self.error(
                f"the bottom's {self.channels} channels and num_output {self.num_output} "
                f"must be multiples of group {self.group}"
            )
        self.add_param(self.weight_shape(), param.weight_filler)
        if param.bias_term:
            self.add_param((self.num_output,), param.bias_filler)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        shape, axis = bottom[0].shape, self._axis
        for blob in bottom:
            if blob.shape != shape:
                raise self.error(
                    f"expected bottoms of one shape, got shapes {shape} and {blob.shape}"
                )
        if len(shape) != self._axes or shape[axis] != self.channels:
            raise self.error(
                f"expected a bottom of {self._axes} axes with {self.channels} channels in axis "
                f"{axis}, as the weights have, got shape {shape}"
            )
        size = tuple(map(self.output_size, shape[axis + 1 :], *self.windows))
        if any(n < 1 for n in size):
            raise self.error(
                f"kernel {_text(self.windows.kernel)} does not fit on a bottom of shape {shape}"
                f"{' with its padding' if any(self.windows.pad) else ''}: the top would have "
                f"size {_text(size)}"
            )
        for blob in top:
            blob.reshape(*shape[:axis], self.num_output, *size)
        N = math.prod(shape[:axis])
        self.prepare((N, *shape[axis:]), (N, self.num_output, *size))

    def weight_shape(self) -> Shape:
        """Return the shape of the weights."""
        raise NotImplementedError

    def output_size(self, size: int, kernel: int, stride: int, pad: int, dilation: int) -> int:
        """Return the top's size along one axis."""
        raise NotImplementedError

    def prepare(self, x_shape: Shape, y_shape: Shape) -> None:
        """Get ready for bottoms and tops of these shapes, (N, C, size...)."""
        raise NotImplementedError

    def allow_winograd(self, allowed: bool) -> None:
        """Say whether Winograd's method may be used, as ``engine`` does in a file."""
        kinds = pb.ConvolutionParameter
        self.param.convolution_param.engine = kinds.DEFAULT if allowed else kinds.CAFFE

    @property
    def bias(self) -> Blob | None:
        return self.blobs[1] if len(self.blobs) > 1 else None

    @property
    def bias_wanted(self) -> bool:
        """Whether there is a bias whose gradient is wanted."""
        return len(self.blobs) > 1 and self.param_propagate_down[1]


def _text(values: Sequence[int]) -> str:
    return "x".join(map(str, values))


def _pair(values: Shape) -> tuple[int, int]:
    first, second = values
    return first, second
