"""Feed broken and hostile files to every reader: ``python tools/fuzz.py --seconds 60 [TARGET]...``.

Guided by coverage: an input that makes a reader reach a line that none reached before is changed
further. Every input must be read or refused with an error of ours, within two seconds and with
little memory. Each target runs in a process of its own; the input at hand lies in a file, so that
one that kills the process is found, too. What fails is written to ``--out``; it belongs into
``tests/fuzz/`` when the reader is mended.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import random
import re
import signal
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import fuzz_targets  # noqa: E402

from protonet.errors import ProtonetError  # noqa: E402

TIME_LIMIT = 2.0  # seconds an input may take, beside tracing
MEMORY = 1 << 30  # bytes that may be taken beyond what was there at the start
LARGEST = 1 << 16  # bytes of an input that is changed further
HOSTILE_NUMBERS = [0, 1, 7, 127, 128, 255, 2**16, 2**31 - 1, 2**31, 2**32, 2**63, 2**64 - 1]
HOSTILE_WORDS = [
    b"-1", b"0", b"2147483647", b"2147483648", b"99999999999999999999", b"1e39", b"nan", b"inf",
    b"-inf", b"true", b"{", b"}", b"[", b"]", b":", b'"', b"'", b"\\", b"#", b"\n", b"\r\n",
    b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"\xf0\x9f\x8c\x80", b"layer { ", b"layers { ",
    b"dim: 2147483647 ", b"shape { ", b"../../../etc/passwd", b"/dev/zero", b"/dev/stdin",
]  # fmt: skip

Target = Callable[[bytes], None]


# --- changing inputs ------------------------------------------------------------------------------
def varint(number: int) -> bytes:
    """Return a number as protobuf writes it."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def changed(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """Return an input like ``data``, with one to four changes."""
    for _ in range(rng.choice([1, 1, 2, 4])):
        data = rng.choice(_CHANGES)(rng, data, others)
    return data[: 4 * LARGEST]


def _flip(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    if not data:
        return data
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def _byte(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


def _cut(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    lo, hi = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[:lo] + data[hi:]


def _truncate(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _repeat(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    lo = rng.randrange(len(data) + 1)
    hi = min(len(data), lo + rng.choice([1, 2, 8, 64, 512]))
    return data[:lo] + data[lo:hi] * rng.choice([2, 3, 300]) + data[hi:]


def _splice(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    other = rng.choice(others)
    lo, hi = sorted(rng.randrange(len(other) + 1) for _ in range(2))
    at = rng.randrange(len(data) + 1)
    return data[:at] + other[lo:hi] + data[at + rng.choice([0, hi - lo]) :]


def _number(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    number = rng.choice(HOSTILE_NUMBERS)
    forms = [varint(number), number.to_bytes(8, "little"), (number % 2**32).to_bytes(4, "little")]
    form = rng.choice([*forms, (number % 2**32).to_bytes(4, "big")])
    at = rng.randrange(len(data) + 1)
    return data[:at] + form + data[at + rng.choice([0, 1, len(form)]) :]


def _word(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    places = [m.span() for m in re.finditer(rb"[\w.+-]+|[^\w\s]", data[:LARGEST])]
    lo, hi = rng.choice(places) if places else (0, 0)
    return data[:lo] + rng.choice(HOSTILE_WORDS) + data[rng.choice([lo, hi]) :]


_CHANGES = [_flip, _byte, _cut, _truncate, _repeat, _splice, _number, _word, _word]


# --- running --------------------------------------------------------------------------------------
class Coverage:
    """Which lines of protonet have been reached."""

    def __init__(self) -> None:
        self.lines: set[tuple[Any, int]] = set()
        self.new = False

    def trace(self, frame: types.FrameType, event: str, arg: Any) -> Any:
        """Trace calls of protonet's functions only."""
        if "/protonet/" in frame.f_code.co_filename and "caffe_pb2" not in frame.f_code.co_filename:
            return self._line
        return None

    def _line(self, frame: types.FrameType, event: str, arg: Any) -> Any:
        key = (frame.f_code, frame.f_lineno)
        if key not in self.lines:
            self.lines.add(key)
            self.new = True
        return self._line


