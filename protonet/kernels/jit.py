"""The ``@kernel`` decorator: compiled by Numba when first called, cached on disk, GIL released.

Why not ``numba.njit`` itself:

- Importing Numba takes longer than most commands do; layers are imported by all of them. Nothing
  here imports it before a kernel is called.
- Only kernels that a net uses are compiled.
- Numba's cache notices a change in the file of a function, not in a helper that was inlined into
  it. Each kernel of ours has a folder named after all the source that goes into it, so nothing is
  ever stale, and an edit recompiles only what it concerns.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import logging
import os
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from protonet.errors import ProtonetError
from protonet.kernels import compiling

# No sum is ever re-ordered across threads; within a loop LLVM may contract a*b+c and vectorise
# sums. NaN and infinity keep their meaning (no "nnan", "ninf").
_FASTMATH = {"contract", "reassoc", "nsz"}

_log = logging.getLogger("protonet")
_when_cold: Callable[[], None] | None = None
_lock = threading.RLock()
if hasattr(os, "register_at_fork"):
    # A forked child has none of the threads that may hold it: it would wait for ever.
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )


class Kernel:
    """A function compiled for one signature at its first call. See :func:`kernel`."""

    def __init__(
        self,
        function: Callable[..., Any],
        signature: str,
        inline: bool,
        variant: str = "",
        names: dict[str, Any] | None = None,
        reorder: bool = True,
        shared: bool = False,
        allocates: bool = False,
        in_turns: bool = False,
    ) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._signature = signature
        self._inline = inline
        self._shared = shared
        self._allocates = allocates
        self._in_turns = in_turns
        self._variant = variant
        self._names = names or {}
        self._reorder = reorder
        self._compiled: Callable[..., Any] | None = None

    def __call__(self, *args: Any) -> Any:
        return self.compile()(*args)

    def variant(self, label: str, **names: Any) -> Kernel:
        """Return a kernel of the same source in which the given global names mean something else.

        It is compiled and cached by itself, under a name that ends in ``label``.
        """
        return Kernel(
            self._function, self._signature, self._inline, label, names, self._reorder,
            self._shared, self._allocates, self._in_turns,
        )  # fmt: skip

    def compile(self) -> Callable[..., Any]:
        """Compile now, or load from the cache, and return the compiled function."""
        if self._compiled is not None:
            return self._compiled
        with _lock:
            if self._compiled is None:
                with (
                    compiling.without_garbage_collection(),
                    compiling.operators_found_once(),
                    self._optimized(),
                ):
                    self._compiled = self._build()
            return self._compiled

    def _optimized(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self._allocates else compiling.optimized_once()

    def _inputs(self) -> dict[str, Any]:
        """Return the global names that the function uses, and what they mean to it."""
        used = self._function.__code__.co_names
        everything = self._function.__globals__ | self._names
        return {name: everything[name] for name in used if name in everything}

    def _describe(self) -> Iterator[bytes]:
        """Yield what the compiled code depends on: sources of this and used kernels, constants."""
        yield _source(__file__)  # the compiler's settings
        yield _source(compiling.__file__)
        yield _source(self._function.__code__.co_filename)
        yield f"{self._function.__qualname__} {self._variant} {self._signature}".encode()
        if self._shared:
            yield _source(str(Path(__file__).with_name("fork.py")))
            yield _source(str(Path(__file__).with_name("board.py")))
        for name, value in self._inputs().items():
            if isinstance(value, Kernel):
                yield from value._describe()
            elif isinstance(value, bool | int | float | tuple):
                yield f"{name}={value!r}".encode()
            elif getattr(value, "__module__", "").startswith("protonet."):
                # code that generates code: all of its module, what it generates code with, and
                # what the CPU's features choose
                yield _source(inspect.getfile(inspect.unwrap(value)))
                yield _source(str(Path(__file__).with_name("simd.py")))
                yield _source(str(Path(__file__).with_name("cpu.py")))

    def _cache_folder(self) -> Path:
        digest = hashlib.sha256()
        for part in self._describe():
            digest.update(len(part).to_bytes(8, "little") + part)
        return cache_folder() / digest.hexdigest()[:16]

    def _build(self) -> Callable[..., Any]:
        import numba

        # Numba must see compiled functions where the source names other kernels.
        scope = {"__name__": self._function.__module__} | {
            name: value.compile() if isinstance(value, Kernel) else value
            for name, value in self._inputs().items()
        }
        function = types.FunctionType(self._function.__code__, scope, self._function.__name__)
        function.__qualname__ = self._function.__qualname__ + self._variant
        function.__module__ = self._function.__module__
        config: Any = numba.config
        if not compiles():
            return self._as_python(function, scope)
        njit: Any = numba.njit
        options: dict[str, Any] = {
            "nogil": True,
            "boundscheck": False,
            "error_model": "numpy",
            "fastmath": _FASTMATH if self._reorder else {"contract"},
            "no_cfunc_wrapper": True,  # not called from C, nor helpers from Python: less to compile
            "pipeline_class": compiling.pipeline(),
            "_nrt": self._allocates,  # else no references need be counted: less to compile
        }
        signature = self._signature
        if self._inline or self._shared:
            inner = njit(no_cpython_wrapper=True, **options)(function)
            if self._inline:
                return compiling.for_any_value(inner)
            function, signature = _forking(function, inner, signature, self._in_turns)
        folder = self._cache_folder()
        if not folder.exists():
            _announce(folder.parent)
            _call_when_cold()
        before = config.CACHE_DIR
        config.CACHE_DIR = str(folder)
        try:
            dispatcher = njit(cache=True, **options)(function)
        finally:
            config.CACHE_DIR = before
        dispatcher.compile(signature)
        dispatcher.disable_compile()
        return dispatcher

    def _as_python(self, function: Callable[..., Any], scope: dict[str, Any]) -> Callable[..., Any]:
        """Return the function as Python runs it, for debugging; slow.

        Raises:
            ProtonetError: it is made of vector instructions, which Python has none of.
        """
        made_of = [name for name, value in scope.items() if type(value).__name__ == "_Intrinsic"]
        if made_of:
            raise ProtonetError(
                f"kernel {self._function.__qualname__} of {self._function.__module__} is made of "
                f"vector instructions ({made_of[0]}), which cannot run with NUMBA_DISABLE_JIT"
            )
        if self._inline:
            return function

        import numpy as np

        bounds = _bounds(function) if self._shared else 0

        def plain(*args: Any) -> Any:
            with np.errstate(all="ignore"):  # as compiled code does
                if not self._shared:
                    return function(*args)
                *given, total, _step, _pieces, _parts, _board = args
                part = (0, total, 0)[:bounds]
                if not self._in_turns:
                    return function(*given, *part)
                *given, start, end = given
                for turn in range(start, end):
                    function(*given, turn, *part)
                return end

        return plain


def _bounds(function: Callable[..., Any]) -> int:
    """Return how many are the last arguments of a shared kernel: lo, hi and maybe worker."""
    code = function.__code__
    return code.co_argcount - code.co_varnames.index("lo")


def _forking(
    function: Callable[..., Any], inner: Any, signature: str, in_turns: bool
) -> tuple[types.FunctionType, Any]:
    """Return a function (..., total, step, pieces, parts, board) that shares out inner; its types.

    With ``in_turns`` it has (start, end) for the turn, shares out these one after the other, and
    returns the next one; minus that if helpers are still at work on the last one.

    Args:
        function: (..., lo, hi) or (..., lo, hi, worker), of that signature.
        inner: the same, compiled by Numba when it is typed.
    """
    import numba
    from numba.core import sigutils

    from protonet.kernels.fork import fork

    kinds: tuple[Any, ...]
    kinds, _ = sigutils.normalize_signature(signature)
    given = kinds[: len(kinds) - _bounds(function)]
    names = function.__code__.co_varnames[: len(given)]
    listed, rest = ", ".join(names), "_total, _step, _pieces, _parts, _board"
    source = f"def made({listed}, {rest}): return _fork(_inner, ({listed},), {rest})"
    result: Any = numba.types.boolean
    if in_turns:
        source = (
            f"def made({', '.join(names[:-1])}, _start, _end, {rest}):\n"
            f"    for {names[-1]} in range(_start, _end):\n"
            f"        if not _fork(_inner, ({listed},), {rest}):\n"
            f"            return -{names[-1]} - 1\n"
            "    return _end"
        )
        given, result = (*given, numba.types.int64), numba.types.int64
    # Numba looks for the file that a function comes from
    code = compile(source, function.__code__.co_filename, "exec")
    scope = {"_fork": fork, "_inner": inner}
    exec(code, scope)
    made: Any = scope["made"]
    made.__name__, made.__qualname__ = function.__name__, function.__qualname__
    made.__module__ = function.__module__
    return made, result(*given, *[numba.types.int64] * 5)


def kernel(
    signature: str,
    reorder: bool = True,
    shared: bool = False,
    allocates: bool = False,
    in_turns: bool = False,
) -> Callable[[Callable[..., Any]], Kernel]:
    """Decorate a plain-loop function as a kernel.

    Args:
        signature: Numba's text for the types, arrays C-contiguous:
            ``"void(float32[::1], float32[::1], int64, int64)"``. ``"inline"`` makes a helper that
            is called by other kernels only and takes their types.
        reorder: whether LLVM may change the order of sums and factor products out.
        shared: threads share its loop: its last arguments are lo and hi, the part of the loop to
            do, or lo, hi and worker, which tells their scratch memory apart. It is called by
            ``threads.share``.
        allocates: it makes arrays, or assigns one to a part of another.
        in_turns: the loop is shared out again and again, each time when all of it is done: the
            argument before lo says which time it is. It is called by ``threads.share_in_turns``.
    """

    def decorate(function: Callable[..., Any]) -> Kernel:
        inline = signature == "inline"
        options = reorder, shared, allocates, in_turns
        return Kernel(function, signature, inline, "", None, *options)

    return decorate


@functools.cache
def compiles() -> bool:
    """Return whether kernels are compiled; not so with ``NUMBA_DISABLE_JIT``."""
    import numba

    config: Any = numba.config
    return not config.DISABLE_JIT


@functools.cache
def cache_folder() -> Path:
    """Return the folder of all compiled kernels.

    ``NUMBA_CACHE_DIR`` moves it; otherwise it lies in the user's cache folder, so that a
    read-only installation works as well.
    """
    base = os.environ.get("NUMBA_CACHE_DIR")
    if base is not None:
        return Path(base)
    import platformdirs

    return Path(platformdirs.user_cache_dir("protonet", appauthor=False)) / "kernels"


@contextlib.contextmanager
def when_cold(action: Callable[[], None]) -> Iterator[None]:
    """Have something done, once, before a kernel is compiled meanwhile that is in no cache."""
    global _when_cold
    _when_cold = action
    try:
        with compiling.without_garbage_collection():  # once for all of them
            yield
    finally:
        _when_cold = None


def _call_when_cold() -> None:
    global _when_cold
    action, _when_cold = _when_cold, None
    if action is not None:
        action()


@functools.cache
def _announce(folder: Path) -> None:
    """Say once that compiling takes a while. Nothing is said when all comes from the cache."""
    _log.info("compiling kernels for this machine, once, into %s: some seconds", folder)


@functools.cache
def _source(path: str) -> bytes:
    return Path(path).read_bytes()
