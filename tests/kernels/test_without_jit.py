"""NUMBA_DISABLE_JIT=1: kernels as plain Python, those of vector instructions refused by name."""

from __future__ import annotations

import os
import subprocess
import sys

from places import ROOT

LAYERS = [
    "absval", "accuracy", "argmax", "batch_norm", "bias", "clip", "concat", "contrastive_loss",
    "crop", "dropout", "eltwise", "elu", "hinge_loss", "lrn", "mvn", "prelu", "reduction", "scale",
    "sigmoid", "slice", "softmax", "threshold", "tile",
]  # fmt: skip
CONVOLUTION = """
import numpy as np
import protonet
from protonet.kernels.convolution import Convolution2D
from protonet.errors import ProtonetError
x, w = np.ones((9, 5, 8, 7), np.float32), np.ones((11, 5, 3, 3), np.float32)
y = np.empty((9, 11, 6, 5), np.float32)
try:
    Convolution2D(9, 5, 8, 7, 11, (3, 3), (1, 1), (0, 0), (1, 1), 1).forward(x, w, None, y)
except ProtonetError as error:
    print(error)
"""


def python(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), *(p for p in sys.path if p)])
    env = {**os.environ, "PYTHONPATH": path, **variables}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=env, capture_output=True, text=True
    )


def test_layers_in_plain_python() -> None:
    files = [f"tests/layers/test_{name}.py" for name in LAYERS]
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", *files, NUMBA_DISABLE_JIT="1")
    assert done.returncode == 0, done.stdout[-3000:]


def test_vector_instructions_are_refused() -> None:
    done = python("-c", CONVOLUTION, NUMBA_DISABLE_JIT="1")
    assert "is made of vector instructions (" in done.stdout, done.stderr
    assert done.stdout.strip().endswith("which cannot run with NUMBA_DISABLE_JIT")
