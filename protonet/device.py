"""What protonet computes with on this machine: processor, threads, libraries, cache folders."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

# Of all features LLVM knows, those that kernels may gain from.
_VECTOR = ("sse", "avx", "fma", "f16c", "amx", "neon", "sve", "asimd")

# What answers to each name, the first that is installed.
_LIBRARIES = {
    "numpy": ("numpy",),
    "numba": ("numba",),
    "llvmlite": ("llvmlite",),
    "protobuf": ("protobuf",),
    "h5py": ("h5py",),
    "lmdb": ("lmdb",),
    "plyvel": ("plyvel", "plyvel-next"),
    "pillow": ("pillow",),
}


@dataclass(frozen=True)
class Device:
    """What is used.

    Attributes:
        cpu: the processor's name.
        target: the processor that LLVM compiles kernels for.
        lanes: float32 values in one of its vectors.
        features: of its instruction set, LLVM's names, those about vectors.
        processors: how many this process may use.
        threads: how many a kernel runs on.
        versions: of Python, protonet and libraries; None for what is not installed.
        kernels, data: folders of compiled kernels and of unpacked data sets.
        kernel_count: how many kernels are compiled there.
    """

    cpu: str
    target: str
    lanes: int
    features: list[str]
    processors: int
    threads: int
    versions: dict[str, str | None]
    kernels: str
    kernel_count: int
    data: str


def query() -> Device:
    """Find out. Compiles nothing and makes no folder."""
    import llvmlite.binding

    from protonet.data.mnist import cache_folder as data_folder
    from protonet.kernels import cpu, placement, threads
    from protonet.kernels.jit import cache_folder as kernel_folder

    kernels = kernel_folder()
    return Device(
        cpu=cpu_name(),
        target=os.environ.get("NUMBA_CPU_NAME") or llvmlite.binding.get_host_cpu_name(),
        lanes=cpu.lanes(),
        features=sorted(name for name in cpu.features() if name.startswith(_VECTOR)),
        processors=placement.available(),
        threads=threads.count(),
        versions=_versions(),
        kernels=str(kernels),
        kernel_count=sum(1 for _ in kernels.glob("*/*/*.nbc")),
        data=os.path.join(data_folder(), "data"),
    )


def cpu_name(cpuinfo: str = "/proc/cpuinfo") -> str:
    """Return what the maker calls the processor, or the kind of machine where that is not told."""
    try:
        lines = Path(cpuinfo).read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "cpu model") and value.strip():
            return value.strip()
    return platform.processor() or platform.machine()


def _versions() -> dict[str, str | None]:
    from protonet import __version__

    found: dict[str, str | None] = {
        "protonet": __version__,
        "python": platform.python_version(),
    }
    return found | {name: _version(names) for name, names in _LIBRARIES.items()}


def _version(names: tuple[str, ...]) -> str | None:
    from importlib import metadata

    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None
