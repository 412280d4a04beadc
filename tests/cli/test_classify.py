"""protonet classify: how images are prepared, and what is printed."""

import json

import numpy as np
import pytest
from PIL import Image

import protonet
from protonet.data.resize import resize

RNG = np.random.default_rng(4)
PIXELS = RNG.integers(0, 256, (12, 10, 3), np.uint8)
BODY = """
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 7 weight_filler { type: "gaussian" std: 0.001 } } }
"""
DEPLOY = """
layer { name: "in" type: "Input" top: "data" input_param { shape { dim: [1, 3, 6, 6] } } }
""" + BODY + 'layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }'  # fmt: skip
DATA = """
layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  transform_param { crop_size: 6 mirror: true } data_param { source: "gone" batch_size: 3 } }
layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TEST }
  transform_param { TRANSFORM } data_param { source: "gone" batch_size: 3 } }
layer { name: "quiet" type: "Silence" bottom: "label" }
"""
HEAD = """
layer { name: "acc" type: "Accuracy" bottom: "ip" bottom: "label" top: "acc" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


@pytest.fixture
def net(tmp_path):
    """Write nets, weights, an image and labels into the folder; return the deploy net."""
    protonet.set_random_seed(3)
    (tmp_path / "deploy.prototxt").write_text(DEPLOY)
    net = protonet.Net(tmp_path / "deploy.prototxt", protonet.TEST)
    net.save(tmp_path / "w.caffemodel")
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    Image.fromarray(PIXELS[::-1]).save(tmp_path / "b.png")
    (tmp_path / "labels.txt").write_text("".join(f"class {i}\n" for i in range(7)))
    return net


def train_net(tmp_path, transform, name="net.prototxt"):
    (tmp_path / name).write_text(DATA.replace("TRANSFORM", transform) + BODY + HEAD)
    return name


def want(net, image, scale=1.0, mean=(0, 0, 0), size=(6, 6)):
    """The scores of an image (3, H, W) uint8 whose middle is taken."""
    image = resize(np.ascontiguousarray(image), *size)
    top, left = (size[0] - 6) // 2, (size[1] - 6) // 2
    x = image[:, top : top + 6, left : left + 6].astype(np.float32)
    net.blobs["data"].data[...] = (x - np.reshape(mean, (3, 1, 1))) * scale
    return net.forward()["prob"][0].copy()


BGR = PIXELS[:, :, ::-1].transpose(2, 0, 1)


def scores(result):
    assert result.code == 0, result
    image = json.loads(result.out)["images"][0]
    return {c["class"]: c["score"] for c in image["classes"]}


def check(result, values):
    got = scores(result)
    np.testing.assert_allclose([got[i] for i in range(7)], values, atol=1e-6)


def test_nothing_given(cli, net):
    result = cli("classify", "deploy.prototxt", "w.caffemodel", "a.png", "--json", "--top", 7)
    check(result, want(net, BGR))
    assert json.loads(result.out)["preprocessing"] == {
        "origin": "nothing is given",
        "channels": "BGR",
        "resize": [6, 6],
        "crop": None,
        "mean_file": None,
        "mean": None,
        "scale": 1.0,
    }


def test_from_a_training_net(cli, net, tmp_path):
    train_net(tmp_path, "scale: 0.5 crop_size: 6 mean_value: [10, 20, 30]")
    result = cli("classify", "net.prototxt", "w.caffemodel", "a.png", "--json", "--top", 7)
    check(result, want(net, BGR, 0.5, (10, 20, 30)))
    assert json.loads(result.out)["output"] == "prob"


def test_from_the_training_net_beside(cli, net, tmp_path):
    train_net(tmp_path, "scale: 0.5 crop_size: 6", "train_val.prototxt")
    result = cli("classify", "deploy.prototxt", "w.caffemodel", "a.png", "--json", "--top", 7)
    check(result, want(net, BGR, 0.5))
    assert json.loads(result.out)["preprocessing"]["origin"] == "train_val.prototxt:4"


def test_options(cli, net, tmp_path):
    options = ["--mean", "1,2,3", "--scale", 0.25, "--resize", "8,9", "--crop", 6, "--rgb"]
    result = cli(
        "classify", "deploy.prototxt", "w.caffemodel", "a.png", "--json", "--top", 7, *options
    )
    check(result, want(net, BGR[::-1], 0.25, (1, 2, 3), (8, 9)))


def test_mean_files_tell_the_size(cli, net, tmp_path):
    from protonet.caffe import io

    mean = RNG.random((3, 8, 8)).astype(np.float32) * 100
    blob = io.array_to_blobproto(mean)
    (tmp_path / "mean.binaryproto").write_bytes(blob.SerializeToString())
    result = cli(
        "classify", "deploy.prototxt", "w.caffemodel", "a.png", "--json", "--top", 7, "--mean",
        "mean.binaryproto",
    )  # fmt: skip
    image = resize(np.ascontiguousarray(BGR), 8, 8).astype(np.float32) - mean
    net.blobs["data"].data[...] = image[:, 1:7, 1:7]
    check(result, net.forward()["prob"][0])


def test_printed(cli, net, tmp_path):
    train_net(tmp_path, "scale: 0.5 crop_size: 6 mean_value: [10, 20, 30]")
    result = cli(
        "classify", "deploy.prototxt", "w.caffemodel", "a.png", "b.png", "--top", 2, "--labels",
        "labels.txt", "--transform", "net.prototxt", "--resize", 7, "--batch", 1,
    )  # fmt: skip
    lines = result.out.splitlines()
    assert lines[0] == (
        "preprocessing: BGR; resized to 7×7; centre crop 6×6; minus 10, 20, 30; times 0.5 "
        "(net.prototxt:4, changed by options)"
    )
    assert [line for line in lines if not line.startswith("  ")][1:] == ["a.png", "b.png"]
    first = want(net, BGR, 0.5, (10, 20, 30), (7, 7))
    assert lines[2] == f"  {first.max():.4f}  {first.argmax()}  class {first.argmax()}"
    assert len(lines) == 7


def test_grey_nets(cli, tmp_path, net):
    text = DEPLOY.replace("1, 3, 6, 6", "1, 1, 6, 6")
    (tmp_path / "grey.prototxt").write_text(text)
    protonet.Net(tmp_path / "grey.prototxt", protonet.TEST).save(tmp_path / "g.caffemodel")
    result = cli("classify", "grey.prototxt", "g.caffemodel", "a.png", "--top", 1)
    assert result.out.startswith("preprocessing: grey; resized to 6×6 (nothing is given)\n")


REFUSED = {
    "image": (["c.png"], "c.png: cannot be read: No such file or directory"),
    "no_image": (["labels.txt"], "labels.txt is not an image in any known format"),
    "labels": (
        ["a.png", "--labels", "deploy.prototxt"],
        "deploy.prototxt: expected 7 lines, one for each class, got 6",
    ),
    "output": (
        ["a.png", "--output", "prb"],
        "net '' has no blob 'prb'; did you mean 'prob'?",
    ),
    "resize": (
        ["a.png", "--resize", "x"],
        "--resize: expected H or H,W of numbers from 1, got 'x'",
    ),
    "crop": (
        ["a.png", "--crop", "5"],
        "input 'data': expected images of (3, 6, 6), the preparation makes (3, 5, 5)",
    ),
    "crop_too_large": (
        ["a.png", "--crop", "9"],
        "crop_size 9 is larger than the image of shape (3, 6, 6)",
    ),
    "transform": (
        ["a.png", "--transform", "deploy.prototxt"],
        "deploy.prototxt: no layer of its TEST phase has a transform_param",
    ),
}


@pytest.mark.parametrize(("args", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(cli, net, args, message):
    assert cli("classify", "deploy.prototxt", "w.caffemodel", *args).error() == message


def test_nets_that_take_no_images(cli, net, tmp_path):
    (tmp_path / "n.prototxt").write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [2, 5] } } }'
        'layer { name: "y" type: "ReLU" bottom: "x" top: "y" }'
    )
    assert cli("classify", "n.prototxt", "w.caffemodel", "a.png").error() == (
        "input 'x': expected the shape (N, 3, H, W) or (N, 1, H, W) for images, got (2, 5)"
    )
    (tmp_path / "m.prototxt").write_text('layer { name: "x" type: "Parameter" top: "x" }')
    assert cli("classify", "m.prototxt", "w.caffemodel", "a.png").error() == (
        "m.prototxt: the net has no loss"
    )
