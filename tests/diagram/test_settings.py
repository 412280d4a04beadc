"""What boxes say of a layer's settings, and that every type has a kind."""

import pytest

from protonet.diagram.kinds import KINDS, TYPE_KINDS, kind_of
from protonet.diagram.settings import settings
from protonet.diagram.text_width import shortened, text_width
from protonet.layers import layer_types
from protonet.schema.read import parse_net

NET = 'layer { name: "a" type: "%s" %s }'
CASES = [  # type, parameters, what is said
    ("Convolution", "convolution_param { num_output: 9 kernel_size: 5 }", "5×5, 9 outputs"),
    (
        "Convolution",
        "convolution_param { num_output: 6 kernel_h: 1 kernel_w: 7 stride: 2 pad_h: 0 pad_w: 3 "
        "group: 2 dilation: 4 bias_term: false }",
        "1×7, stride 2, pad 0×3, dilation 4, 2 groups, 6 outputs, no bias",
    ),
    ("Im2col", "convolution_param { kernel_size: [1, 2, 3] }", "1×2×3"),
    ("Deconvolution", "convolution_param { num_output: 8 kernel_size: 4 }", "4×4, 8 outputs"),
    ("DepthwiseThing", "convolution_param { num_output: 8 kernel_size: 4 }", "4×4, 8 outputs"),
    ("Pooling", "pooling_param { kernel_size: 3 stride: 2 }", "MAX, 3×3, stride 2"),
    ("Pooling", "pooling_param { pool: AVE global_pooling: true }", "AVE, global"),
    (
        "InnerProduct",
        "inner_product_param { num_output: 10 axis: 2 transpose: true }",
        "10 outputs, axis 2, transpose yes",
    ),
    ("InnerProduct", "inner_product_param { num_output: 10 axis: 1 }", "10 outputs"),
    ("Eltwise", "", "SUM"),
    ("Eltwise", "eltwise_param { operation: PROD }", "PROD"),
    ("Eltwise", "eltwise_param { coeff: [1, -0.5] }", "SUM, coeff 1, -0.5"),
    ("Dropout", "", "ratio 0.5"),
    ("LRN", "lrn_param { local_size: 3 alpha: 0.25 }", "size 3, alpha 0.25"),
    ("ReLU", "relu_param { negative_slope: 0.1 }", "slope 0.1"),
    ("LSTM", "recurrent_param { num_output: 256 }", "256 outputs"),
    ("Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 4 } }", "0×-1×4"),
    ("Slice", "slice_param { axis: 2 slice_point: [3, 5] }", "slice_point 3, 5, axis 2"),
    ("Python", 'python_param { module: "my.layers" layer: "Warp" }', "my.layers.Warp"),
    (
        "Data",
        'data_param { source: "/data/ilsvrc12_train_lmdb/" batch_size: 32 backend: LMDB } '
        "transform_param { crop_size: 227 mirror: true }",
        "ilsvrc12_train_lmdb, batch 32, crop 227, mirror",
    ),
    ("SoftmaxWithLoss", "loss_param { ignore_label: 255 }", "ignore 255"),
    ("Accuracy", "accuracy_param { top_k: 5 }", "top 5"),
    ("Wonder", "", ""),
]  # fmt: skip


@pytest.mark.parametrize("type_name, rest, said", CASES, ids=[f"{c[0]}-{c[2]}" for c in CASES])
def test_settings(type_name, rest, said):
    net = parse_net(NET % (type_name, rest)).message
    assert ", ".join(settings(net.layer[0])) == said


def test_every_type_has_a_kind():
    known = set(layer_types())
    assert set(TYPE_KINDS.values()) <= set(KINDS)
    assert {kind_of(name) for name in known} <= set(KINDS) - {"unknown"}
    assert [name for name in known if kind_of(name) == "other"] == [
        name for name in known if TYPE_KINDS.get(name) == "other"
    ]
    assert kind_of("Wonder") == "unknown"


def test_text_width():
    assert text_width("", 10) == 0
    assert text_width("mmm", 10) > text_width("mm", 10) > text_width("ii", 10)
    assert text_width("conv", 12, bold=True) > text_width("conv", 12)
    assert text_width("层", 10) > text_width("m", 10)


def test_shortened():
    assert shortened("inception_3a/output", 30) == "inception_3a/output"
    short = shortened("a" * 30 + "b" * 30, 20)
    assert len(short) == 20
    assert short.startswith("aaa") and short.endswith("bbb") and "…" in short
