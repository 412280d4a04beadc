"""The nets in models/: current files, the figures of their papers, and that each of them learns."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from places import MODELS, REFERENCE, ROOT

import protonet
from protonet.facts import layer_facts
from protonet.graph import build_graph
from protonet.layer import TEST, TRAIN
from protonet.net import Net
from protonet.plan import build_plan
from protonet.schema import caffe_pb2 as pb
from protonet.schema.read import NetSource, SolverSource, parse_net, read_any, read_net, read_solver
from protonet.solvers import get_solver

FILES = sorted(str(path.relative_to(MODELS)) for path in MODELS.rglob("*.prototxt"))
FOLDERS = sorted(path.parent for path in MODELS.glob("*/deploy.prototxt"))
FIRST_FORM = {"lenet.prototxt", "lenet_dsn.prototxt"}  # as the lecture prints them

# net: learned parameters, multiply-adds for one image (or sequence)
FIGURES = {
    "lenet_deploy": (431_080, 2_293_000),
    "cifar10_quick/deploy": (145_578, 12_354_176),
    "cifar10_full/deploy": (89_578, 12_298_240),
    "mnist_autoencoder/deploy": (2_837_314, 2_833_000),
    "mnist_siamese/deploy": (431_102, 2_293_020),
    "mnist_lstm/deploy": (81_674, 2_272_256),
    "caffenet/deploy": (60_965_224, 724_406_816),
    "googlenet/deploy": (6_998_552, 1_582_671_872),
    "vgg16/deploy": (138_357_544, 15_470_264_320),
    "resnet50/deploy": (25_557_032, 3_857_973_248),
    "squeezenet_v1.1/deploy": (1_235_496, 387_747_520),
    "mobilenet_v1/deploy": (4_231_976, 568_740_352),
}
# What is learned is the same in training, but for GoogLeNet's extra classifiers.
LEARNED = {name.replace("deploy", "train_val"): count for name, (count, _) in FIGURES.items()}
LEARNED["lenet_train_test"] = LEARNED.pop("lenet_train_val")
LEARNED["googlenet/train_val"] = 13_378_280

# A small size at which every layer still has something to do, for normalization two images.
SMALL = {
    "lenet_train_test": (2, 1, 28, 32),
    "cifar10_quick/train_val": (2, 3, 32, 24),
    "cifar10_full/train_val": (2, 3, 32, 24),
    "mnist_autoencoder/train_val": (2, 1, 28, 28),
    "mnist_siamese/train_val": (6, 1, 28, 32),
    "mnist_lstm/train_val": (3, 1, 28, 28),
    "caffenet/train_val": (2, 3, 67, 99),
    "googlenet/train_val": (1, 3, 96, 80),
    "vgg16/train_val": (1, 3, 32, 64),
    "resnet50/train_val": (2, 3, 64, 48),
    "squeezenet_v1.1/train_val": (1, 3, 64, 48),
    "mobilenet_v1/train_val": (2, 3, 64, 48),
}
# Shifting both points of a pair alike changes no distance, and nothing else is behind these biases.
WITHOUT_EFFECT = {"mnist_siamese/train_val": {("ip2", 1), ("feat", 1)}}


@cache
def plan(name, phase, shapes=()):
    source = read_net(MODELS / f"{name}.prototxt")
    return build_plan(build_graph(source, phase), dict(shapes), static=True)


def deployed(name):
    return re.sub("train_(val|test)", "deploy", name)


def learned(plan):
    """Return how many values a solver changes."""
    return sum(param.blob.count for param in plan.learnable() if param.lr_mult)


def multiply_adds(plan):
    return sum(fact.multiply_adds for fact in layer_facts(plan))


# --- the files ---------------------------------------------------------------------------------
@pytest.mark.parametrize("name", FILES)
def test_is_read_and_current(name):
    read = read_any(MODELS / name)
    kind = pb.SolverParameter if isinstance(read, SolverSource) else pb.NetParameter
    written = text_format.Parse((MODELS / name).read_text(), kind())
    assert (written == read.message) == (name not in FIRST_FORM)


def test_every_net_has_three_parts():
    assert len(FOLDERS) == 11
    for folder in FOLDERS:
        for part in ("train_val", "solver", "deploy"):
            assert (folder / f"{part}.prototxt").is_file()


def test_generated_nets_are_what_the_generator_writes():
    command = [sys.executable, "-m", "tools.models", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


# --- shapes and figures ------------------------------------------------------------------------
@pytest.mark.parametrize("name", FIGURES)
def test_figures(name):
    used = plan(name, TEST)
    assert (learned(used), multiply_adds(used)) == FIGURES[name]
    assert sum(fact.parameters for fact in layer_facts(used)) == FIGURES[name][0]


def test_squeezenet_at_the_size_of_others():
    small = plan("squeezenet_v1.1/deploy", TEST, (("data", (1, 3, 224, 224)),))
    assert multiply_adds(small) == 349_151_936


@pytest.mark.parametrize("name", LEARNED)
def test_plans_in_both_phases(name):
    train, test = plan(name, TRAIN), plan(name, TEST)
    assert learned(train) == learned(test) == LEARNED[name]
    scored = {step.node.type for step in test.steps} - {step.node.type for step in train.steps}
    judged = not name.startswith(("mnist_autoencoder", "mnist_siamese"))
    assert ("Accuracy" in scored) == judged
    assert all(math.prod(blob.shape) for blob in [*train.blobs.values(), *test.blobs.values()])
    for assumed in (*train.assumed, *test.assumed):
        assert "ilsvrc12" in assumed or "cifar10" in assumed


@pytest.mark.parametrize("name", LEARNED)
def test_weights_fit_the_deployed_net(name):
    trained = {(p.layer, p.index): p.blob.shape for p in plan(name, TRAIN).params}
    wanted = {(p.layer, p.index): p.blob.shape for p in plan(deployed(name), TEST).params}
    assert wanted.items() <= trained.items()


def test_readme_tells_the_figures():
    readme = (MODELS / "README.md").read_text()
    rows = re.findall(r"^\| \[.*?\]\((\S+?)\) \| .* \| ([\d,]+) \| ([\d,]+) \|$", readme, re.M)
    told = {
        path.removesuffix("/").removesuffix("_train_test.prototxt"): (
            int(parameters.replace(",", "")),
            int(operations.replace(",", "")),
        )
        for path, parameters, operations in rows
    }
    assert told == {re.sub("[_/]deploy$", "", name): both for name, both in FIGURES.items()}


# --- learning ----------------------------------------------------------------------------------
def small_net(name, shape, phase=TRAIN):
    """Return a train_val net as it is, but for the source: blobs to be filled, of ``shape``."""
    net = read_net(MODELS / f"{name}.prototxt").message
    for layer in list(net.layer):
        if layer.type == "DummyData":
            for given in layer.dummy_data_param.shape:
                given.dim[1] = shape[0]
        if layer.type != "Data":
            continue
        if layer.include[0].phase == pb.TEST:
            net.layer.remove(layer)
            continue
        del layer.include[:]
        layer.type = "Input"
        layer.ClearField("data_param")
        layer.ClearField("transform_param")
        for dims in (shape, shape[:1])[: len(layer.top)]:
            layer.input_param.shape.add(dim=dims)
    return Net(NetSource.of(net), phase)


def fill(net, shape):
    """Write pixels, and labels of which some are equal, into what takes the source's place."""
    rng = np.random.default_rng(3)
    for name in net.top_names[net.layers[0].name]:
        blob = net.blobs[name]
        blob.data[...] = rng.random(blob.shape) if blob.shape == shape else np.arange(shape[0]) // 2


