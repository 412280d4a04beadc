"""Messages as prototxt for readers: whatever fits in a line stands on one line."""

from __future__ import annotations

import re
from typing import Any

from google.protobuf import text_format

WIDTH = 88  # characters of a line
_WHOLE = re.compile(r"(?<=\d)\.0(?=[ }]|$)")  # 1.0, which Caffe's users write 1


def render(message: Any, comment: str) -> str:
    """Return a message as prototxt, ``comment`` above it line by line."""
    head = [f"# {line}".rstrip() for line in comment.strip().splitlines()]
    return "\n".join([*head, *_fields(message, "")]) + "\n"


def _fields(message: Any, indent: str) -> list[str]:
    lines: list[str] = []
    for field, value in message.ListFields():
        for entry in value if field.is_repeated else [value]:
            part = type(message)()
            if field.is_repeated:
                target = getattr(part, field.name)
                target.add().CopyFrom(entry) if field.message_type else target.append(entry)
            elif field.message_type:
                getattr(part, field.name).CopyFrom(entry)
            else:
                setattr(part, field.name, entry)
            line = indent + _WHOLE.sub("", text_format.MessageToString(part, as_one_line=True))
            line = line.rstrip()
            if field.message_type and len(line) > WIDTH:
                lines += [f"{indent}{field.name} {{", *_fields(entry, indent + "  "), f"{indent}}}"]
            else:
                lines.append(line)
    return lines
