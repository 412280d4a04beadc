"""``--shape BLOB=N,C,H,W``, which commands that only look at a net share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from protonet.errors import ShapeError

if TYPE_CHECKING:
    from protonet.blob import Shape  # NumPy comes with it: too slow for --help

Declared = TypeVar("Declared", bound=Callable[..., Any])


def shape_option(command: Declared) -> Declared:
    """Declare ``--shape``; the command gets ``shapes``, a dict of blob name -> shape."""
    return click.option(
        "--shape",
        "shapes",
        multiple=True,
        metavar="BLOB=N,C,H,W",
        callback=lambda ctx, param, value: dict(_shape(text) for text in value),
        help="Shape of a data blob, instead of what its source says; may be repeated.",
    )(command)


def _shape(text: str) -> tuple[str, Shape]:
    name, equals, axes = text.partition("=")
    try:
        shape = tuple(int(n) for n in axes.split(","))
    except ValueError:
        shape = ()
    if not equals or not shape or min(shape) < 1:
        raise ShapeError(f"--shape: expected BLOB=N,C,H,W of numbers from 1, got '{text}'")
    return name, shape
