"""Parse protobuf's text format into messages, with errors that a user can act on.

A recursive-descent parser over :mod:`protonet.schema.tokens`. It accepts what Caffe's reader
accepts, and beyond that keeps the line of every field, names the layer in which an error sits,
and suggests what a misspelt name may have meant. What the schema does not know is refused, or
kept (see :mod:`protonet.schema.extra`). How deep it can descend is bounded by the schema, whose
messages do not contain themselves, and by a limit within what is kept.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from protonet.schema import caffe_pb2 as pb
from protonet.schema import extra, fields, spellings
from protonet.schema.fields import Field, field_hint, fields_of, value_hint
from protonet.schema.tokens import CLOSES, END, MARK, NAME, NUMBER, STRING, Tokens

_BOOLS = {
    **dict.fromkeys(("true", "True", "t", "1"), True),
    **dict.fromkeys(("false", "False", "f", "0"), False),
}
_NOT_FINITE = {"inf": math.inf, "infinity": math.inf, "nan": math.nan}
_INTEGER = re.compile(r"0[xX]\w+|0[0-7]*|[1-9]\d*", re.ASCII)
_LONGEST = 50  # characters of an integer
_NOT_DECIMAL = re.compile(r"0[xX]|0\d+$", re.ASCII)


@dataclass
class Positions:
    """Where the fields of one message stand.

    Attributes:
        lines: for each field given, the line of each of its entries, from 1.
        inner: for each message field, the positions within each of its entries.
    """

    lines: dict[str, list[int]] = field(default_factory=dict)
    inner: dict[str, list[Positions]] = field(default_factory=dict)


def parse(tokens: Tokens, message: Any, keep: bool = False) -> Positions:
    """Fill ``message``, which is empty, from ``tokens``.

    Args:
        keep: whether fields and enum values that the schema does not know are kept.

    Raises:
        PrototxtError: ``path:line:column: `` and what was expected there and what was found.
    """
    return _Parser(tokens, keep).message(message, "", -1)


class _Parser:
    """A cursor ``i`` into the tokens, and the layer that it is in."""

    def __init__(self, tokens: Tokens, keep: bool) -> None:
        self.tokens = tokens
        self.keep = keep
        self.kinds = tokens.kinds
        self.texts = tokens.texts
        self.i = 0
        self.layer: Any = None

    # --- errors ------------------------------------------------------------------------------
    def fail(self, index: int, message: str) -> NoReturn:
        self.tokens.fail(index, self.where() + message)

    def where(self) -> str:
        """Return ``layer 'name' (Type): `` as far as it has been read, or ``""``."""
        layer = self.layer
        if layer is None:
            return ""
        kind = ""
        if isinstance(layer, pb.V1LayerParameter):
            if layer.HasField("type"):
                kind = layer.LayerType.Name(layer.type)
            if layer.HasField("layer"):
                layer = layer.layer
        if isinstance(layer.type, str):
            kind = layer.type
        if not layer.name and not kind:
            return ""
        return f"layer '{layer.name}'{f' ({kind})' if kind else ''}: "

    # --- messages ----------------------------------------------------------------------------
    def message(self, message: Any, close: str, opened: int) -> Positions:
        """Read fields up to the mark ``close``, or the end of the file for ``""``.

        Args:
            message: filled.
            opened: the token of the field's name, for errors; -1 for the whole file.
        """
        known = fields_of(message.DESCRIPTOR)
        positions = Positions()
        kinds, texts = self.kinds, self.texts
        while True:
            at = self.i
            if kinds[at] != NAME:
                if texts[at] == close and kinds[at] in (MARK, END):
                    break
                self.no_field_name(close, opened)
            name = texts[at]
            field = known.get(name)
            if field is None:
                hint = field_hint(message.DESCRIPTOR, name)
                why = f"message {message.DESCRIPTOR.name} has no field '{name}'{hint}"
                self.unknown(message, at, why)
                self.end_of_field()
                continue
            lines = positions.lines.setdefault(name, [])
            if lines and not field.repeated:
                self.given_twice(field, lines[0], at)
            self.i += 1
            if field.kind == fields.MESSAGE:
                self.entries(message, field, at, positions)
            else:
                self.values(message, field, at, lines)
            self.end_of_field()
        self.check_required(message, known, max(opened, 0))
        self.i += 1
        return positions

    def end_of_field(self) -> None:
        """Pass over the comma or semicolon that may stand behind a field."""
        if self.kinds[self.i] == MARK and self.texts[self.i] in ",;":
            self.i += 1

    def entries(self, message: Any, field: Field, at: int, positions: Positions) -> None:
        """Read the value of a message field: ``{...}``, ``<...>``, or a list of them."""
        name = field.name
        texts = self.texts
        self.i += texts[self.i] == ":"
        lines = positions.lines[name]
        inner = positions.inner.setdefault(name, [])

        def one(start: int) -> None:
            opening = texts[self.i]
            if opening not in ("{", "<"):
                self.expected(f"'{{' after '{name}'")
            self.i += 1
            lines.append(self.tokens.line(start))
            value = getattr(message, name)
            if field.repeated:
                value = value.add()
            else:
                value.SetInParent()
            outside = self.layer
            if field.is_layer:
                self.layer = value
            inner.append(self.message(value, CLOSES[opening], at))
            self.layer = outside

        if texts[self.i] == "[" and field.repeated:
            self.list_of(lambda: one(self.i))
        else:
            one(at)

    def values(self, message: Any, field: Field, at: int, lines: list[int]) -> None:
        """Read ``: value`` or ``: [value, ...]`` of a field that is no message."""
        if self.texts[self.i] != ":":
            self.expected(f"':' after '{field.name}'")
        self.i += 1

        def one() -> None:
            lines.append(self.tokens.line(self.i if field.repeated else at))
            if field.kind == fields.ENUM and self.keep:
                start = self.i
                value, why = self.enum_or_why(field)
                if why:
                    harmless = field.name in spellings.HARMLESS
                    text = "".join(self.texts[start : self.i])
                    self.add_extra(message, start, field.name, text, "" if harmless else why)
                    return
            else:
                value = self.value(field)
            if field.repeated:
                target.append(value)
            else:
                setattr(message, field.name, value)

        if not field.repeated:
            one()
            return
        target = getattr(message, field.name)

        if self.texts[self.i] == "[":
            self.list_of(one)
        else:
            one()

    def list_of(self, one: Callable[[], None]) -> None:
        """Read ``[entry, entry, ...]``, possibly empty, each entry with ``one``."""
        self.i += 1
        if self.texts[self.i] == "]":
            self.i += 1
            return
        one()
        while self.texts[self.i] == ",":
            self.i += 1
            one()
        if self.texts[self.i] != "]":
            self.expected("',' or ']' in the list")
        self.i += 1

    # --- values ------------------------------------------------------------------------------
    def value(self, field: Field) -> Any:
        """Read one value of the type of ``field``."""
        kind = field.kind
        if kind == fields.INT:
            return self.integer(f"an integer for '{field.name}'", field.low, field.high)
        if kind == fields.FLOAT:
            return self.number(field)
        if kind == fields.ENUM:
            return self.enum(field)
        if kind == fields.BOOL:
            value = _BOOLS.get(self.texts[self.i])
            if value is None:
                self.expected(f"true or false for '{field.name}'")
            self.i += 1
            return value
        return self.string(field)

    def string(self, field: Field) -> str | bytes:
        """Read adjacent strings as one."""
        start = self.i
        if self.kinds[start] != STRING:
            hint = fields.TYPES if field.owner in fields.FORMS and field.name == "type" else ""
            self.expected(f"a string in quotes for '{field.name}'", hint)
        value = b""
        while self.kinds[self.i] == STRING:
            value += self.tokens.string(self.i)
            self.i += 1
        if field.kind == fields.BYTES:
            return value
        try:
            return value.decode()
        except UnicodeDecodeError:
            self.fail(start, f"the string for '{field.name}' is not UTF-8")

    def sign(self) -> int:
        """Read a minus where there is one; return -1 for it, else 1."""
        minus = self.texts[self.i] == "-"
        self.i += minus
        return -1 if minus else 1

    def integer(self, what: str, low: int, high: int) -> int:
        start = self.i
        sign = self.sign()
        text = self.texts[self.i]
        if self.kinds[self.i] != NUMBER or not _INTEGER.fullmatch(text):
            self.expected(what)
        base = 16 if text[:2] in ("0x", "0X") else 8 if text[0] == "0" else 10
        # Python refuses to read thousands of digits, and no type holds even fifty.
        value = sign * int(text[:_LONGEST], base)
        if not low <= value <= high or len(text) > _LONGEST:
            shown = "-" * (sign < 0) + text[:_LONGEST]
            self.fail(start, f"expected {what} from {low} to {high}, found '{shown}'")
        self.i += 1
        return value

    def number(self, field: Field) -> float:
        sign = self.sign()
        kind, text = self.kinds[self.i], self.texts[self.i]
        if kind == NAME and text.lower() in _NOT_FINITE:
            value = _NOT_FINITE[text.lower()]
        elif kind == NUMBER and not _NOT_DECIMAL.match(text):
            value = float(text.rstrip("fF"))
        else:
            self.expected(f"a decimal number for '{field.name}'")
        self.i += 1
        return sign * value

    def enum(self, field: Field) -> int:
        """Read an enum's value, by name or number."""
        at = self.i
        number, why = self.enum_or_why(field)
        if why:
            self.fail(at, why)
        return number

    def enum_or_why(self, field: Field) -> tuple[int, str]:
        """Read an enum's value; return its number, or why there is no such value."""
        at = self.i
        kind, text = self.kinds[at], self.texts[at]
        what = f"a value of {field.type_name} for '{field.name}'"
        if kind == STRING:
            hint = value_hint(field, text[1:-1])
            self.expected(f"a value of {field.type_name} without quotes for '{field.name}'", hint)
        if kind == NAME:
            self.i += 1
            if text in field.values:
                return field.values[text], ""
            hint = value_hint(field, text)
            return 0, f"expected {what}, found {self.tokens.shown(at)}{hint}"
        number = self.integer(what, *fields.INT32)
        if number in field.values.values():
            return number, ""
        return 0, f"expected {what}, found {number}{value_hint(field, str(number))}"

    # --- what the schema does not know -------------------------------------------------------
    def unknown(self, message: Any, at: int, why: str) -> None:
        """Keep the field at token ``at``, name and value, or refuse it."""
        if not self.keep:
            self.fail(at, why)
        name = self.texts[at]
        self.i += 1
        for value in self.any_values(0):
            if not spellings.respell(message, name, value):
                self.add_extra(message, at, name, value, why)

    def add_extra(self, message: Any, at: int, name: str, value: Any, why: str) -> None:
        line, column = self.tokens.line_and_column(at)
        extra.add(message, extra.Extra(name, value, line, column, self.where(), why))

    def any_values(self, depth: int) -> list[Any]:
        """Read what may stand behind a field's name: a value, a message, or a list of either."""
        colon = self.texts[self.i] == ":" and self.kinds[self.i] == MARK
        self.i += colon
        if self.texts[self.i] != "[":
            return [self.any_value(depth, colon)]
        found: list[Any] = []
        self.list_of(lambda: found.append(self.any_value(depth, True)))
        return found

    def any_value(self, depth: int, scalar: bool) -> Any:
        """Read a value or message of any type.

        Args:
            depth: how many unknown messages it stands in.
            scalar: whether it may be a value.
        """
        start = self.i
        kind, opening = self.kinds[start], self.texts[start]
        if kind == MARK and opening in ("{", "<"):
            return self.any_message(CLOSES[opening], depth)
        if not scalar:
            self.expected(f"':' or '{{' after '{self.texts[start - 1]}'")
        if kind == STRING:
            while self.kinds[self.i] == STRING:
                self.tokens.string(self.i)  # refuses escapes that are none
                self.i += 1
            return " ".join(self.texts[start : self.i])
        self.sign()
        if self.kinds[self.i] not in (NAME, NUMBER):
            self.expected("a value")
        self.i += 1
        return "".join(self.texts[start : self.i])

    def any_message(self, close: str, depth: int) -> list[Any]:
        """Read the fields of a message of any type."""
        opened = self.i
        if depth >= extra.DEEPEST:
            self.fail(opened, f"messages are nested more than {extra.DEEPEST} deep")
        self.i += 1
        pairs = []
        while not (self.kinds[self.i] == MARK and self.texts[self.i] == close):
            if self.kinds[self.i] != NAME:
                self.no_field_name(close, opened - (self.kinds[opened - 1] == NAME))
            name = self.texts[self.i]
            self.i += 1
            pairs += [(name, value) for value in self.any_values(depth + 1)]
            self.end_of_field()
        self.i += 1
        return pairs

    # --- refusals ----------------------------------------------------------------------------
    def expected(self, what: str, hint: str = "") -> NoReturn:
        self.fail(self.i, f"expected {what}, found {self.tokens.shown(self.i)}{hint}")

    def no_field_name(self, close: str, opened: int) -> NoReturn:
        if not close:
            self.expected("a field's name")
        line, name = self.tokens.line(opened), self.texts[opened]
        self.expected(f"a field's name, or '{close}' to close the '{name}' of line {line}")

    def given_twice(self, field: Field, first: int, at: int) -> NoReturn:
        again = self.tokens.line(at)
        lines = f"in line {first}" if again == first else f"in lines {first} and {again}"
        self.fail(at, f"field '{field.name}' of {field.owner} is given twice, {lines}")

    def check_required(self, message: Any, known: dict[str, Field], opened: int) -> None:
        missing = [f.name for f in known.values() if f.required and not message.HasField(f.name)]
        if missing:
            names = " and ".join(f"'{name}'" for name in missing)
            self.fail(opened, f"message {message.DESCRIPTOR.name} needs its field {names}")
