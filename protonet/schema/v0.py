"""The first generation: ``layers { layer { type: "conv" ... } bottom: ... top: ... }``.

All options of all types sit in one message. Padding is a layer of its own before the convolution
or pooling that it belongs to. As BVLC Caffe 1.0 upgrades them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from protonet.schema import extra

TYPES = {
    "accuracy": "Accuracy",
    "bnll": "BNLL",
    "concat": "Concat",
    "conv": "Convolution",
    "data": "Data",
    "dropout": "Dropout",
    "euclidean_loss": "EuclideanLoss",
    "flatten": "Flatten",
    "hdf5_data": "HDF5Data",
    "hdf5_output": "HDF5Output",
    "im2col": "Im2col",
    "images": "ImageData",
    "infogain_loss": "InfogainLoss",
    "innerproduct": "InnerProduct",
    "lrn": "LRN",
    "multinomial_logistic_loss": "MultinomialLogisticLoss",
    "pool": "Pooling",
    "relu": "ReLU",
    "sigmoid": "Sigmoid",
    "softmax": "Softmax",
    "softmax_loss": "SoftmaxWithLoss",
    "split": "Split",
    "tanh": "TanH",
    "window_data": "WindowData",
}

PADDED = ("conv", "pool")

# Where a type keeps its options today.
_PARAM = {
    "concat": "concat_param",
    "conv": "convolution_param",
    "data": "data_param",
    "dropout": "dropout_param",
    "hdf5_data": "hdf5_data_param",
    "hdf5_output": "hdf5_output_param",
    "images": "image_data_param",
    "infogain_loss": "infogain_loss_param",
    "innerproduct": "inner_product_param",
    "lrn": "lrn_param",
    "pool": "pooling_param",
    "window_data": "window_data_param",
}

# Old option: the types it counts for, and its name today. On other types it means nothing.
_OPTIONS = {
    "num_output": (("conv", "innerproduct"), "num_output"),
    "biasterm": (("conv", "innerproduct"), "bias_term"),
    "weight_filler": (("conv", "innerproduct"), "weight_filler"),
    "bias_filler": (("conv", "innerproduct"), "bias_filler"),
    "pad": (PADDED, "pad"),
    "kernelsize": (PADDED, "kernel_size"),
    "group": (("conv",), "group"),
    "stride": (PADDED, "stride"),
    "pool": (("pool",), "pool"),
    "dropout_ratio": (("dropout",), "dropout_ratio"),
    "local_size": (("lrn",), "local_size"),
    "alpha": (("lrn",), "alpha"),
    "beta": (("lrn",), "beta"),
    "k": (("lrn",), "k"),
    "source": (("data", "hdf5_data", "images", "window_data", "infogain_loss"), "source"),
    "batchsize": (("data", "hdf5_data", "images", "window_data"), "batch_size"),
    "rand_skip": (("data", "images"), "rand_skip"),
    "shuffle_images": (("images",), "shuffle"),
    "new_height": (("images",), "new_height"),
    "new_width": (("images",), "new_width"),
    "concat_dim": (("concat",), "concat_dim"),
    "det_fg_threshold": (("window_data",), "fg_threshold"),
    "det_bg_threshold": (("window_data",), "bg_threshold"),
    "det_fg_fraction": (("window_data",), "fg_fraction"),
    "det_context_pad": (("window_data",), "context_pad"),
    "det_crop_mode": (("window_data",), "crop_mode"),
}
_TRANSFORM = {
    "scale": "scale",
    "meanfile": "mean_file",
    "cropsize": "crop_size",
    "mirror": "mirror",
}


def overlay(new: Any, old: Any) -> None:
    """Write what a V0LayerParameter says into the current layer ``new``. Blobs are left out."""
    if old.HasField("name"):
        new.name = old.name
    if old.HasField("type"):
        new.type = TYPES.get(old.type, old.type)
    for option, (types, name) in _OPTIONS.items():
        if old.type in types and old.HasField(option):
            _set(getattr(new, _PARAM[old.type]), name, getattr(old, option))
    for option, name in _TRANSFORM.items():
        if old.HasField(option):
            setattr(new.transform_param, name, getattr(old, option))
    if old.type == "hdf5_output" and old.HasField("hdf5_output_param"):
        new.hdf5_output_param.CopyFrom(old.hdf5_output_param)
    extra.carry(old, new)


def _set(param: Any, name: str, value: Any) -> None:
    field = param.DESCRIPTOR.fields_by_name[name]
    if field.is_repeated:
        getattr(param, name).append(value)
    elif field.message_type:
        getattr(param, name).CopyFrom(value)
    else:
        setattr(param, name, value)


@dataclass
class Padding:
    """What padding layers mean to the layers after them.

    Attributes:
        gone: entries of ``net.layers`` that are padding layers.
        given: for an entry that reads padded input: the bottom before padding, and the pad.
        misplaced: padding that no option can replace: (entry of the layer that reads it, why).
    """

    gone: set[int]
    given: dict[int, tuple[str, int]]
    misplaced: list[tuple[int, str]]


def find_padding(net: Any) -> Padding:
    """Find the padding layers of a NetParameter and the convolutions and poolings they pad."""
    padding = Padding(set(), {}, [])
    made_by: dict[str, int] = {}
    for i, entry in enumerate(net.layers):
        if entry.layer.type == "padding":
            padding.gone.add(i)
        for bottom in entry.bottom:
            source = made_by.get(bottom)
            if source not in padding.gone:
                continue
            pad = net.layers[source]
            one = len(entry.bottom) == len(pad.bottom) == len(pad.top) == 1
            if entry.layer.type not in PADDED or not one:
                padding.misplaced.append((i, _why(entry, pad)))
            else:
                padding.given[i] = (pad.bottom[0], pad.layer.pad)
        made_by.update(dict.fromkeys(entry.top, i))
    return padding


def _why(entry: Any, pad: Any) -> str:
    return (
        f"layer '{entry.layer.name or entry.name}' ({entry.layer.type}): expected a conv or pool "
        f"layer of one bottom behind the padding layer '{pad.layer.name}'"
    )
