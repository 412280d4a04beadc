"""What docs/pycaffe.md shows runs."""

import re

import numpy as np
from places import ROOT

import protonet
from protonet.layer import REGISTRY
from protonet.schema.read import parse_net

PAGE = (ROOT / "docs" / "pycaffe.md").read_text(encoding="utf-8")


def test_the_first_lines(as_caffe):
    code = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
    scope = {}
    exec(code, scope)
    assert scope["caffe"] is protonet.caffe


def test_a_type_of_ones_own(monkeypatch):
    monkeypatch.setitem(REGISTRY, "Amplify", None)
    exec(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[1], {})
    (layer,) = re.findall(r"^    (layer .*)$", PAGE, re.MULTILINE)
    source = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [2, 3] } } }'
    net = protonet.Net(parse_net(source + layer), protonet.TEST)
    net.blobs["x"].data[...] = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(net.forward()["y"], 3 * net.blobs["x"].data)