@pytest.mark.parametrize("name", SMALL)
def test_learns(name):
    protonet.set_random_seed(7)
    shape = SMALL[name]
    net = small_net(name, shape)
    fill(net, shape)
    loss = net.run_forward()
    assert math.isfinite(loss) and loss > 0
    net.run_backward()
    for param in net.learnable:
        gradient, which = param.blob.diff, (param.layer, param.index)
        assert np.isfinite(gradient).all(), which
        if which not in WITHOUT_EFFECT.get(name, ()):
            assert gradient.any() == (param.lr_mult != 0), which


@pytest.mark.parametrize("name", SMALL)
def test_deployed_net_computes_the_same(name):
    protonet.set_random_seed(7)
    shape = SMALL[name]
    deploy = read_net(MODELS / f"{deployed(name)}.prototxt").message
    normalized = any(layer.type == "BatchNorm" for layer in deploy.layer)
    phase = TRAIN if normalized else TEST  # there are no running statistics yet
    net = small_net(name, shape, phase)
    fill(net, shape)
    net.run_forward()
    fed = list(deploy.layer[0].top)
    for blob, given in zip(fed, deploy.layer[0].input_param.shape, strict=True):
        given.dim[:] = net.blobs[blob].shape
    used = Net(NetSource.of(deploy), phase, share_with=net)
    used.forward(**{blob: net.blobs[blob].data for blob in fed})
    last = [blob for blob in used.blobs if blob in net.blobs][-1]
    assert last in used.bottom_names[used.layers[-1].name] + used.outputs
    got, expected = used.blobs[last].data, net.blobs[last].data
    got = got[-1] if got.ndim > expected.ndim else got  # the LSTM's last step
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_siamese_pairs_share_weights_and_know_their_labels():
    shape = SMALL["mnist_siamese/train_val"]
    net = small_net("mnist_siamese/train_val", shape)
    fill(net, shape)
    net.blobs["both_labels"].data[...] = [4, 1, 9, 4, 2, 9]
    net.run_forward()
    np.testing.assert_array_equal(net.blobs["similar"].data, [1, 0, 1])
    for name in ("conv1", "conv2", "ip1", "ip2", "feat"):
        for mine, twin in zip(net.params[name], net.params[f"{name}_p"], strict=True):
            assert np.shares_memory(mine.data, twin.data)
    both, pairs = net.blobs["both"].data, [net.blobs[b].data for b in ("data", "data_p")]
    np.testing.assert_array_equal(np.concatenate(pairs), both)


