"""What is left out or replaced when Numba compiles a kernel, so that it takes less time.

Results are the same. Where a version of Numba has other steps than those named here, it compiles as
it does by itself. Imports Numba inside of functions: jit.py is imported by every command.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import operator
from collections.abc import Callable, Iterator
from typing import Any

_UNUSED = frozenset({"inline_closure_likes", "inline_overloads", "nopython_rewrites"})  # passes
_found: dict[Any, Any] = {}
_OPERATORS = frozenset(f for f in vars(operator).values() if callable(f))
_ELEMENT = frozenset({operator.getitem, operator.setitem})


def for_any_value(inner: Any) -> Any:
    """Have a helper compiled for the types of its arguments alone.

    Numba would compile it once more for each place that calls it with a constant.
    """
    from numba.core.types import unliteral

    find = inner.get_call_template
    inner.get_call_template = lambda args, kws: find(tuple(map(unliteral, args)), kws)
    return inner


@contextlib.contextmanager
def optimized_by_caller() -> Iterator[None]:
    """Leave what is compiled meanwhile as it is before optimization, and out of the machine code.

    It is called by one kernel only, which is linked to it, optimized and translated as a whole.
    Numba would do both to each of the two: twice the time.
    """
    from numba.core.codegen import CPUCodeLibrary, JITCPUCodegen

    def leave(*args: Any) -> None:
        pass

    with _instead(
        (CPUCodeLibrary, "_optimize_final_module", leave),
        (JITCPUCodegen, "_add_module", leave),
        (JITCPUCodegen, "set_env", leave),
    ):
        yield


@contextlib.contextmanager
def optimized_once() -> Iterator[None]:
    """Have what is compiled meanwhile optimized by LLVM as a whole, once.

    Numba optimizes each function by itself first, then all of them a little, so that counts of
    references meet and cancel out. Kernels have none.
    """
    from numba.core.codegen import CPUCodegen, CPUCodeLibrary

    def for_this_machine(self: Any, module: Any) -> None:
        module.data_layout = self._codegen._data_layout

    def optimize(self: Any) -> None:
        manager, builder = self._codegen._module_pass_manager()
        manager.run(self._final_module, builder)

    with _instead(
        (CPUCodeLibrary, "_optimize_functions", for_this_machine),
        (CPUCodeLibrary, "_optimize_final_module", optimize),
        needs=(CPUCodegen, "_pass_builder"),
    ):
        yield


@contextlib.contextmanager
def _instead(
    *steps: tuple[type, str, Callable[..., Any]], needs: tuple[type, str] | None = None
) -> Iterator[None]:
    """Put functions in the place of steps of Numba's classes meanwhile.

    Where a version of Numba has other steps than those named, nothing is replaced.
    """
    known = [(cls, name) for cls, name, _ in steps] + ([needs] if needs else [])
    if not all(name in vars(cls) for cls, name in known):
        yield
        return
    before = [vars(cls)[name] for cls, name, _ in steps]
    for cls, name, function in steps:
        setattr(cls, name, function)
    try:
        yield
    finally:
        for (cls, name, _), function in zip(steps, before, strict=True):
            setattr(cls, name, function)


@functools.cache
def pipeline() -> Any:
    """Return Numba's compiler without what kernels have no use for.

    They have no closures and no expressions of whole arrays, but each function would be looked
    through for them.
    """
    from numba.core.compiler import CompilerBase, DefaultPassBuilder

    class Pipeline(CompilerBase):
        def define_pipelines(self) -> list[Any]:
            manager = DefaultPassBuilder.define_nopython_pipeline(self.state)
            manager.passes = [one for one in manager.passes if one[0].name() not in _UNUSED]
            manager.finalize()
            return [manager]

    return Pipeline


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Compiling makes many objects that live on: looking for garbage takes an eighth.

    Nor are they looked through when it is over: all there is counts as old then.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            if not gc.get_freeze_count():
                gc.freeze()
                gc.unfreeze()  # into the oldest generation
            gc.enable()


@contextlib.contextmanager
def operators_found_once() -> Iterator[None]:
    """Remember meanwhile what an operator does to numbers of some types, or to an array's elements.

    Numba looks that up anew, among all operators of its name, at each place and for each round of
    its inference of types.
    """
    from numba.core.types.functions import Function

    if "get_call_type" in vars(Function):  # within another one
        yield
        return
    find = Function.get_call_type

    def remember(self: Any, context: Any, args: Any, kws: Any) -> Any:
        name = self.typing_key
        if kws or name not in _OPERATORS or not _are_plain(args, name in _ELEMENT):
            return find(self, context, args, kws)
        found = _found.get((self, args))
        if found is None:
            found = _found[self, args] = find(self, context, args, kws)
        return found

    Function.get_call_type = remember  # type: ignore[method-assign]
    try:
        yield
    finally:
        del Function.get_call_type


def _are_plain(kinds: tuple[Any, ...], of_array: bool) -> bool:
    """Return whether types are of numbers, after an array's if these pick its elements."""
    from numba.core.types import Array, Boolean, Float, Integer, Tuple, UniTuple

    if of_array:
        return isinstance(kinds[0], Array) and _are_plain(kinds[1:], False)
    return all(
        _are_plain(kind.types, False)
        if isinstance(kind, Tuple | UniTuple)
        else isinstance(kind, Boolean | Float | Integer)
        for kind in kinds
    )
