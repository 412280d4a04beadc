"""What the processor that kernels are compiled for can do: how wide its vectors are.

Numba compiles for the host, or for what ``NUMBA_CPU_NAME`` and ``NUMBA_CPU_FEATURES`` name; the
same answers are given here, so that vectors are never wider than its registers.
"""

from __future__ import annotations

import functools
import os
import platform


@functools.cache
def features() -> frozenset[str]:
    """Return LLVM's names of the features that Numba will use: ``{"avx2", "fma", ...}``."""
    text = os.environ.get("NUMBA_CPU_FEATURES")
    if text is None and os.environ.get("NUMBA_CPU_NAME", "").lower() == "generic":
        text = ""
    if text is None:
        import llvmlite.binding

        text = llvmlite.binding.get_host_cpu_features().flatten()
    return frozenset(name[1:] for name in text.split(",") if name.startswith("+"))


@functools.cache
def lanes() -> int:
    """Return how many float32 values one vector holds: 16, 8 or 4."""
    if "avx512f" in features():
        return 16
    return 8 if "avx" in features() else 4


@functools.cache
def registers() -> int:
    """Return how many vector registers there are: 32 or 16."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        return 32
    return 32 if "avx512vl" in features() else 16


@functools.cache
def has_masks() -> bool:
    """Return whether there are registers for masks. Without, some processors that can store with a
    mask take ten times as long for it.
    """
    return "avx512vl" in features()
