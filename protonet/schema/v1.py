"""The second generation: ``layers { type: CONVOLUTION blobs_lr: 1 ... }``.

As BVLC Caffe 1.0 upgrades them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from protonet.forks.known import known_by, like
from protonet.schema import extra

# Types whose name today is not the old one with its words capitalized.
_SPECIAL = {
    "NONE": "",
    "ABSVAL": "AbsVal",
    "ARGMAX": "ArgMax",
    "BNLL": "BNLL",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "IM2COL": "Im2col",
    "LRN": "LRN",
    "MVN": "MVN",
    "RELU": "ReLU",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "TANH": "TanH",
}

# Preparation of images that data layers kept among their own options.
_SOURCES = {
    "DATA": "data_param",
    "IMAGE_DATA": "image_data_param",
    "WINDOW_DATA": "window_data_param",
}
_MOVED = ("scale", "mean_file", "crop_size", "mirror")


def type_name(old: Any) -> str:
    """Return today's name of a V1LayerParameter's type."""
    name = old.LayerType.Name(old.type)
    return _SPECIAL.get(name, name.title().replace("_", ""))


def overlay(new: Any, old: Any) -> None:
    """Write what a V1LayerParameter says into the current layer ``new``, which is empty.

    Blobs, and the multipliers of learning rates and decays, are left out.
    """
    new.bottom.extend(old.bottom)
    new.top.extend(old.top)
    if old.HasField("name"):
        new.name = old.name
    if old.HasField("type"):
        new.type = type_name(old)
    for kept in extra.extras(old):
        if kept.name == "type":  # of a fork: as a name the current form has room for it
            new.type = like(kept.value)
            kept = replace(kept, written=False, reason="" if known_by(new.type) else kept.reason)
        extra.add(new, kept)
    new.loss_weight.extend(old.loss_weight)
    new.include.extend(old.include)
    new.exclude.extend(old.exclude)
    for i, name in enumerate(old.param):
        spec(new, i).name = name
    for i, mode in enumerate(old.blob_share_mode):
        spec(new, i).share_mode = mode
    for field, value in old.ListFields():
        if field.message_type and field.name.endswith("_param"):
            getattr(new, field.name).CopyFrom(value)
    if old.LayerType.Name(old.type) in _SOURCES:
        _move_transformation(new, getattr(new, _SOURCES[old.LayerType.Name(old.type)]))


def multipliers(new: Any, old: Any) -> None:
    """Turn ``blobs_lr`` and ``weight_decay`` of a V0 or V1 layer into ``param`` of ``new``."""
    for i, value in enumerate(old.blobs_lr):
        spec(new, i).lr_mult = value
    for i, value in enumerate(old.weight_decay):
        spec(new, i).decay_mult = value


def spec(new: Any, i: int) -> Any:
    """Return the ParamSpec of parameter ``i``, made where it is missing."""
    while len(new.param) <= i:
        new.param.add()
    return new.param[i]


def _move_transformation(new: Any, source: Any) -> None:
    for name in _MOVED:
        if source.HasField(name):
            setattr(new.transform_param, name, getattr(source, name))
            source.ClearField(name)
