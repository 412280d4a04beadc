"""Where the files are that a net file names.

A relative name is looked up from the current folder, as Caffe does, and failing that from the
folder of the net file (and for what a list names, from the folder of the list), so that a net
and its data can be used from anywhere.
"""

from __future__ import annotations

import os
import re

from protonet.errors import DataError

_WHERE = re.compile(r"(.+):\d+(?::\d+)?: ")


def candidates(name: str, where: str = "", named_in: str = "") -> list[str]:
    """Return the absolute paths that ``name`` may stand for, the likeliest first.

    Args:
        name: as in the net file.
        where: ``file:line: `` of the layer that names it, or ``""``.
        named_in: the list file that names it, if one does.
    """
    net_file = _WHERE.fullmatch(where)
    beside = [net_file[1]] if net_file else []
    if named_in:
        beside.append(named_in)
    paths = [os.path.abspath(name)]
    paths += [os.path.abspath(os.path.join(os.path.dirname(file), name)) for file in beside]
    return list(dict.fromkeys(paths))


def find(name: str, where: str = "", named_in: str = "") -> str | None:
    """Return the path of an existing file or folder, as short as the net file has it, or None."""
    if os.path.exists(name):
        return name
    return next((p for p in candidates(name, where, named_in) if os.path.exists(p)), None)


def existing(
    name: str, what: str, where: str = "", note: str = "", named_in: str = "", detail: str = ""
) -> str:
    """Return the path of a file or folder that must exist.

    Args:
        what: names it in the message: "source", "mean_file".
        note: what else was looked for.
        detail: follows the name in the message: which line of a list it is from.

    Raises:
        DataError: it is not there, or ``name`` is empty.
    """
    if not name:
        raise DataError(f"{what} is not given")
    path = find(name, where, named_in)
    if path is None:
        looked = "; ".join(candidates(name, where, named_in))
        raise DataError(f"{what} '{name}'{detail} does not exist (looked in: {looked}{note})")
    return path
