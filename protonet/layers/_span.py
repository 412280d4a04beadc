"""What Scale and Bias share: operands that span some axes of the first bottom."""

from __future__ import annotations

from typing import Any

from protonet.blob import Blob, Shape
from protonet.layer import Layer


class Spanning(Layer):
    """One or two bottoms; the second, or else a parameter, spans axes of the first from ``axis``.

    Attributes:
        inner: values of the first bottom, in a row, that meet the same value of the operand.
    """

    bottoms = (1, 2)
    inner = 1

    def span(self, p: Any, shape: Shape) -> Shape:
        """Return the shape of a parameter for a bottom of this shape: axis, num_axes of ``p``.

        Raises:
            ShapeError: axes that the bottom does not have.
        """
        if p.num_axes < -1:
            raise self.error(f"num_axes must be at least -1, got {p.num_axes}")
        if p.num_axes == 0:
            return ()  # one value for all, wherever axis may point
        axis = self.canonical_axis(p.axis, shape)
        end = len(shape) if p.num_axes == -1 else axis + p.num_axes
        if end > len(shape):
            raise self.error(
                f"axis {p.axis} and num_axes {p.num_axes} go beyond the {len(shape)} axes of the "
                f"bottom, shape {shape}"
            )
        return shape[axis:end]

    def place(self, p: Any, shape: Shape, operand: Shape) -> None:
        """Check that an operand lies over the bottom's shape from ``p.axis`` on; set ``inner``.

        Raises:
            ShapeError: it does not.
        """
        axis = self.canonical_axis(p.axis, shape) if operand else 0
        end = axis + len(operand)
        if shape[axis:end] != operand:
            raise self.error(
                f"expected from axis {axis} of the bottom, shape {shape}, the axes {operand}; "
                f"got {shape[axis:end]}"
            )
        self.inner = Blob(shape[end:]).count

    def reshape_top(self, bottom: list[Blob], top: list[Blob], p: Any) -> None:
        """Give the top the shape of the first bottom, and place the operand."""
        operand = bottom[1] if len(bottom) > 1 else self.blobs[0]
        self.place(p, bottom[0].shape, operand.shape)
        top[0].reshape(*bottom[0].shape)
