"""pycaffe's API: ``import protonet.caffe as caffe``, and scripts written for pycaffe run.

:func:`install` makes a plain ``import caffe`` find this package from then on, and
``python -m protonet.caffe script.py`` runs a script that way without touching it.

Where this differs from pycaffe is listed in ``docs/pycaffe.md``.
"""

from protonet.caffe import _caffe, io, proto, pycaffe
from protonet.caffe.alias import install
from protonet.caffe.classifier import Classifier
from protonet.caffe.detector import Detector
from protonet.caffe.machine import (
    NCCL,
    Timer,
    has_nccl,
    init_log,
    log,
    set_device,
    set_mode_cpu,
    set_mode_gpu,
    set_multiprocess,
    set_solver_count,
    set_solver_rank,
    solver_count,
    solver_rank,
)
from protonet.caffe.net import Net, layer_type_list
from protonet.caffe.net_spec import NetSpec, layers, params, to_proto
from protonet.caffe.solver import (
    AdaDeltaSolver,
    AdaGradSolver,
    AdamSolver,
    NesterovSolver,
    RMSPropSolver,
    SGDSolver,
    get_solver,
)
from protonet.layer import TEST, TRAIN, Layer
from protonet.random import set_random_seed

__version__ = "1.0.0"  # of the Caffe whose API this is

__all__ = [
    "NCCL",
    "TEST",
    "TRAIN",
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "Classifier",
    "Detector",
    "Layer",
    "NesterovSolver",
    "Net",
    "NetSpec",
    "RMSPropSolver",
    "SGDSolver",
    "Timer",
    "_caffe",
    "get_solver",
    "has_nccl",
    "init_log",
    "install",
    "io",
    "layer_type_list",
    "layers",
    "log",
    "params",
    "proto",
    "pycaffe",
    "set_device",
    "set_mode_cpu",
    "set_mode_gpu",
    "set_multiprocess",
    "set_random_seed",
    "set_solver_count",
    "set_solver_rank",
    "solver_count",
    "solver_rank",
    "to_proto",
]
