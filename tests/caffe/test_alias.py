"""install: a plain ``import caffe`` finds ours."""

import importlib
import sys
import types

import pytest

import protonet
import protonet.caffe
from protonet.caffe import alias
from protonet.schema.read import parse_net


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


def test_modules_of_python_layers_find_it(tmp_path, monkeypatch):
    (tmp_path / "offered.py").write_text(
        "import caffe\n\n"
        "class Plain(caffe.Layer):\n"
        "    def setup(self, bottom, top):\n        self.text = self.param_str_\n"
        "    def reshape(self, bottom, top):\n        top[0].reshape(3)\n"
    )
    before = dict(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    text = (
        'layer { name: "p" type: "Python" top: "x" '
        'python_param { module: "offered" layer: "Plain" param_str: "a" } }'
    )
    net = protonet.Net(parse_net(text), protonet.TEST)
    assert net.layers[0].text == "a"
    assert sys.modules["caffe"] is protonet.caffe
    for name in set(sys.modules) - set(before):
        if name.split(".")[0] in ("caffe", "offered"):
            del sys.modules[name]
