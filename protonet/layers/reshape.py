"""Reshape: the same values under another shape. As BVLC Caffe 1.0.

``num_axes`` axes of the bottom from ``axis`` on give way to ``shape``, in which 0 copies the axis
of the bottom at that place, and one -1 stands for what is left.
"""

from __future__ import annotations

import math

from protonet.blob import Blob
from protonet.errors import GraphError
from protonet.layer import register
from protonet.layers._view import View


@register("Reshape")
class Reshape(View):
    """reshape_param: shape, axis (0; -1 is behind the last one), num_axes (-1: all from axis)."""

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        p = self.param.reshape_param
        self.dims: list[int] = list(p.shape.dim)
        text = f"got {self.dims}"
        if any(dim < -1 for dim in self.dims):
            raise self.error(f"expected each dim to be at least -1, {text}", GraphError)
        if self.dims.count(-1) > 1:
            raise self.error(f"expected at most one dim of -1, {text}", GraphError)
        if p.num_axes < -1:
            raise self.error(f"num_axes must be at least -1, got {p.num_axes}", GraphError)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        p, old = self.param.reshape_param, bottom[0].shape
        start = p.axis if p.axis >= 0 else len(old) + p.axis + 1
        if not 0 <= start <= len(old):
            raise self.error(
                f"axis {p.axis} is out of range for a bottom of {len(old)} axes, shape {old}"
            )
        end = len(old) if p.num_axes == -1 else start + p.num_axes
        if end > len(old):
            raise self.error(
                f"axis {p.axis} and num_axes {p.num_axes} go beyond the {len(old)} axes of the "
                f"bottom, shape {old}"
            )
        new = [*old[:start], *self.dims, *old[end:]]
        for i, dim in enumerate(self.dims, start):
            if dim == 0 and i >= len(old):
                raise self.error(
                    f"dim 0 copies axis {i}, which the bottom of shape {old} does not have"
                )
            new[i] = old[i] if dim == 0 else dim
        if -1 in self.dims:
            new[start + self.dims.index(-1)] = self._left(math.prod(old), new)
        if math.prod(new) != math.prod(old):
            raise self.error(
                f"expected as many values as in the bottom, shape {old} ({math.prod(old)}); "
                f"got shape {tuple(new)} ({math.prod(new)})"
            )
        top[0].reshape(*new)

    def _left(self, count: int, new: list[int]) -> int:
        """Return what -1 stands for."""
        known = -math.prod(new)
        if known == 0 or count % known:
            raise self.error(
                f"the {count} values of the bottom do not fill whole rows of {known} for the dim "
                f"of -1 in shape {tuple(new)}"
            )
        return count // known
