"""The second process that compiles kernels while the first one does.

It imports all it needs, half a second's work, and then reads from its standard input what to
compile: so it can be called before that is known. It ends by itself, or with the first process.
"""

from __future__ import annotations

import atexit
import subprocess
import sys
from typing import Any

from protonet.kernels import jit, placement

COMMAND = [sys.executable, "-c", "from protonet.solvers.ahead import main; main()"]

_called: subprocess.Popen[bytes] | None = None


def expect() -> None:
    """Call it where no kernel is compiled yet, so whatever is trained next will compile."""
    global _called
    folder = jit.cache_folder()
    if _called is None and not (folder.is_dir() and any(folder.iterdir())):
        _called = _call()


def send(message: bytes) -> subprocess.Popen[bytes] | None:
    """Have it compile what a message says; return it, or None where all is compiled here."""
    global _called
    process, _called = _called or _call(), None
    if process is not None:
        assert process.stdin is not None
        try:
            process.stdin.write(message)
            process.stdin.close()
        except OSError:
            pass  # it has ended
    return process


def dismiss() -> None:
    """End one that was called and is not needed."""
    global _called
    process, _called = _called, None
    if process is not None:
        _end(process)


def _call() -> subprocess.Popen[bytes] | None:
    if placement.available() < 2:
        return None
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, **quiet)
    except OSError:
        return None
    atexit.register(_end, process)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
