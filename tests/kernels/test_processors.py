"""Kernels on other processors than this one, and from the cache: in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from protonet.kernels import cpu

ROOT = Path(__file__).parents[2]

# Prints lanes; then, for each kernel that ran, whether it came from the cache.
PROGRAM = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
import numpy as np
from kernels import naive
from kernels.compare import assert_close, random
from protonet.kernels import cpu, pooling, rows, winograd
from protonet.kernels.convolution import Convolution2D
from protonet.kernels.direct import Direct, DirectSums
from protonet.kernels.finish import PLAIN
from protonet.kernels.gemm import gemm
from protonet.kernels.jit import Kernel

built = []
build = Kernel._build
def noted(kernel):
    dispatcher = build(kernel)
    # whether one thread ever waits for another, and compiles what that takes, is up to chance
    aside = kernel._inline or kernel._function.__module__.endswith(".fork")
    built.append((aside, dispatcher))
    return dispatcher
Kernel._build = noted

c = naive.Case(9, 5, (8, 7), 11, (3, 3), pad=(1, 1))
x, w, bias = random(9, 5, 8, 7), random(11, 5, 3, 3, seed=1), random(11, seed=2)
dy = random(*naive.output_shape(c), seed=3)
g = Convolution2D(*c.arguments())._geometry
sums = DirectSums(g)
plain = Direct(g, False), Direct(g, True), sums
along_rows = rows.Rows(g), rows.Rows(rows.turned(g), True), sums
fast = winograd.find(g, False), winograd.find(g, True), winograd.find_sums(g)
for forward, back, sums in (plain, along_rows, fast):
    y, dx, dw = np.empty_like(dy), np.empty_like(x), np.zeros_like(w)
    for way, source, start, target in ((forward, x, bias, y), (back, dy, None, dx)):
        packed = np.empty(way.weights, np.float32)
        way.pack(w, packed)
        way.run(source, packed, start, target)
    sums.add(x, dy, dw, None, None)
    assert_close(y, naive.convolution(c, x, w, bias))
    assert_close(dx, naive.convolution_dx(c, dy, w))
    assert_close(dw, naive.convolution_dw(c, x, dy))
a, b, product = random(13, 21), random(35, 21, seed=1), np.empty((13, 35), np.float32)
gemm(a, b, product, trans_b=True)
assert_close(product, a.astype(np.float64) @ b.T)
a, b, product = random(300, 40), random(300, 35, seed=1), np.empty((40, 35), np.float32)
gemm(a, b, product, trans_a=True)
assert_close(product, a.T.astype(np.float64) @ b)
window, top = pooling.Window((2, 2), (2, 2)), (9, 5, 4, 3)
best, mask = np.empty(top, np.float32), np.empty(top, np.int32)
pooling.max_forward(x, window, best, mask)
expected = naive.max_pooling(x, top[2:], *window)
np.testing.assert_array_equal(best, expected[0])
np.testing.assert_array_equal(mask, expected[1])

pooled = Convolution2D(18, 5, 8, 8, 11, (3, 3), plain=True)
assert pooled.can_pool and pooled.can_spread
x, y, dy = random(18, 5, 8, 8), np.empty((18, 11, 6, 6), np.float32), random(18, 11, 3, 3)
pooled.forward(x, w, bias, y)
best, mask = np.empty_like(dy), np.empty(dy.shape, np.int32)
pooled.forward_pooled(x, w, bias, best, PLAIN, mask)
expected = naive.max_pooling(y, (3, 3), *window)
np.testing.assert_array_equal(best, expected[0])
np.testing.assert_array_equal(mask, expected[1])
spread, dw, whole = np.empty_like(y), np.zeros_like(w), np.zeros_like(w)
pooling.max_backward(dy, mask, window, spread)
pooled.backward_weights(x, dy, dw, mask=mask)
pooled.backward_weights(x, spread, whole)
np.testing.assert_array_equal(dw, whole)

hits = [bool(d.stats.cache_hits) for aside, d in built if not aside]
misses = [bool(d.stats.cache_misses) for aside, d in built if not aside]
print(cpu.lanes(), cpu.registers(), sum(hits), sum(misses))
"""


def run(folder: Path, **environment: str) -> list[int]:
    """Return lanes, registers, kernels from the cache, kernels compiled."""
    program = PROGRAM.format(root=str(ROOT), tests=str(ROOT / "tests"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=os.environ | {"NUMBA_CACHE_DIR": str(folder)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]


def test_plain_processor(tmp_path: Path) -> None:
    """No features but the architecture's own; what was compiled for this one is not used."""
    lanes, registers, cached, compiled = run(tmp_path, NUMBA_CPU_NAME="generic")
    assert lanes == 4 and registers in (16, 32)
    assert cached == 0 and compiled > 5


@pytest.mark.skipif("avx2" not in cpu.features(), reason="needs AVX2")
def test_avx2(tmp_path: Path) -> None:
    features = "+sse4.2,+avx,+avx2,+fma"
    numbers = run(tmp_path, NUMBA_CPU_NAME="haswell", NUMBA_CPU_FEATURES=features)
    assert numbers[:2] == [8, 16] and numbers[2] == 0


def test_second_process_compiles_nothing(tmp_path: Path) -> None:
    *_, cached, compiled = run(tmp_path)
    assert cached == 0 and compiled > 5
    *_, cached_then, compiled_then = run(tmp_path)
    assert cached_then == compiled and compiled_then == 0


@pytest.mark.parametrize(
    ("name", "features", "expected"),
    [
        ("generic", None, (4, 16)),
        ("x", "+avx512f,+avx512vl,+avx2,+avx", (16, 32)),
        ("x", "+avx512f,+avx", (16, 16)),
        ("x", "+avx,+avx2,-avx512f", (8, 16)),
        ("x", "", (4, 16)),
    ],
)
def test_lanes(
    name: str, features: str | None, expected: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CPU_NAME", name)
    monkeypatch.delenv("NUMBA_CPU_FEATURES", raising=False)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    if features is not None:
        monkeypatch.setenv("NUMBA_CPU_FEATURES", features)
    for function in (cpu.features, cpu.lanes, cpu.registers):
        function.cache_clear()
    try:
        assert (cpu.lanes(), cpu.registers()) == expected
        monkeypatch.setattr("platform.machine", lambda: "aarch64")
        cpu.registers.cache_clear()
        assert cpu.registers() == 32
    finally:
        monkeypatch.undo()
        for function in (cpu.features, cpu.lanes, cpu.registers):
            function.cache_clear()


@pytest.mark.parametrize(
    ("caches", "expected"),
    [
        ({"index0": ("Instruction", "1", "4"), "index1": ("Data", "1", "12")}, 12),
        ({"index0": ("Unified", "2", "16"), "index1": ("Data", "2", "16")}, 8),
        ({"index0": ("Data", "1", "0")}, 8),
        ({"index0": ("Data", "1", None)}, 8),
        ({}, 8),
    ],
    ids=str,
)
def test_ways_of_the_first_cache(
    caches: dict[str, tuple[str, str, str | None]],
    expected: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for index, values in caches.items():
        (tmp_path / index).mkdir()
        for name, value in zip(("type", "level", "ways_of_associativity"), values, strict=True):
            if value is not None:
                (tmp_path / index / name).write_text(value + "\n")
    monkeypatch.setattr(cpu, "_CACHES", tmp_path)
    assert cpu.ways.__wrapped__() == expected
