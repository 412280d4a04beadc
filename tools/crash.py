"""Kill training over and over and see that nothing is lost: ``python tools/crash.py --kills 50``.

A small net with dropout, random crops and mirroring trains with a snapshot every other iteration,
so that many of the kills (SIGKILL, at random moments) fall into the writing of one. Each time the
run goes on with ``--resume``. In the end its weights must equal, byte for byte, those of a run
that was left alone.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from protonet.solvers import resume

RECORDS = Path(__file__).parent.parent / "tests" / "reference" / "mnist-1k-leveldb"
NET = """
layer { name: "data" type: "Data" top: "data" top: "label"
  data_param { source: "digits" batch_size: 4 } transform_param { crop_size: 20 mirror: true } }
layer { name: "drop" type: "Dropout" bottom: "data" top: "drop" }
layer { name: "ip" type: "InnerProduct" bottom: "drop" top: "ip"
  inner_product_param { num_output: 200 weight_filler { type: "xavier" } } }
layer { name: "out" type: "InnerProduct" bottom: "ip" top: "out"
  inner_product_param { num_output: 10 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "out" bottom: "label" top: "loss" }
"""
SOLVER = """
net: "net.prototxt" type: "Adam" base_lr: 0.0001 momentum: 0.9 lr_policy: "fixed" random_seed: 4
snapshot: 2 display: 1
"""


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start training; what it logs can be read from its standard error."""
    return subprocess.Popen(
        [sys.executable, "-m", "protonet", "train", "solver.prototxt", "--keep", "3", *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(folder: Path, *arguments: str) -> bytes:
    """Train to the end; return the last weights as they are on the disk."""
    process = start(folder, *arguments)
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"training failed:\n{errors[-2000:]}")
    state, _ = resume.latest(folder / "runs" / "solver" / "solver")
    assert state is not None
    return state.with_suffix(".caffemodel").read_bytes()


def prepared(parent: Path, name: str) -> Path:
    """Make a folder with net, solver and data."""
    folder = parent / name
    folder.mkdir()
    shutil.copytree(RECORDS, folder / "digits")
    (folder / "net.prototxt").write_text(NET)
    (folder / "solver.prototxt").write_text(SOLVER)
    return folder


def crash(kills: int, seed: int, longest: float = 0.3) -> dict[str, int]:
    """Kill a run so many times; return what happened.

    Raises:
        SystemExit: something was lost.
    """
    rng = random.Random(seed)
    count = dict.fromkeys(["kills", "while writing a snapshot", "iterations", "lost"], 0)
    with tempfile.TemporaryDirectory() as parent:
        folder = prepared(Path(parent), "killed")
        prefix = folder / "runs" / "solver" / "solver"
        reached = -1
        for i in range(kills):
            going_on = ["--resume"] if i else []
            process = start(folder, *going_on, "max_iter=1000000")
            assert process.stderr is not None
            for line in process.stderr:
                if "Iteration" in line:
                    break
            time.sleep(rng.uniform(0, longest))
            process.kill()
            process.communicate()
            count["kills"] += 1
            count["while writing a snapshot"] += any(prefix.parent.glob(".*.part")) or bool(
                resume.latest(prefix)[1]
            )
            state, _ = resume.latest(prefix)
            now = int(state.stem.rpartition("_")[2]) if state else -1
            if now < reached:
                raise SystemExit(f"the snapshot of iteration {reached} was lost in kill {i + 1}")
            reached = now
        end = f"max_iter={reached + 7}"
        killed = finish(folder, "--resume", end)
        left = list(prefix.parent.glob(".*.part"))
        straight = finish(prepared(Path(parent), "straight"), end)
        count["iterations"] = reached + 7
        if killed != straight or left:
            raise SystemExit(f"after {kills} kills the weights differ, or files are left: {left}")
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "little"))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    for what, number in crash(options.kills, options.seed).items():
        print(f"{what}: {number}")


if __name__ == "__main__":
    main()
