"""Fields that Caffe's schema does not have, kept inside the messages that they stand in.

Forks of Caffe add fields, and values of enums. What the parser does not know it keeps here:
as one entry for each such field among the message's unknown fields, where protobuf carries it
along through copies, merges and bytes. An entry remembers where it stood and why the schema does
not know it, so that :func:`refuse` can say so when the net has to run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.unknown_fields import UnknownFieldSet

from protonet.errors import PrototxtError
from protonet.schema.binary import encode_varint
from protonet.schema.tokens import Tokens

# The largest number that protobuf knows: no schema uses it.
NUMBER = 2**29 - 1
_TAG = encode_varint(NUMBER << 3 | 2)  # and that a length and so many bytes follow

DEEPEST = 100  # messages within messages that are kept

# A value as it was written: the text of a number, name or string (adjacent strings joined by
# blanks), or the fields of a message, as pairs of a name and a value.
Value = str | list[tuple[str, "Value"]]


@dataclass(frozen=True)
class Extra:
    """A field that the schema does not know.

    Attributes:
        name, value: as written.
        line, column: where, from 1.
        where: the layer that it stands in, as errors name it, or "".
        reason: why it is not known; "" for one that makes no difference to any result.
        written: whether it is part of the message's text; a value that an upgrade has turned
            into another field is not.
    """

    name: str
    value: Any
    line: int
    column: int
    where: str
    reason: str
    written: bool = True

    def place(self, path: str) -> str:
        """Return ``path:line:column: ``."""
        return f"{path or '<text>'}:{self.line}:{self.column}: "


def add(message: Any, extra: Extra) -> None:
    """Keep a field in ``message``."""
    e = extra
    payload = json.dumps([e.name, e.value, e.line, e.column, e.where, e.reason, e.written]).encode()
    message.MergeFromString(_TAG + encode_varint(len(payload)) + payload)


def extras(message: Any) -> list[Extra]:
    """Return the fields kept in ``message`` itself, in order."""
    fields: Any = UnknownFieldSet(message)
    found = [_read(f.data) for f in fields if f.field_number == NUMBER]
    return [extra for extra in found if extra is not None]


def _read(payload: Any) -> Extra | None:
    """Return what :func:`add` wrote; None for anything else, which a file may hold there too."""
    try:
        name, value, line, column, where, reason, written = json.loads(payload)
    except (ValueError, TypeError, RecursionError):
        return None
    texts = all(isinstance(text, str) and "\n" not in text for text in (name, where, reason))
    numbers = all(isinstance(number, int) for number in (line, column, written))
    if not (texts and numbers and _is_field(name, value, DEEPEST)):
        return None
    return Extra(name, value, line, column, where, reason, bool(written))


def _is_field(name: Any, value: Any, depth: int) -> bool:
    if not (isinstance(name, str) and name.isidentifier() and name.isascii()):
        return False
    if isinstance(value, str):
        return "\n" not in value and value != ""
    return (
        depth > 0
        and isinstance(value, list)
        and all(
            isinstance(pair, list) and len(pair) == 2 and _is_field(pair[0], pair[1], depth - 1)
            for pair in value
        )
    )


def carry(source: Any, target: Any) -> None:
    """Keep in ``target`` what ``source`` itself keeps."""
    for extra in extras(source):
        add(target, extra)


def walk(message: Any) -> Iterator[Extra]:
    """Yield the fields kept in a message and all messages within, blobs left out."""
    yield from extras(message)
    for field, value in message.ListFields():
        if field.message_type and field.message_type.name != "BlobProto":
            for entry in value if field.is_repeated else [value]:
                yield from walk(entry)


def refuse(message: Any, path: str, allowed: str = "") -> None:
    """Raise what the parser would have said of the first field that the schema does not know.

    Args:
        message: of a net, a layer, a solver.
        path: the file, for the error.
        allowed: the ending of names that may stand in ``message`` itself, "" for none.

    Raises:
        PrototxtError: ``path:line:column: `` and why.
    """
    own = extras(message)
    passed = [e for e in own if allowed and e.name.endswith(allowed)]
    found = [e for e in walk(message) if e.reason and e not in passed]
    if found:
        first = min(found, key=lambda e: (e.line, e.column))
        raise PrototxtError(first.place(path) + first.where + first.reason)


def notes(message: Any, path: str) -> list[str]:
    """Return one line for each kind of unknown field: where it first stands, and why."""
    kinds: dict[str, list[Extra]] = {}
    for extra in walk(message):
        kinds.setdefault(_kind(extra), []).append(extra)
    lines = []
    for kind, found in kinds.items():
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        lines.append(f"{found[0].place(path)}kept as it is: {found[0].where}{kind}{more}")
    return lines


def _kind(extra: Extra) -> str:
    if not extra.reason:
        return f"'{extra.name}: {extra.value}' has a meaning in forks only"
    if extra.name.endswith("_param"):  # the options of a type: no misspelling is to be suspected
        return extra.reason.partition(";")[0]
    return extra.reason


def write(name: str, value: Any, indent: int = 0) -> Iterator[str]:
    """Yield the lines of a field as prototxt."""
    pad = "  " * indent
    if isinstance(value, str):
        yield f"{pad}{name}: {value}"
        return
    yield f"{pad}{name} {{"
    for inner, entry in value:
        yield from write(inner, entry, indent + 1)
    yield pad + "}"


# --- reading values ------------------------------------------------------------------------------
class Fields:
    """The fields of a message that no schema describes, by attribute, as layers read them.

    Numbers come as int or float, ``true`` and ``false`` as bool, strings and names as str,
    messages as Fields. A field given several times comes as a list.
    """

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self._pairs = pairs

    @classmethod
    def of(cls, message: Any) -> Fields:
        """Return the fields kept in a message."""
        return cls([(extra.name, extra.value) for extra in extras(message)])

    def all(self, name: str) -> list[Any]:
        """Return every value given under a name, possibly none."""
        return [_plain(value) for key, value in self._pairs if key == name]

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a field, a list if it is given several times."""
        values = self.all(name)
        return default if not values else values[0] if len(values) == 1 else values

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in self:
            raise AttributeError(f"no field '{name}' is given; there are: {', '.join(self)}")
        return self.get(name)

    def __contains__(self, name: object) -> bool:
        return any(key == name for key, _ in self._pairs)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(key for key, _ in self._pairs))

    def __repr__(self) -> str:
        return "Fields(" + " ".join(" ".join(write(*pair)).strip() for pair in self._pairs) + ")"


def _plain(value: Any) -> Any:
    """Return what the text of a value stands for."""
    if not isinstance(value, str):
        return Fields(value)
    if value[0] in "\"'":
        tokens = Tokens(value)
        return b"".join(tokens.string(i) for i in range(len(tokens.kinds) - 1)).decode()
    if value in ("true", "false"):
        return value == "true"
    for kind in (lambda text: int(text, 0), int, lambda text: float(text.rstrip("fF"))):
        try:
            return kind(value)
        except ValueError:
            continue
    return value
