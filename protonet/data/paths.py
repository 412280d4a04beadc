"""Where the files are that a net file names.

A relative name is looked up from the current folder, as Caffe does, and failing that from the
folder of the net file, so that a net and its data can be used from anywhere.
"""

from __future__ import annotations

import os
import re

from protonet.errors import DataError

_WHERE = re.compile(r"(.+):\d+(?::\d+)?: ")


def candidates(name: str, where: str = "") -> list[str]:
    """Return the absolute paths that ``name`` may stand for, the likeliest first.

    Args:
        name: as in the net file.
        where: ``file:line: `` of the layer that names it, or ``""``.
    """
    paths = [os.path.abspath(name)]
    net_file = _WHERE.fullmatch(where)
    if net_file:
        beside = os.path.abspath(os.path.join(os.path.dirname(net_file[1]), name))
        if beside not in paths:
            paths.append(beside)
    return paths


def find(name: str, where: str = "") -> str | None:
    """Return the path of an existing file or folder, as short as the net file has it, or None."""
    if os.path.exists(name):
        return name
    return next((path for path in candidates(name, where) if os.path.exists(path)), None)


def existing(name: str, what: str, where: str = "", note: str = "") -> str:
    """Return the path of a file or folder that must exist.

    Args:
        what: names it in the message: "source", "mean_file".
        note: what else was looked for.

    Raises:
        DataError: it is not there, or ``name`` is empty.
    """
    if not name:
        raise DataError(f"{what} is not given")
    path = find(name, where)
    if path is None:
        looked = "; ".join(candidates(name, where))
        raise DataError(f"{what} '{name}' does not exist (looked in: {looked}{note})")
    return path