def test_lstm_reads_images_row_by_row():
    shape = SMALL["mnist_lstm/train_val"]
    net = small_net("mnist_lstm/train_val", shape)
    fill(net, shape)
    net.run_forward()
    np.testing.assert_array_equal(
        net.blobs["rows"].data, net.blobs["data"].data[:, 0].transpose(1, 0, 2)
    )
    np.testing.assert_array_equal(net.blobs["cont"].data.sum(axis=1), [0] + [3] * 27)
    np.testing.assert_array_equal(net.blobs["last"].data, net.blobs["lstm"].data[-1])


# --- solvers -----------------------------------------------------------------------------------
TINY = """
layer { name: "x" type: "DummyData" top: "x" top: "t"
  dummy_data_param { shape { dim: 2 dim: 3 } data_filler { type: "gaussian" } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }
"""


def two_iterations(name, net, folder):
    """Run a solver of ours for two iterations and a short test, on ``net`` in place of its own."""
    source = read_solver(MODELS / name)
    param = source.message
    assert (MODELS / name).with_name(param.net).is_file()
    assert param.max_iter > param.test_interval > 0 and param.snapshot > 0
    param.ClearField("net")
    param.net_param.CopyFrom(net)
    param.test_iter[:] = [1] * len(param.test_iter)
    param.max_iter = param.test_interval = 2
    param.snapshot_prefix = str(folder / "run")
    param.random_seed = 5
    solver = get_solver(SolverSource.of(param))
    start = solver.net.param_data.copy()
    solver.solve()
    assert solver.iter == 2 and all(map(math.isfinite, solver.losses))
    assert (solver.net.param_data != start).mean() > 0.1
    return solver


BUNDLED = {
    "lenet_solver.prototxt": "lenet_train_test",
    "lenet_solver_adam.prototxt": "lenet_train_test",
    "lenet_solver_rmsprop.prototxt": "lenet_train_test",
    "lenet_solver_multistep.prototxt": "lenet_train_test",
    "mnist_autoencoder/solver.prototxt": "mnist_autoencoder/train_val",
    "mnist_siamese/solver.prototxt": "mnist_siamese/train_val",
    "mnist_lstm/solver.prototxt": "mnist_lstm/train_val",
}


@pytest.mark.parametrize("name", BUNDLED)
def test_solver_on_mnist(name, tmp_path):
    net = read_net(MODELS / f"{BUNDLED[name]}.prototxt").message
    for layer in net.layer:
        if layer.type == "Data":  # a thousand of the same images, which need not be unpacked
            layer.data_param.source = str(REFERENCE / "mnist-1k-lmdb")
            layer.data_param.batch_size = 4
        for shape in layer.dummy_data_param.shape:
            shape.dim[1] = 4
    solver = two_iterations(name, net, tmp_path)
    assert len(solver.test_nets) == (2 if "autoencoder" in name else 1)


@pytest.mark.parametrize("folder", [f.name for f in FOLDERS if not f.name.startswith("mnist_")])
def test_solver_elsewhere(folder, tmp_path):
    """Its sources are not here: what the solver says is tried on another net."""
    solver = two_iterations(f"{folder}/solver.prototxt", parse_net(TINY).message, tmp_path)
    assert Path(f"{solver.snapshot_prefix}_iter_2.caffemodel").is_file()
