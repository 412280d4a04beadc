"""Protobuf's text format as a row of tokens that know their line and column.

The characters follow the format's specification: ``#`` comments, names, numbers (decimal, hex,
octal, floats with an optional ``f``), strings in either quotes with C escapes, and single marks.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NoReturn

from protonet.errors import PrototxtError

NAME, NUMBER, STRING, MARK, END = "name", "number", "string", "mark", "end"

_TOKEN = re.compile(
    r"""
      (?P<blank>[ \t\n\f\v]+|\#[^\n]*)
    | (?P<name>[A-Za-z_]\w*)
    | (?P<mark>[{}<>\[\]:,;-])
    | (?P<number>(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fF]?)(?![\w.]))
    | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    | (?P<quote>["'])
    | (?P<half>\.?\d[\w.]*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.ASCII,
)

_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\'\"?])|([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})"
    r"|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))"
)
_SIMPLE = {
    "a": b"\a",
    "b": b"\b",
    "f": b"\f",
    "n": b"\n",
    "r": b"\r",
    "t": b"\t",
    "v": b"\v",
    "\\": b"\\",
    "'": b"'",
    '"': b'"',
    "?": b"?",
}

# Marks that open a group, and what closes it.
CLOSES = {"{": "}", "<": ">", "[": "]"}
SHOWN = 40  # characters of a token that an error message repeats


class Tokens:
    """The tokens of one text, and the errors that point into it.

    Attributes:
        kinds: NAME, NUMBER, STRING, MARK for each token; END last.
        texts: the characters of each, strings with their quotes; "" last.
        starts: offset of each in ``text``.
        path: the file, "" for text in memory.

    Raises:
        PrototxtError: characters that form no token, a string without its closing quote.
    """

    def __init__(self, text: str, path: str = "") -> None:
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        self.text = text.removeprefix("\ufeff")
        self.path = path
        self.kinds: list[str] = []
        self.texts: list[str] = []
        self.starts: list[int] = []
        self._newlines: list[int] = [m.start() for m in re.finditer("\n", self.text)]
        for match in _TOKEN.finditer(self.text):
            kind = match.lastgroup or ""
            if kind == "blank":
                continue
            self.kinds.append(kind)
            self.texts.append(match.group())
            self.starts.append(match.start())
            if kind in ("quote", "half", "other"):
                self._refuse(kind)
        self.kinds.append(END)
        self.texts.append("")
        self.starts.append(max(len(self.text.rstrip()), 0))

    def _refuse(self, kind: str) -> NoReturn:
        last = len(self.texts) - 1
        if kind == "quote":
            self.fail(last, f"the string has no closing {self.texts[last]} on its line")
        if kind == "half":
            self.fail(last, f"{self.shown(last)} is neither a number nor a name")
        self.fail(last, f"unexpected character {self.texts[last]!a}")

    def line(self, index: int) -> int:
        """Return the line of a token, counted from 1."""
        return bisect_right(self._newlines, self.starts[index] - 1) + 1

    def line_and_column(self, index: int) -> tuple[int, int]:
        """Return the line and column of a token, both counted from 1."""
        line = self.line(index)
        before = self._newlines[line - 2] + 1 if line > 1 else 0
        return line, self.starts[index] - before + 1

    def place(self, index: int) -> str:
        """Return ``path:line:column: `` of a token."""
        line, column = self.line_and_column(index)
        return f"{self.path or '<text>'}:{line}:{column}: "

    def fail(self, index: int, message: str) -> NoReturn:
        """Raise PrototxtError with the place of a token before ``message``."""
        raise PrototxtError(self.place(index) + message)

    def shown(self, index: int) -> str:
        """Return a token as an error message shows it."""
        kind, text = self.kinds[index], self.texts[index]
        if kind == END:
            return "the end of the file"
        if len(text) > SHOWN:
            text = text[:SHOWN] + "..."
        text = text.encode("utf-8", "replace").decode()
        return text if kind == STRING else f"'{text}'"

    def string(self, index: int) -> bytes:
        """Return what the string token ``index`` stands for, escapes resolved.

        Raises:
            PrototxtError: an unknown escape, or one that stands for no character.
        """
        inner = self.texts[index][1:-1]
        if "\\" not in inner:
            return inner.encode("utf-8", "surrogateescape")

        def resolve(match: re.Match[str]) -> str:
            simple, octal, hexa, short, long, unknown = match.groups()
            if simple:
                return _SIMPLE[simple].decode("latin-1")
            if unknown:
                self.fail(index, f"unknown escape \\{unknown} in {self.shown(index)}")
            if octal or hexa:
                code = int(octal, 8) if octal else int(hexa, 16)
                if code > 255:
                    self.fail(index, f"\\{octal} in {self.shown(index)} is more than one byte")
                return chr(code)
            code = int(short or long, 16)
            if code > 0x10FFFF or 0xD800 <= code < 0xE000:
                self.fail(index, f"{match.group()} in {self.shown(index)} is no character")
            return chr(code).encode().decode("latin-1")

        # One byte a character from here on, so that escapes of bytes mix with plain text.
        as_bytes = inner.encode("utf-8", "surrogateescape").decode("latin-1")
        return _ESCAPE.sub(resolve, as_bytes).encode("latin-1")

    def top_level(self) -> list[int]:
        """Return the tokens that name a field outside of all braces, in order."""
        names, depth = [], 0
        for i, (kind, text) in enumerate(zip(self.kinds, self.texts, strict=True)):
            if kind == MARK:
                depth += (text in CLOSES) - (text in "}>]")
            elif kind == NAME and depth == 0 and (i == 0 or self.texts[i - 1] not in (":", "-")):
                names.append(i)
        return names
