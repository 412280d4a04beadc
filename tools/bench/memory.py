"""Compare the memory that inference at batch 1 takes at its peak, protonet against PyTorch.

Each side runs in a process of its own: it builds the net and runs it, lets it go, takes note of the
resident memory (which then holds the libraries and, of protonet, compiled kernels), and does it
all again; the peak of that, above what was noted, is the figure. Beside it stands what
``protonet summary`` predicts, which is without what kernels take for themselves. Linux only.
Needs torch, which is no dependency of protonet.

    python tools/bench/memory.py [--nets resnet50 googlenet]
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from inputs import fill, from_memory

import protonet
from protonet.kernels import scratch
from protonet.schema.read import NetSource


def ours(name: str) -> Callable[[], Any]:
    """Return a function that runs a net of ours forward."""
    net = protonet.Net(NetSource.of(from_memory(name, 1, False)), keep=())
    fill(net, np.random.default_rng(0))
    return net.run_forward


def theirs(name: str) -> Callable[[], Any]:
    """Return a function that runs PyTorch's net forward."""
    import torch
    from torch_net import TorchNet

    net = protonet.Net(NetSource.of(from_memory(name, 1, False)))
    values = fill(net, np.random.default_rng(0))
    peer = TorchNet(net)
    for key, value in values.items():
        peer.set(key, value)

    def run() -> None:
        with torch.inference_mode():
            peer.forward()

    return run


def peak(build: Callable[[str], Callable[[], Any]], name: str) -> float:
    """Return the MB that a second net takes at its peak, after a first one has come and gone."""
    twice(build(name))
    scratch._buffers.by_name.clear()  # counts as the second net's
    base = _settled()
    run = build(name)
    _settled()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    twice(run)
    return _status("VmHWM") - base


def twice(run: Callable[[], Any]) -> None:
    """Run once to take memory, and once more."""
    run()
    run()


def _settled() -> float:
    """Return the resident MB after giving back all that is free."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return _status("VmRSS")


def _status(field: str) -> float:
    """Read a figure of this process in MB (10^6)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) * 1024 / 1e6


def predicted(name: str) -> float:
    """Return the MB that the plan of a net needs, as ``protonet summary`` tells."""
    from protonet.graph import build_graph
    from protonet.plan import build_plan
    from protonet.storage import forward_bytes

    source = NetSource.of(from_memory(name, 1, False))
    return (forward_bytes(build_plan(build_graph(source, protonet.TEST))) or 0) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", nargs="+", default=["resnet50", "googlenet"])
    parser.add_argument("--side", choices=["ours", "theirs"], help="print one figure")
    args = parser.parse_args()
    if args.side:
        print(peak({"ours": ours, "theirs": theirs}[args.side], args.nets[0]))
        return
    print("| net | predicted | protonet | PyTorch | ratio |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name in args.nets:
        command = [sys.executable, __file__, "--nets", name, "--side"]
        mb = [
            float(subprocess.run([*command, side], check=True, capture_output=True).stdout)
            for side in ("ours", "theirs")
        ]
        print(
            f"| {name} | {predicted(name):.0f} MB | {mb[0]:.0f} MB | {mb[1]:.0f} MB |"
            f" {mb[1] / mb[0]:.2f} |"
        )


if __name__ == "__main__":
    main()
