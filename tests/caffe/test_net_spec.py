"""caffe.NetSpec, layers, params, to_proto."""

import pytest
from google.protobuf import text_format

import protonet.caffe as caffe
from protonet.caffe import layers as L  # noqa: N812
from protonet.caffe import params as P  # noqa: N812
from protonet.caffe.net_spec import param_name_dict
from protonet.schema import caffe_pb2 as pb


def text(want):
    return text_format.Parse(want, pb.NetParameter())


def test_named_and_numbered():
    n = caffe.NetSpec()
    n.data, n.label = L.DummyData(
        shape=[dict(dim=[5, 3]), dict(dim=[5])], ntop=2, transform_param=dict(scale=2)
    )
    hidden = L.InnerProduct(
        n.data, num_output=4, weight_filler=dict(type="xavier"), param=[dict(lr_mult=1), {}]
    )
    n.act = L.ReLU(hidden, in_place=True)
    n.loss = L.SoftmaxWithLoss(L.InnerProduct(n.act, num_output=2), n.label, loss_weight=0.5)
    n["silent"] = L.Silence(n.label, ntop=0)
    assert n.keys() == ["data", "label", "act", "loss", "silent"]
    assert n.vals()[3] is n.loss is n["loss"]


def test_to_proto():
    n = caffe.NetSpec()
    n.data, n.label = L.DummyData(shape=[dict(dim=[5, 3]), dict(dim=[5])], ntop=2)
    hidden = L.InnerProduct(n.data, num_output=4, param=[dict(lr_mult=1), {}])
    n.act = L.ReLU(hidden, in_place=True)
    score = L.InnerProduct(n.act, num_output=2)
    n.loss = L.SoftmaxWithLoss(score, n.label, loss_weight=0.5)
    assert n.to_proto() == text("""
        layer { name: "data" type: "DummyData" top: "data" top: "label"
          dummy_data_param { shape { dim: 5 dim: 3 } shape { dim: 5 } } }
        layer { name: "InnerProduct1" type: "InnerProduct" bottom: "data" top: "InnerProduct1"
          param { lr_mult: 1 } param { } inner_product_param { num_output: 4 } }
        layer { name: "act" type: "ReLU" bottom: "InnerProduct1" top: "InnerProduct1" }
        layer { name: "InnerProduct2" type: "InnerProduct" bottom: "InnerProduct1"
          top: "InnerProduct2" inner_product_param { num_output: 2 } }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "InnerProduct2" bottom: "label"
          top: "loss" loss_weight: 0.5 }
    """)


def test_layers_without_tops():
    data = L.Input(shape=dict(dim=[2, 3]))
    silence = L.Silence(data, ntop=0)
    n = caffe.NetSpec()
    n.x = data
    n.s1 = silence
    assert n.to_proto() == text("""
        layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
        layer { name: "s1" type: "Silence" bottom: "x" }
    """)


def test_single_tops():
    pool = L.Pooling(L.Input(), pool=P.Pooling.AVE, kernel_size=2, stride=1)
    got = pool.to_proto()
    assert (
        got
        == caffe.to_proto(pool)
        == text("""
        layer { name: "Input1" type: "Input" top: "Input1" }
        layer { name: "Pooling1" type: "Pooling" bottom: "Input1" top: "Pooling1"
          pooling_param { pool: AVE kernel_size: 2 stride: 1 } }
    """)
    )


def test_where_options_go():
    top = L.Deconvolution(
        L.Input(),
        convolution_param=dict(num_output=3, kernel_size=[2, 3]),
        include=dict(phase=caffe.TEST),
        propagate_down=True,
    )
    layer = top.to_proto().layer[1]
    assert list(layer.convolution_param.kernel_size) == [2, 3]
    assert layer.include[0].phase == pb.TEST
    assert list(layer.propagate_down) == [True]
    names = param_name_dict()
    assert (names["Convolution"], names["Python"]) == ("convolution", "python")
    with pytest.raises(AttributeError, match="nmu_output"):
        L.Convolution(L.Input(), nmu_output=3).to_proto()


def test_update_and_removal():
    n = caffe.NetSpec()
    n.x = L.Input(shape=dict(dim=[2, 3]))
    n.y = L.InnerProduct(n.x, num_output=3)
    n.update("y", dict(num_output=5))
    assert n.to_proto().layer[1].inner_product_param.num_output == 5
    del n.y
    del n["x"]
    assert n.keys() == []
    with pytest.raises(AttributeError, match="no blob 'x' has been assigned"):
        _ = n.x


def test_inputs_must_be_blobs():
    two = L.DummyData(ntop=2)
    with pytest.raises(TypeError, match="ReLU: expected blobs as inputs, got tuple as input 0"):
        L.ReLU(two)
