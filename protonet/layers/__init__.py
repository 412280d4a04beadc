"""One layer type a file. Modules are discovered: a new file is a new layer, nothing to list."""

from __future__ import annotations

import importlib
import pkgutil

from protonet.layer import REGISTRY, Layer

_discovered = False


def layer_types() -> dict[str, type[Layer]]:
    """Return all known layer classes by Caffe's type name. Numba is not imported by this."""
    global _discovered
    if not _discovered:
        for module in pkgutil.iter_modules(__path__):
            importlib.import_module(f"{__name__}.{module.name}")
        importlib.import_module("protonet.forks.layers")
        _discovered = True
    return REGISTRY
