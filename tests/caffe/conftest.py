"""What the tests of pycaffe's face share."""

import runpy
import shutil
import sys

import pytest
from places import REFERENCE, TESTS

import protonet
from protonet.caffe.alias import install

SMALL = """
name: "small"
force_backward: true
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [2, 3, 6, 5] } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
  inner_product_param { num_output: 7 weight_filler { type: "xavier" } } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""


@pytest.fixture
def small(tmp_path):
    """The path of a small net; the folder is the current one."""
    protonet.set_random_seed(5)
    path = tmp_path / "small.prototxt"
    path.write_text(SMALL)
    return str(path)


@pytest.fixture
def as_caffe(monkeypatch):
    """Make ``import caffe`` find ours for one test."""
    before = set(sys.modules)
    install()
    yield
    for name in set(sys.modules) - before:
        if name == "caffe" or name.startswith("caffe."):
            del sys.modules[name]


@pytest.fixture
def run_script(as_caffe, tmp_path, monkeypatch):
    """Return a function that runs a script of the folder ``scripts`` in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GLOG_minloglevel", "2")
    shutil.copytree(REFERENCE / "mnist-1k-lmdb", tmp_path / "mnist-1k-lmdb")
    monkeypatch.syspath_prepend(str(tmp_path))

    def run(name):
        return runpy.run_path(str(TESTS / "caffe" / "scripts" / name), run_name="__main__")

    return run
