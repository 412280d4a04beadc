"""Where the pixels of one blob lie in another, to crop and to align them.

A map is (axis, scale, shift): the coordinate y of an output lies at x = (y − shift) / scale of the
input, along the spatial axes from ``axis`` on; axis None for layers that leave coordinates alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from protonet.caffe.net_spec import Function, Top, layers
from protonet.errors import GraphError

PASS_THROUGH_LAYERS = [
    "AbsVal",
    "BatchNorm",
    "Bias",
    "BNLL",
    "Dropout",
    "Eltwise",
    "ELU",
    "Log",
    "LRN",
    "Exp",
    "MVN",
    "Power",
    "ReLU",
    "PReLU",
    "Scale",
    "Sigmoid",
    "Split",
    "TanH",
    "Threshold",
]

Map = tuple[Any, Any, Any]
IDENTITY: Map = (None, 1, 0)
_PAIRS = {"pad_h", "pad_w", "kernel_h", "kernel_w", "stride_h", "stride_w"}


class UndefinedMapException(GraphError):  # noqa: N818 - pycaffe's name
    """A layer whose outputs do not lie anywhere in its inputs."""


class AxisMismatchException(GraphError):  # noqa: N818 - pycaffe's name
    """Maps along different axes."""


def conv_params(fn: Function) -> tuple[Any, Any, Any, Any]:
    """Return axis, stride, extent of the kernel with its dilation, and pad of a layer.

    Raises:
        GraphError: measures given as ``_h`` and ``_w``.
    """
    p = fn.params.get("convolution_param", fn.params.get("pooling_param", fn.params))
    pairs = _PAIRS & set(p)
    if pairs:
        raise GraphError(f"{fn.type_name}: {', '.join(sorted(pairs))} cannot be mapped")
    kernel = np.array(p["kernel_size"], ndmin=1)
    dilation = np.array(p.get("dilation", 1), ndmin=1)
    stride, pad = (np.array(p.get(name, n), ndmin=1) for name, n in (("stride", 1), ("pad", 0)))
    return p.get("axis", 1), stride, (kernel - 1) * dilation + 1, pad


def crop_params(fn: Function) -> tuple[Any, Any]:
    """Return axis and offset of a Crop layer."""
    p = fn.params.get("crop_param", fn.params)
    return p.get("axis", 2), np.array(p.get("offset", 0), ndmin=1)


def coord_map(fn: Function) -> Map:
    """Return the map of one layer.

    Raises:
        UndefinedMapException: it has none.
    """
    if fn.type_name in ("Convolution", "Pooling", "Im2col"):
        axis, stride, extent, pad = conv_params(fn)
        return axis, 1 / stride, (pad - (extent - 1) / 2) / stride
    if fn.type_name == "Deconvolution":
        axis, stride, extent, pad = conv_params(fn)
        return axis, stride, (extent - 1) / 2 - pad
    if fn.type_name in PASS_THROUGH_LAYERS:
        return IDENTITY
    if fn.type_name == "Crop":
        axis, offset = crop_params(fn)
        return axis - 1, 1, -offset  # counted from the axis before those that are cropped
    raise UndefinedMapException(f"a {fn.type_name} layer has no map of coordinates")


def compose(base_map: Map, next_map: Map) -> Map:
    """Return the map that goes through ``next_map`` first, then through ``base_map``.

    Raises:
        AxisMismatchException: they are along different axes.
    """
    ax1, a1, b1 = base_map
    ax2, a2, b2 = next_map
    if ax1 is not None and ax2 is not None and ax1 != ax2:
        raise AxisMismatchException(f"maps along the axes {ax1} and {ax2} do not join")
    return (ax2 if ax1 is None else ax1), a1 * a2, a1 * b2 + b1


def inverse(coord_map: Map) -> Map:
    """Return the map from output to input."""
    axis, a, b = coord_map
    return axis, 1 / a, -b / a


def coord_map_from_to(top_from: Top, top_to: Top) -> Map:
    """Return the map between two blobs, through one that both are made from.

    Raises:
        RuntimeError: there is none that spatial layers lead to.
    """
    from_maps = _maps_back(top_from)
    to_maps = _maps_back(top_to, stop_at=from_maps)
    for top, to_map in to_maps.items():
        if top in from_maps:
            return compose(to_map, inverse(from_maps[top]))
    raise RuntimeError("no map between the blobs: no spatial layers connect them")


def _maps_back(top: Top, stop_at: Any = ()) -> dict[Top, Map]:
    """Return the maps of all blobs behind ``top``, nearest first, up to one in ``stop_at``."""
    maps: dict[Top, Map] = {top: IDENTITY}
    frontier = [top]
    while frontier:
        current = frontier.pop(0)
        if current in stop_at:
            return maps
        inputs = current.fn.inputs
        if current.fn.type_name == "Crop":
            inputs = inputs[:1]  # the other one only gives the size
        try:
            step = coord_map(current.fn) if inputs else IDENTITY
        except UndefinedMapException:
            continue
        for bottom in inputs:
            maps[bottom] = compose(maps[current], step)
            frontier.append(bottom)
    return maps


def crop(top_from: Top, top_to: Top) -> Any:
    """Return a Crop layer that cuts ``top_from`` to where ``top_to`` lies.

    Raises:
        GraphError: the blobs differ in scale, or the cut is negative or within a pixel.
    """
    axis, a, b = coord_map_from_to(top_from, top_to)
    a, b = np.atleast_1d(a), np.atleast_1d(b)
    if not (a == 1).all():
        raise GraphError(f"crop: expected blobs of one scale, got a scale of {a}")
    if not (b <= 0).all():
        raise GraphError(f"crop: expected an offset of 0 or more, got {-b}")
    if not (np.round(b) == b).all():
        raise GraphError(f"crop: expected an offset of whole pixels, got {-b}")
    offset = [int(n) for n in -np.round(b)]
    return layers.Crop(top_from, top_to, crop_param={"axis": axis + 1, "offset": offset})
