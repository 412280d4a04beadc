"""What the parser knows of each message: its fields, and what a wrong name may have meant."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from protonet.errors import did_you_mean
from protonet.schema import caffe_pb2 as pb

MESSAGE, ENUM, STRING, BYTES, FLOAT, BOOL, INT = range(7)

_KINDS = {
    FieldDescriptor.CPPTYPE_MESSAGE: MESSAGE,
    FieldDescriptor.CPPTYPE_ENUM: ENUM,
    FieldDescriptor.CPPTYPE_STRING: STRING,
    FieldDescriptor.CPPTYPE_FLOAT: FLOAT,
    FieldDescriptor.CPPTYPE_DOUBLE: FLOAT,
    FieldDescriptor.CPPTYPE_BOOL: BOOL,
}
_RANGES = {
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
INT32 = (-(2**31), 2**31 - 1)

SHORT = 8  # fields of a message that an error may list

# The two messages of a layer, and how files write them.
FORMS = {"LayerParameter": "'layer { }'", "V1LayerParameter": "'layers { }'"}
TYPES = "; 'layer { }' takes type: \"Convolution\", 'layers { }' takes type: CONVOLUTION"


@dataclass(frozen=True)
class Field:
    """One field of a message.

    Attributes:
        owner: name of the message it is a field of.
        kind: MESSAGE, ENUM, STRING, BYTES, FLOAT, BOOL or INT.
        low, high: what an INT may be.
        type_name: name of the message or enum.
        sub: the message of a MESSAGE.
        values: an ENUM's values by name.
    """

    name: str
    owner: str
    kind: int
    repeated: bool
    required: bool
    low: int
    high: int
    type_name: str
    sub: Descriptor | None
    values: dict[str, int]

    @property
    def is_layer(self) -> bool:
        """Whether its entries are layers of a net."""
        return self.type_name in FORMS


@functools.cache
def fields_of(descriptor: Descriptor) -> dict[str, Field]:
    """Return the fields of a message by name."""
    return {f.name: _field(f, descriptor.name) for f in descriptor.fields}


def _field(f: FieldDescriptor, owner: str) -> Field:
    low, high = _RANGES.get(f.cpp_type, INT32)
    kind = BYTES if f.type == FieldDescriptor.TYPE_BYTES else _KINDS.get(f.cpp_type, INT)
    values = {v.name: v.number for v in f.enum_type.values} if f.enum_type else {}
    named = f.message_type or f.enum_type
    return Field(
        name=f.name,
        owner=owner,
        kind=kind,
        repeated=f.is_repeated,
        required=f.is_required,
        low=low,
        high=high,
        type_name=named.name if named else "",
        sub=f.message_type,
        values=values,
    )


@functools.lru_cache(maxsize=1024)  # what nobody knows may stand in a file thousands of times
def field_hint(descriptor: Descriptor, name: str) -> str:
    """Return, for a field that the message does not have, what was meant, as ``"; ..."``."""
    known = fields_of(descriptor)
    if descriptor.name in FORMS:
        (other,) = set(FORMS) - {descriptor.name}
        if name in fields_of(pb.DESCRIPTOR.message_types_by_name[other]):
            return f"; it belongs to the form {FORMS[other]}, not to {FORMS[descriptor.name]}"
        inside = [f.name for f in known.values() if f.sub and name in fields_of(f.sub)]
        if inside:
            return "; it belongs inside " + " or ".join(inside[:3])
    close = did_you_mean(name, list(known))
    longer = [k for k in known if name in k]
    if not close and len(longer) == 1:
        close = f"; did you mean '{longer[0]}'?"
    if not close and len(known) <= SHORT:
        close = "; it has " + ", ".join(known)
    return close


def value_hint(field: Field, text: str) -> str:
    """Return, for a value that the enum does not have, what was meant, as ``"; ..."``."""
    bare = {name.replace("_", "").lower(): name for name in field.values}
    same = bare.get(text.replace("_", "").lower())
    if same:
        return f"; did you mean '{same}'?"
    close = did_you_mean(text, list(field.values))
    if close:
        return close
    if field.owner in FORMS and field.name == "type":
        return TYPES
    return "; known: " + ", ".join(field.values)
