"""The layer types as a whole: all of Caffe's, no others, each with a module, a test and a page."""

import importlib.util
import inspect
import re
from pathlib import Path

import pytest

from protonet.layer import Layer
from protonet.layers import layer_types
from protonet.schema import caffe_pb2 as pb

ROOT = Path(__file__).parent.parent

CAFFE = """
AbsVal Accuracy ArgMax BatchNorm BatchReindex Bias BNLL Clip Concat ContrastiveLoss Convolution
Crop Data Deconvolution Dropout DummyData Eltwise ELU Embed EuclideanLoss Exp Filter Flatten
HDF5Data HDF5Output HingeLoss Im2col ImageData InfogainLoss InnerProduct Input Log LRN LSTM LSTMUnit
MemoryData MultinomialLogisticLoss MVN Parameter Pooling Power PReLU Python Reduction ReLU Reshape
RNN Scale Sigmoid SigmoidCrossEntropyLoss Silence Slice Softmax SoftmaxWithLoss Split SPP Swish TanH
Threshold Tile WindowData
""".split()


def built_in():
    types = layer_types().items()
    return {name: cls for name, cls in types if cls.__module__.startswith("protonet.layers.")}


def test_all_types_that_caffe_registers_and_no_others():
    assert len(CAFFE) == 61
    assert set(built_in()) == set(CAFFE)


@pytest.mark.parametrize("name", CAFFE)
def test_each_type(name):
    cls = built_in()[name]
    module = cls.__module__.removeprefix("protonet.layers.")
    assert cls.__name__ == cls.type == name
    assert inspect.getdoc(inspect.getmodule(cls)).startswith(f"{name}: ")
    assert (ROOT / "tests" / "layers" / f"test_{module}.py").is_file()
    for step in ("reshape", "forward", "backward"):
        assert getattr(cls, step) is not getattr(Layer, step), f"{name} has no {step}"


def test_types_of_the_older_format_have_a_layer():
    without = {"NONE"}
    old = set(pb.V1LayerParameter.LayerType.keys()) - without
    known = {re.sub(r"[^A-Z0-9]", "", name.upper()) for name in CAFFE}
    others = {"SOFTMAXLOSS"}  # SoftmaxWithLoss now
    assert {name.replace("_", "") for name in old} - others <= known


def test_the_page_is_what_the_generator_writes():
    path = ROOT / "tools" / "generate_layer_docs.py"
    spec = importlib.util.spec_from_file_location("generate_layer_docs", path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    want = tool.generate()
    got = (ROOT / "docs" / "layers.md").read_text(encoding="utf-8")
    assert got == want, "docs/layers.md is out of date: run python tools/generate_layer_docs.py"
