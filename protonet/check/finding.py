"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARNING, ERROR = "ok", "warning", "error"


@dataclass(frozen=True)
class Finding:
    """One line of a check.

    Attributes:
        level: OK, WARNING (it runs, and may not do what was meant) or ERROR.
        message: begins with the place, as errors do.
    """

    level: str
    message: str
