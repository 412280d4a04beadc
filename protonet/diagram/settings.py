"""What a layer is set to, in a few words: ``5×5 stride 2``, ``20 outputs``, ``MAX``, ``axis 1``."""

from __future__ import annotations

from typing import Any

# where the name of the message does not follow from the type's
_MESSAGES = {
    "Deconvolution": "convolution_param",
    "Im2col": "convolution_param",
    "LSTM": "recurrent_param",
    "RNN": "recurrent_param",
    "HDF5Data": "hdf5_data_param",
    "HDF5Output": "hdf5_output_param",
}
_SHARED_MESSAGES = {"transform_param", "loss_param"}
# told by other words, or of no interest in a picture
_HIDDEN = {
    "kernel_size", "kernel_h", "kernel_w", "stride", "stride_h", "stride_w", "pad", "pad_h",
    "pad_w", "dilation", "num_output", "bias_term", "engine", "backend", "group", "source",
    "batch_size", "shape", "dim", "module", "layer", "param_str", "rand_skip", "prefetch",
    "global_pooling", "num", "channels", "height", "width", "mean_file", "expose_hidden",
    "moving_average_fraction", "force_nd_im2col",
}  # fmt: skip
_WORDS = {"dropout_ratio": "ratio", "local_size": "size", "negative_slope": "slope", "top_k": "top"}
# shown even where the file leaves them at their default
_ALWAYS = {"Pooling": "pool", "Eltwise": "operation", "Dropout": "dropout_ratio"}


def settings(param: Any) -> tuple[str, ...]:
    """Return the settings of a LayerParameter message that tell layers of its type apart."""
    words: list[str] = []
    own = _own_message(param)
    if own is not None:
        words += _geometry(own)
        words = _named(param, own, words)
    if param.HasField("transform_param"):
        transform = param.transform_param
        words += [f"crop {transform.crop_size}"] if transform.crop_size else []
        words += ["mirror"] if transform.mirror else []
    if param.HasField("loss_param") and param.loss_param.HasField("ignore_label"):
        words.append(f"ignore {param.loss_param.ignore_label}")
    return tuple(words)


def _own_message(param: Any) -> Any:
    """Return the message of the layer's type, at its defaults where unset; None for none."""
    name = _MESSAGES.get(param.type)
    wanted = param.type.lower() + "param"
    for field in param.DESCRIPTOR.fields:
        if field.name.replace("_", "") == wanted:
            name = field.name
    if name is None:  # types of forks are variants of Caffe's, set by the same messages
        given = [field.name for field, _ in param.ListFields() if field.message_type is not None]
        own = [n for n in given if n.endswith("_param") and n not in _SHARED_MESSAGES]
        name = own[0] if own else None
    return None if name is None else getattr(param, name)


def _has(message: Any, name: str) -> bool:
    return name in message.DESCRIPTOR.fields_by_name


def _extent(message: Any, name: str) -> list[int]:
    """Return kernel, stride, pad or dilation along each axis, [] where none is given."""
    base = "kernel_size" if name == "kernel" else name
    value = getattr(message, base) if _has(message, base) else []
    if isinstance(value, int):  # a single number, as Pooling has it
        value = [value] if message.HasField(base) else []
    if not value and _has(message, f"{name}_h"):
        h, w = f"{name}_h", f"{name}_w"
        if message.HasField(h) or message.HasField(w):
            return [getattr(message, h), getattr(message, w)]
    return [int(n) for n in value]


def _by(values: list[int], always: bool) -> str:
    """Return ``3×3`` for a kernel, ``2`` for a stride alike along both axes."""
    if always and len(values) == 1:
        values = values * 2
    if not always and len(set(values)) == 1:
        return str(values[0])
    return "×".join(map(str, values))


def _geometry(own: Any) -> list[str]:
    words = []
    if _has(own, "kernel_size"):
        kernel = _extent(own, "kernel")
        words += [_by(kernel, True)] if kernel else []
        for name, usual in (("stride", 1), ("pad", 0), ("dilation", 1)):
            values = _extent(own, name)
            if values and set(values) != {usual}:
                words.append(f"{name} {_by(values, False)}")
        if _has(own, "group") and own.group > 1:
            words.append(f"{own.group} groups")
        if _has(own, "global_pooling") and own.global_pooling:
            words.append("global")
    if _has(own, "num_output") and own.num_output:
        words.append(f"{own.num_output} outputs")
    if _has(own, "bias_term") and own.HasField("bias_term") and not own.bias_term:
        words.append("no bias")
    return words


def _named(param: Any, own: Any, words: list[str]) -> list[str]:
    """Return ``words`` with the settings that are told by their names or by their values alone."""
    if param.type == "Python":
        return [f"{own.module}.{own.layer}"]
    first = _ALWAYS.get(param.type, "")
    if _has(own, "source"):
        words += [own.source.rstrip("/").rpartition("/")[2]] if own.source else []
    if _has(own, "batch_size") and own.batch_size:
        words.append(f"batch {own.batch_size}")
    if param.type == "Reshape":
        words.append("×".join(str(n) for n in own.shape.dim))
    fields = [field for field, value in own.ListFields() if value != field.default_value]
    if first and all(field.name != first for field in fields):
        fields.append(own.DESCRIPTOR.fields_by_name[first])
    for field in fields:
        if field.name in _HIDDEN or field.message_type is not None:
            continue
        text = _value(field, getattr(own, field.name))
        if field.name == first and field.enum_type is not None:
            words.insert(0, text)
        else:
            words.append(f"{_WORDS.get(field.name, field.name)} {text}")
    return words


def _value(field: Any, value: Any) -> str:
    if field.enum_type is not None:
        return str(field.enum_type.values_by_number[value].name)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int | str):
        return str(value)
    return ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in value)
