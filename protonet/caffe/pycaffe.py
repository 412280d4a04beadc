"""The names of pycaffe's module ``caffe.pycaffe``, for scripts that import from there."""

from protonet.caffe.machine import NCCL, Timer
from protonet.caffe.net import Net
from protonet.caffe.solver import (
    AdaDeltaSolver,
    AdaGradSolver,
    AdamSolver,
    NesterovSolver,
    RMSPropSolver,
    SGDSolver,
)

__all__ = [
    "NCCL",
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "NesterovSolver",
    "Net",
    "RMSPropSolver",
    "SGDSolver",
    "Timer",
]
