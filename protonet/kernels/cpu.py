"""What the processor that kernels are compiled for can do: how wide its vectors are.

Numba compiles for the host, or for what ``NUMBA_CPU_NAME`` and ``NUMBA_CPU_FEATURES`` name; the
same answers are given here, so that vectors are never wider than its registers.
"""

from __future__ import annotations

import functools
import os
import platform
from pathlib import Path

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")  # Linux tells of them there
_USUAL_WAYS = 8


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
def ways() -> int:
    """Return how many lines whose addresses differ by a multiple of 4096 the first cache can hold.

    Where the system does not say, 8, as most processors have.
    """
    for kind in sorted(_CACHES.glob("index*/type")):
        if _text(kind) == "Data" and _text(kind.with_name("level")) == "1":
            found = _text(kind.with_name("ways_of_associativity"))
            return int(found) if found.isdecimal() and int(found) > 0 else _USUAL_WAYS
    return _USUAL_WAYS


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


@functools.cache
def has_masks() -> bool:
    """Return whether there are registers for masks. Without, some processors that can store with a
    mask take ten times as long for it.
    """
    return "avx512vl" in features()