class SlowError(Exception):
    """An input took too long."""


def _slow(number: int, frame: Any) -> None:
    raise SlowError(f"took more than {TIME_LIMIT} s")


def attempt(target: Target, data: bytes) -> str:
    """Run a target on an input; return "" or what went wrong."""
    signal.setitimer(signal.ITIMER_REAL, TIME_LIMIT)
    try:
        target(data)
    except ProtonetError as error:
        if "\n" in str(error).strip() or not str(error):
            return f"a message of several lines: {str(error)[:200]!r}"
    except BaseException:
        return traceback.format_exc(limit=-6)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return ""


def fuzz(name: str, seconds: float, seed: int, current: Path, found: Any) -> None:
    """Fuzz one target in this process; put (kind, detail, input) of findings into a queue."""
    folder = tempfile.TemporaryDirectory()
    os.chdir(folder.name)
    target, seeds = fuzz_targets.target(name)
    corpus = list(seeds)
    signal.signal(signal.SIGALRM, _slow)
    for data in corpus:
        attempt(target, data)  # what is loaded at first use does not count
    _limit_memory()
    rng = random.Random(f"{seed} {name}")
    coverage = Coverage()
    tried, kinds = 0, set()
    end = time.monotonic() + seconds
    while time.monotonic() < end or tried < len(seeds):
        data = seeds[tried] if tried < len(seeds) else changed(rng, rng.choice(corpus), corpus)
        current.write_bytes(data)
        coverage.new = False
        sys.settrace(coverage.trace)
        problem = attempt(target, data)
        sys.settrace(None)
        tried += 1
        if coverage.new and len(data) <= LARGEST:
            corpus.append(data)
        kind = _kind(problem)
        if problem and kind not in kinds:
            kinds.add(kind)
            found.put((problem, data))
    found.put((tried, len(coverage.lines)))
    folder.cleanup()


def _kind(problem: str) -> str:
    """Return what tells a problem from others: the exception, and our own line it came through."""
    ours = re.findall(r'File "[^"]*/(protonet/[^"]*", line \d+)', problem)
    return (
        (ours[-1] if ours else "") + problem.strip().splitlines()[-1:][0].partition(":")[0]
        if (problem)
        else ""
    )


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def run(name: str, seconds: float, seed: int, out: Path) -> tuple[int, int, list[str]]:
    """Fuzz a target in a process of its own; return inputs tried, lines reached, findings."""
    context = multiprocessing.get_context("spawn")
    found = context.Queue()
    findings: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        current = Path(folder) / "input"
        process = context.Process(target=fuzz, args=(name, seconds, seed, current, found))
        process.start()
        tried = lines = 0
        while process.is_alive() or not found.empty():
            try:
                problem, data = found.get(timeout=0.2)
            except Exception:
                continue
            if isinstance(problem, int):
                tried, lines = problem, data
                break
            findings.append(f"{_kept(out, name, data)}\n{problem}")
        process.join()
        if process.exitcode:
            path = _kept(out, name, current.read_bytes()) if current.exists() else "at the start"
            findings.append(f"{path}\nthe process ended with {process.exitcode}")
    return tried, lines, findings


def _kept(out: Path, name: str, data: bytes) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}-{hashlib.sha256(data).hexdigest()[:10]}"
    path.write_bytes(data)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", help="all by default")
    parser.add_argument("--seconds", type=float, default=60, help="for all targets together")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "little"))
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"))
    options = parser.parse_args()
    names = options.targets or sorted(fuzz_targets.TARGETS)
    print(f"seed {options.seed}")
    failed = 0
    for name in names:
        seconds = options.seconds / len(names)
        tried, lines, findings = run(name, seconds, options.seed, options.out.resolve())
        print(f"{name:12} {tried:7} inputs, {lines:5} lines reached, {len(findings)} findings")
        failed += len(findings)
        for finding in findings:
            print(finding)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
