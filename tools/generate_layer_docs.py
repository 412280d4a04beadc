"""Write docs/layers.md, which lists every layer type, from the layers' own code.

Run from the repository's root::

    python tools/generate_layer_docs.py

What a layer computes comes from the docstrings of its module and class, the numbers of bottoms and
tops from its class, its fields and their defaults from the schema. Which parameter messages a type
reads is found in the source of its class and the classes that it is derived from.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from protonet.layer import Count, Layer
from protonet.layers import layer_types
from protonet.layers._convolution import BaseConvolution
from protonet.schema import caffe_pb2 as pb

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "layers.md"

INTRODUCTION = """# Layer types

All {count} types that protonet knows, each with what it computes, how many blobs it takes and
gives, and the fields of its parameters. Types, fields and defaults are Caffe's. Shapes are written
as (N, C, H, W): images, channels, height, width. dx and dy are the gradients of the loss by x and
y.

*In place* says whether the top may use the storage of the bottom, when both have the same name in
the file. Where it may not the file is read all the same, and the top gets storage of its own.

Written by `python tools/generate_layer_docs.py`: do not edit.
"""

# Fields that have the same meaning in every type, or none on a CPU.
SHARED = ("transform_param", "loss_param")
WITHOUT_EFFECT = {"engine": "without effect", "force_nd_im2col": "without effect"}
NOTES = WITHOUT_EFFECT | {"engine": "DEFAULT; CAFFE keeps to plain sums"}


def generate() -> str:
    """Return the page."""
    types = sorted(layer_types().items(), key=lambda item: item[0].lower())
    types = [(name, cls) for name, cls in types if cls.__module__.startswith("protonet.layers.")]
    parts = [INTRODUCTION.format(count=len(types)), contents([name for name, _ in types])]
    parts += [section(name, cls) for name, cls in types]
    parts.append("# Parameters of several types\n")
    for field in SHARED:
        message = pb.LayerParameter.DESCRIPTOR.fields_by_name[field].message_type
        parts.append(f"## {field}\n\n{table(message)}")
    for message in (pb.FillerParameter, pb.BlobShape):
        parts.append(f"## {message.DESCRIPTOR.name}\n\n{table(message.DESCRIPTOR)}")
    return "\n".join(parts)


def contents(names: list[str]) -> str:
    """Return a list of links to the sections."""
    return " ·\n".join(f"[{name}](#{name.lower()})" for name in names) + "\n"


def section(name: str, cls: type[Layer]) -> str:
    """Return what there is to say of one type."""
    text = inspect.cleandoc(sys.modules[cls.__module__].__doc__ or "")
    text = text.removeprefix(f"{name}: ")
    facts = [
        f"Bottoms: {number(cls.bottoms)}.",
        f"Tops: {'as many' if cls.equal_counts else number(cls.tops)}.",
        f"In place: {'yes' if cls.in_place else 'no'}.",
    ]
    if cls.is_loss:
        facts.append("The first top counts in the loss, with weight 1 unless loss_weight says so.")
    if cls.auto_tops:
        facts.append("The file may leave the top out.")
    if cls.not_differentiable:
        barred = " and ".join(str(i) for i in sorted(cls.not_differentiable))
        facts.append(f"No gradient flows into bottom {barred}, counted from 0.")
    if not cls.learned:
        facts.append("Solvers leave its parameter blobs alone.")
    if text[1].isalpha():  # a word, not the y of a formula
        text = text[0].upper() + text[1:]
    lines = [f"## {name}\n", f"{text}\n", f"{' '.join(facts)}\n"]
    lines.append(f"{inspect.cleandoc(cls.__doc__ or '')}\n")
    for field in parameter_fields(cls):
        if field in SHARED:
            lines.append(f"It also reads [{field}](#{field}).\n")
        else:
            message = pb.LayerParameter.DESCRIPTOR.fields_by_name[field].message_type
            if message.fields:
                notes = NOTES if issubclass(cls, BaseConvolution) else WITHOUT_EFFECT
                lines.append(f"`{field}`:\n\n{table(message, notes)}")
    return "\n".join(lines)


def number(count: Count) -> str:
    """Return a number of blobs in words."""
    if isinstance(count, int):
        return str(count)
    least, most = count
    if most is None:
        return f"{least} or more" if least else "any number"
    return f"{least} or {most}" if most == least + 1 else f"{least} to {most}"


def parameter_fields(cls: type[Layer]) -> list[str]:
    """Return the names of the parameter messages that a type's code reads."""
    modules = {c.__module__ for c in cls.__mro__ if c.__module__.startswith("protonet.layers.")}
    source = "\n".join(inspect.getsource(sys.modules[name]) for name in sorted(modules))
    known = pb.LayerParameter.DESCRIPTOR.fields_by_name
    found = re.findall(r"\b(?:param|p)\.(\w+_param)\b", source)
    return sorted(set(found) & set(known.keys()), key=lambda name: (name in SHARED, name))


def table(message: Descriptor, notes: dict[str, str] = WITHOUT_EFFECT) -> str:
    """Return the fields of a message as a table."""
    rows = ["| field | type | default |", "| --- | --- | --- |"]
    for field in sorted(message.fields, key=lambda f: f.number):
        note = notes.get(field.name, default(field))
        rows.append(f"| {field.name} | {kind(field)} | {note} |")
    return "\n".join(rows) + "\n"


def kind(field: FieldDescriptor) -> str:
    """Return the type of a field, as a file gives it."""
    if field.enum_type is not None:
        text = " \\| ".join(value.name for value in field.enum_type.values)
    elif field.message_type is not None:
        name = field.message_type.name
        text = f"[{name}](#{name.lower()})"
    else:
        names = {
            FieldDescriptor.CPPTYPE_BOOL: "bool",
            FieldDescriptor.CPPTYPE_FLOAT: "float",
            FieldDescriptor.CPPTYPE_DOUBLE: "float",
            FieldDescriptor.CPPTYPE_STRING: "string",
            FieldDescriptor.CPPTYPE_UINT32: "int, not negative",
            FieldDescriptor.CPPTYPE_UINT64: "int, not negative",
        }
        text = names.get(field.cpp_type, "int")
    return f"{text}, any number of times" if field.is_repeated else text


def default(field: FieldDescriptor) -> str:
    """Return the default of a field as text, empty where the schema has none."""
    if field.is_required:
        return "required"
    if not field.has_default_value:
        return ""
    value: Any = field.default_value
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    return f'"{value}"' if isinstance(value, str) else str(value)


if __name__ == "__main__":
    TARGET.write_text(generate(), encoding="utf-8")
    print(f"wrote {TARGET}")
