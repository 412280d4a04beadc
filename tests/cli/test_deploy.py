"""protonet deploy: against deploy nets written by hand, and its errors."""

import numpy as np
import pytest
from places import MODELS

import protonet
from protonet.deploy import deploy
from protonet.schema.read import NetSource, parse_net, read_net

# The nets of models/ whose two forms differ in nothing else.
PAIRS = (
    "caffenet cifar10_full cifar10_quick googlenet mnist_autoencoder mobilenet_v1 resnet50 "
    "squeezenet_v1.1 vgg16"
).split()


@pytest.mark.parametrize("name", PAIRS)
def test_as_written_by_hand(name):
    folder = MODELS / name
    made = deploy(read_net(folder / "train_val.prototxt"))
    assert made == read_net(folder / "deploy.prototxt").message


def test_lenet(cli):
    result = cli("deploy", MODELS / "lenet_train_test.prototxt", "--batch", 3)
    want = read_net(MODELS / "lenet_deploy.prototxt").message
    want.layer[0].input_param.shape[0].dim[0] = 3
    assert parse_net(result.out).message == want


def test_weights_of_the_training_net_fit(tmp_path):
    train = protonet.Net(MODELS / "lenet_dsn.prototxt", protonet.TRAIN)
    train.save(tmp_path / "w.caffemodel")
    made = NetSource.of(deploy(read_net(MODELS / "lenet_dsn.prototxt"), batch=64))
    net = protonet.Net(made, protonet.TEST, weights=tmp_path / "w.caffemodel")
    assert net.outputs == ["prob"]
    train.forward()
    given = net.forward(data=train.blobs["data"].data)["prob"]
    scores = train.blobs["ip2"].data.astype(np.float64)
    want = np.exp(scores - scores.max(axis=1, keepdims=True))
    np.testing.assert_allclose(given, want / want.sum(axis=1, keepdims=True), rtol=1e-5)


NET = """
layer { name: "d" type: "Data" top: "x" top: "label" data_param { source: "no" batch_size: 4 } }
layer { name: "prob" type: "InnerProduct" bottom: "x" top: "ip" param { name: "w" lr_mult: 2 }
  inner_product_param { num_output: 7 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label"
  softmax_param { axis: -1 } }
"""


def test_what_only_training_needs_goes_and_names_stay():
    made = deploy(parse_net(NET), 2, {"x": (4, 3, 6, 5)})
    assert [(la.name, la.type) for la in made.layer] == [
        ("x", "Input"),
        ("prob", "InnerProduct"),
        ("prob_", "Softmax"),
    ]
    assert list(made.layer[0].input_param.shape[0].dim) == [2, 3, 6, 5]
    assert (made.layer[1].param[0].name, made.layer[1].param[0].HasField("lr_mult")) == ("w", False)
    assert not made.layer[1].inner_product_param.HasField("weight_filler")
    assert made.layer[2].softmax_param.axis == -1


def test_a_softmax_of_the_files_own_is_used():
    own = 'layer { name: "p" type: "Softmax" bottom: "ip" top: "p" include { phase: TEST } }'
    made = deploy(parse_net(NET + own), shapes={"x": (4, 6)})
    assert [la.name for la in made.layer] == ["x", "prob", "p"]
    assert not made.layer[2].include


def test_errors(cli, tmp_path):
    (tmp_path / "n.prototxt").write_text(NET)
    message = cli("deploy", "n.prototxt").error()
    assert "'no' does not exist" in message
    assert message.endswith("; or say the shape: --shape x=1,3,224,224")
    message = cli("deploy", "n.prototxt", "--shape", "y=4,3").error()
    assert message == "a shape was given for 'y', which is no input; its inputs: x"
    message = cli("deploy", MODELS / "lenet_deploy.prototxt").error()
    assert message.endswith("lenet_deploy.prototxt: the net has no loss")
