"""The ``@kernel`` decorator: compiled by Numba when first called, cached on disk, GIL released.

Why not ``numba.njit`` itself:

- Importing Numba takes longer than most commands do; layers are imported by all of them. Nothing
  here imports it before a kernel is called.
- Only kernels that a net uses are compiled.
- Numba's cache notices a change in the file of a function, not in a helper that was inlined into
  it. Ours lives in a folder named after all kernel sources together, so nothing is ever stale.
"""

from __future__ import annotations

import functools
import hashlib
import os
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

# No sum is ever re-ordered across threads; within a loop LLVM may contract a*b+c and vectorise
# sums. NaN and infinity keep their meaning (no "nnan", "ninf").
_FASTMATH = {"contract", "reassoc", "nsz"}

# Where kernels live: their sources together name the cache folder.
_ROOMS = ("data", "kernels", "layers", "solvers")

_lock = threading.RLock()


class Kernel:
    """A function compiled for one signature at its first call. See :func:`kernel`."""

    def __init__(self, function: Callable[..., Any], signature: str, inline: bool) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._signature = signature
        self._inline = inline
        self._compiled: Callable[..., Any] | None = None

    def __call__(self, *args: Any) -> Any:
        compiled = self._compiled
        if compiled is None:
            compiled = self.compile()
        return compiled(*args)

    def compile(self) -> Callable[..., Any]:
        """Compile now, or load from the cache, and return the compiled function."""
        with _lock:
            if self._compiled is None:
                self._compiled = self._build()
            return self._compiled

    def _build(self) -> Callable[..., Any]:
        import numba

        # Numba must see compiled functions where the source names other kernels.
        used = self._function.__code__.co_names
        scope = {
            name: value.compile() if isinstance(value, Kernel) else value
            for name, value in self._function.__globals__.items()
            if name in used or name.startswith("__")
        }
        function = types.FunctionType(self._function.__code__, scope, self._function.__name__)
        function.__qualname__ = self._function.__qualname__
        function.__module__ = self._function.__module__
        options: dict[str, Any] = {
            "nogil": True,
            "boundscheck": False,
            "error_model": "numpy",
            "fastmath": _FASTMATH,
        }
        if self._inline:
            return numba.njit(**options)(function)
        config: Any = numba.config
        before = config.CACHE_DIR
        config.CACHE_DIR = str(cache_folder())
        try:
            dispatcher = numba.njit(cache=True, **options)(function)
        finally:
            config.CACHE_DIR = before
        dispatcher.compile(self._signature)
        dispatcher.disable_compile()
        return dispatcher


def kernel(signature: str) -> Callable[[Callable[..., Any]], Kernel]:
    """Decorate a plain-loop function as a kernel.

    Args:
        signature: Numba's text for the types, arrays C-contiguous:
            ``"void(float32[::1], float32[::1], int64, int64)"``. ``"inline"`` makes a helper that
            is called by other kernels only and takes their types.
    """

    def decorate(function: Callable[..., Any]) -> Kernel:
        return Kernel(function, signature, inline=signature == "inline")

    return decorate


@functools.cache
def cache_folder() -> Path:
    """Return the folder of compiled kernels for these very sources.

    ``NUMBA_CACHE_DIR`` moves it; otherwise it lies in the user's cache folder, so that a
    read-only installation works as well.
    """
    package = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted(p for room in _ROOMS for p in package.glob(f"{room}/*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    base = os.environ.get("NUMBA_CACHE_DIR")
    if base is None:
        import platformdirs

        base = os.path.join(platformdirs.user_cache_dir("protonet", appauthor=False), "kernels")
    return Path(base) / digest.hexdigest()[:16]
