"""Several reporters that are told the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from protonet.watch.reporter import Reporter


class Several(Reporter):
    """Passes every event on to each of its reporters, in order."""

    def __init__(self, *reporters: Reporter) -> None:
        self._reporters = reporters

    def reads_only_outputs(self) -> bool:
        return all(reporter.reads_only_outputs() for reporter in self._reporters)


def _to_each(name: str) -> Callable[..., None]:
    def tell(self: Several, *arguments: Any) -> None:
        for reporter in self._reporters:
            getattr(reporter, name)(*arguments)

    return tell


# taken from the base itself, so that an event added there cannot be forgotten here
for _name in [name for name in vars(Reporter) if not name.startswith("_")]:
    if _name not in vars(Several):
        setattr(Several, _name, _to_each(_name))
