"""install: a plain ``import caffe`` finds ours."""

import importlib
import sys
import types

import pytest

import protonet.caffe
from protonet.caffe import alias


def test_every_module_of_pycaffe(as_caffe):
    import caffe

    assert caffe is protonet.caffe
    for name in alias._MODULES:
        ours = importlib.import_module(f"protonet.caffe.{name}")
        assert importlib.import_module(f"caffe.{name}") is ours
    from caffe.proto import caffe_pb2
    from caffe.pycaffe import Net

    assert Net is caffe.Net
    assert caffe_pb2.NetParameter().layer is not None
    assert caffe_pb2.SolverParameter.SGD == caffe_pb2.SolverParameter.SolverType.Value("SGD")
    assert set(caffe.__all__) <= set(dir(caffe))
    caffe.install()


def test_another_caffe_stays(monkeypatch):
    other = types.ModuleType("caffe")
    monkeypatch.setitem(sys.modules, "caffe", other)
    alias.offer()
    assert sys.modules["caffe"] is other
    with pytest.raises(ImportError, match="another caffe is imported already"):
        alias.install()
