"""protonet.dnn beside cv2.dnn: the same inputs, the same outputs."""

from pathlib import Path

import numpy as np
import pytest
from places import MODELS

import protonet
from protonet import dnn
from protonet.errors import GraphError, PrototxtError, ShapeError, SnapshotError
from protonet.schema.read import parse_net

RNG = np.random.default_rng(6)
# all that OpenCV reads, but for the two whose weights take hundreds of megabytes
NETS = [
    "lenet_deploy",
    "cifar10_full/deploy",
    "cifar10_quick/deploy",
    "googlenet/deploy",
    "mnist_autoencoder/deploy",
    "mnist_siamese/deploy",
    "mobilenet_v1/deploy",
    "resnet50/deploy",
    "squeezenet_v1.1/deploy",
]
BRANCHED = """
name: "branched"
input: "data" input_dim: 1 input_dim: 3 input_dim: 11 input_dim: 9
input: "more" input_dim: 1 input_dim: 4 input_dim: 5 input_dim: 4
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 stride: 2 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "sum" type: "Eltwise" bottom: "conv" bottom: "more" top: "sum" }
layer { name: "drop" type: "Dropout" bottom: "sum" top: "sum" }
layer { name: "ip" type: "InnerProduct" bottom: "sum" top: "ip"
  inner_product_param { num_output: 7 weight_filler { type: "xavier" } } }
layer { name: "pool" type: "Pooling" bottom: "sum" top: "pool"
  pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""


@pytest.fixture(scope="module")
def cv2():
    return pytest.importorskip("cv2", reason="OpenCV, the peer, is not installed")


def filled(path, folder):
    """Save random weights for a net; return the path."""
    net = protonet.Net(path, protonet.TEST)
    for layer in net.layers:
        for i, blob in enumerate(layer.blobs):
            if i == 0 and len(blob.shape) > 1:
                fan = np.prod(blob.shape[1:])
                blob.data[...] = RNG.standard_normal(blob.shape) * np.sqrt(2 / fan)
            else:
                blob.data[...] = RNG.random(blob.shape) * 0.1 + (
                    layer.type in ("BatchNorm", "Scale")
                )
    net.save(folder / "w.caffemodel")
    return str(folder / "w.caffemodel")


@pytest.fixture
def branched(tmp_path):
    """The paths of a net with branches and two inputs, and of weights for it."""
    (tmp_path / "n.prototxt").write_text(BRANCHED)
    return str(tmp_path / "n.prototxt"), filled(tmp_path / "n.prototxt", tmp_path)


def inputs():
    return {
        "data": RNG.standard_normal((2, 3, 11, 9)).astype(np.float32),
        "more": RNG.standard_normal((2, 4, 5, 4)).astype(np.float32),
    }


def close(ours, theirs):
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, atol=2e-5 * max(1.0, np.abs(theirs).max()))


# --- beside OpenCV ---------------------------------------------------------------------------
@pytest.mark.parametrize("name", NETS)
def test_zoo(cv2, tmp_path, name):
    path = str(MODELS / f"{name}.prototxt")
    weights = filled(path, tmp_path)
    ours, theirs = dnn.readNetFromCaffe(path, weights), cv2.dnn.readNetFromCaffe(path, weights)
    theirs.enableFusion(False)  # with it, asking for one blob after another spoils their weights
    assert ours.getLayerNames() == theirs.getLayerNames()
    assert ours.getLayerTypes() == theirs.getLayerTypes()
    assert ours.getUnconnectedOutLayersNames() == theirs.getUnconnectedOutLayersNames()
    source = protonet.schema.read.read_net(path).message.layer[0].input_param.shape[0].dim
    x = RNG.standard_normal(tuple(source)).astype(np.float32)
    for net in (ours, theirs):
        net.setInput(x)
    close(ours.forward(), theirs.forward())
    some = [ours.getLayerNames()[i] for i in (0, 3, -2)]
    for a, b in zip(ours.forward(some), theirs.forward(some), strict=True):
        close(a, b)


def test_branches(cv2, branched):
    given = inputs()

    def fed(module):
        # OpenCV's net is good for one request: those after it see blobs changed in place
        net = module.readNetFromCaffe(*branched)
        for name, values in given.items():
            net.setInput(values, name, 0.5, (1, 2, 3) if name == "data" else 4)
        return net

    ours, theirs = fed(dnn), fed(cv2.dnn)
    assert ours.getLayerNames() == theirs.getLayerNames()
    assert ours.getUnconnectedOutLayersNames() == theirs.getUnconnectedOutLayersNames()
    got, want = ours.getUnconnectedOutLayers(), theirs.getUnconnectedOutLayers()
    np.testing.assert_array_equal(got, want)
    assert got.dtype == want.dtype
    for name in ours.getLayerNames():
        close(ours.forward(name), fed(cv2.dnn).forward(name))
        assert ours.getLayerId(name) == theirs.getLayerId(name)
        assert ours.getLayer(name).type == theirs.getLayer(name).type
    assert ours.getLayerId("gone") == theirs.getLayerId("gone") == -1
    assert ours.getLayersCount("Pooling") == theirs.getLayersCount("Pooling") == 1
    close(ours.getParam("conv", 1).ravel(), theirs.getParam("conv", 1).ravel())
    close(ours.forward(), theirs.forward())


IMAGES = {
    "bytes": RNG.integers(0, 256, (20, 30, 3), np.uint8),
    "grey": RNG.integers(0, 256, (21, 17), np.uint8),
    "four": RNG.integers(0, 256, (20, 30, 4), np.uint8),
    "floats": RNG.random((20, 31, 3)).astype(np.float32),
}
OPTIONS = {
    "nothing": {},
    "size": {"size": (13, 11)},
    "larger": {"size": (40, 50)},
    "crop": {"size": (13, 11), "crop": True},
    "crop_larger": {"size": (37, 45), "crop": True},
    "one_mean": {"mean": 100},
    "values": {"scalefactor": 0.017, "mean": (104, 117, 123)},
    "swapped": {"mean": (104, 117, 123), "swapRB": True, "size": (12, 12)},
}


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_blob_from_image(cv2, image, options):
    ours = dnn.blobFromImage(IMAGES[image], **options)
    theirs = cv2.dnn.blobFromImage(IMAGES[image], **options)
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    if image == "floats":
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    else:
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_blob_from_images(cv2):
    images = [RNG.integers(0, 256, (20 + k, 30 - k, 3), np.uint8) for k in range(3)]
    for options in ({}, {"size": (8, 9)}, {"size": (8, 9), "ddepth": 0}):
        ours, theirs = (
            dnn.blobFromImages(images, **options),
            cv2.dnn.blobFromImages(images, **options),
        )
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    for a, b in zip(
        dnn.imagesFromBlob(ours), cv2.dnn.imagesFromBlob(theirs.astype("f4")), strict=True
    ):
        np.testing.assert_array_equal(a, b)


# --- by itself -------------------------------------------------------------------------------
def test_contents_instead_of_paths(branched):
    path, weights = branched
    text, data = (Path(name).read_bytes() for name in branched)
    want = dnn.readNetFromCaffe(path, weights).getParam("ip")
    for net in (
        dnn.readNetFromCaffe(text, data),
        dnn.readNetFromCaffe(bytearray(text), memoryview(data)),
        dnn.readNetFromCaffe(np.frombuffer(text, np.uint8), np.frombuffer(data, np.uint8)),
        dnn.readNet(weights, path),
        dnn.readNet(path, weights),
    ):
        np.testing.assert_array_equal(net.getParam("ip"), want)
    assert dnn.readNetFromCaffe(text).getParam("conv").shape == (4, 3, 3, 3)


def test_results_are_copies(branched):
    net = dnn.readNetFromCaffe(*branched)
    for name, values in inputs().items():
        net.setInput(values, name)
    first = net.forward("relu")
    kept = first.copy()
    net.setInput(np.zeros((2, 3, 11, 9)), "data")
    assert not np.array_equal(net.forward("relu"), kept)
    np.testing.assert_array_equal(first, kept)
    conv, relu = net.forward(["conv", "relu"])
    np.testing.assert_array_equal(np.maximum(conv, 0), relu)
    ((again,),) = net.forwardAndRetrieve(["relu"])
    np.testing.assert_array_equal(again, relu)


def test_parameters_and_facts(branched):
    net = dnn.readNetFromCaffe(*branched)
    net.setParam("ip", 1, np.arange(7.0))
    assert net.getLayer("ip").blobs[1].tolist() == list(range(7))
    assert net.getLayer(0).type == "__NetInputLayer__"
    assert net.getLayersCount("__NetInputLayer__") == 1
    net.setInput(inputs()["more"], "more")
    assert net.getFLOPS((2, 3, 11, 9)) == 2 * 2 * (4 * 5 * 4 * 27 + 80 * 7)
    net.forward()
    ticks, each = net.getPerfProfile()
    assert ticks > 0
    assert each.shape == (7, 1)
    net.setInputsNames(["image", "rest"])
    net.setInput(inputs()["data"], "image")
    net.setPreferableBackend(dnn.DNN_BACKEND_OPENCV)
    net.setPreferableTarget(dnn.DNN_TARGET_CPU)
    net.enableFusion(False)
    net.enableWinograd(False)
    assert net.forward().shape == (2, 7)
    assert (dnn.Net().empty(), net.empty()) == (True, False)


def test_plain_sums_on_demand(tmp_path):
    text = """
    input: "x" input_shape { dim: 64 dim: 32 dim: 12 dim: 12 }
    layer { name: "c" type: "Convolution" bottom: "x" top: "y"
      convolution_param { num_output: 32 kernel_size: 3 weight_filler { type: "gaussian" } } }
    """
    path = tmp_path / "wide.prototxt"
    path.write_text(text)
    x = np.random.default_rng(1).standard_normal((64, 32, 12, 12), np.float32)

    def run(net, *allowed):
        for each in allowed:
            net.enableWinograd(each)
        net.setInput(x)
        return net.forward()

    net = dnn.readNetFromCaffe(str(path))
    weights = net.getLayer("c").blobs[0]
    fast, plain, again = run(net), run(net, False), run(net, False, True)
    np.testing.assert_array_equal(again, fast)
    assert (plain != fast).any()
    np.testing.assert_allclose(plain, fast, rtol=0, atol=1e-5 * np.abs(plain).max())
    path.write_text(text.replace("kernel_size: 3", "kernel_size: 3 engine: CAFFE"))
    net = dnn.readNetFromCaffe(str(path))
    net.setParam("c", 0, weights)
    np.testing.assert_array_equal(run(net), plain)


def test_training_nets_take_images(tmp_path):
    text = """
    layer { name: "d" type: "Data" top: "x" top: "l" transform_param { crop_size: 6 }
      data_param { source: "gone" batch_size: 2 } }
    layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
      inner_product_param { num_output: 5 } }
    layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "l" top: "loss" }
    """
    assert parse_net(text).message.layer
    net = dnn.readNetFromCaffe(text.encode())
    net.setInput(np.ones((2, 3, 6, 6)))
    assert net.getLayerNames() == ("ip", "prob")
    np.testing.assert_allclose(net.forward(), np.full((2, 5), 0.2), rtol=1e-6)


MISTAKES = {
    "input": (lambda n: n.setInput(1, "dta"), GraphError, "no input 'dta'; did you mean 'data'?"),
    "layer": (lambda n: n.forward("cnv"), GraphError, "no layer 'cnv'; did you mean 'conv'?"),
    "number": (lambda n: n.getLayer(99), GraphError, "expected a layer from 0 to 7, got 99"),
    "param": (lambda n: n.getParam("relu"), GraphError, "'relu' has 0 parameter blobs"),
    "names": (lambda n: n.setInputsNames(["a"]), GraphError, "expected 2 names of inputs, got 1"),
    "empty": (lambda n: dnn.Net().setInput(1), GraphError, "the net is empty"),
    "framework": (lambda n: dnn.readNet("a", "b", "torch"), PrototxtError, "got 'torch'"),
    "file": (lambda n: dnn.readNetFromCaffe("gone.prototxt"), PrototxtError, "no such file"),
    "text": (lambda n: dnn.readNetFromCaffe(b"layer {"), PrototxtError, "prototxt:1:"),
    "image": (lambda n: dnn.blobFromImage(np.ones(3)), ShapeError, r"an image \(H, W\)"),
    "images": (lambda n: dnn.blobFromImages([]), ShapeError, "an image at least"),
    "channels": (
        lambda n: dnn.blobFromImages([np.ones((4, 5, 3)), np.ones((4, 5))]),
        ShapeError,
        "one number of channels",
    ),
    "depth": (
        lambda n: dnn.blobFromImage(np.ones((4, 5), np.uint8), 2, ddepth=0),
        ShapeError,
        "CV_8U takes",
    ),
    "blob": (lambda n: dnn.imagesFromBlob(np.ones((2, 3))), ShapeError, r"\(N, C, H, W\)"),
}


@pytest.mark.parametrize(("call", "kind", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(branched, call, kind, message):
    net = dnn.readNetFromCaffe(*branched)
    with pytest.raises(kind, match=message):
        call(net)


def test_weights_that_are_none(branched):
    with pytest.raises(SnapshotError, match="expected the binary weights of a net, found text"):
        dnn.readNetFromCaffe(branched[0], b"some text")
