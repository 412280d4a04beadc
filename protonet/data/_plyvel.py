"""LevelDB's Python binding, under whichever of its two names it is installed."""

from __future__ import annotations

import importlib
from typing import Any


def plyvel() -> Any:
    """Return the module plyvel, or from Python 3.13 on plyvel-next, which has its interface."""
    try:
        return importlib.import_module("plyvel")
    except ImportError:
        return importlib.import_module("plyvel_next")
