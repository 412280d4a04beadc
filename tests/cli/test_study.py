"""protonet study: how studies are found and written, and the measures they compute."""

import re
from pathlib import Path

import numpy as np
import pytest
from places import MODELS

import protonet
from protonet.errors import GraphError
from protonet.lab import solver_for
from protonet.schema.read import parse_net, read_net
from protonet.solvers import get_solver
from protonet.study import features, momentum, pairs, study

NAMES = (
    "neuron losses activations vanishing supervision small_data features exploding momentum "
    "normalization"
).split()


def test_all_studies_are_found_in_the_lectures_order(cli):
    assert [one.name for one in study.studies()] == NAMES
    lines = cli("study", "--list").out.splitlines()
    assert [line.split()[0] for line in lines] == NAMES


def test_one_study(cli):
    pytest.importorskip("matplotlib")
    result = cli("study", "neuron", "--quick")
    assert result.code == 0, result.err
    found = re.search(
        r"takes (\d+) iterations .* squared loss, (\d+) with cross-entropy", result.out
    )
    slow, fast = map(int, found.groups())
    assert fast < 30 < 150 < slow
    page = Path("studies/neuron.md").read_text()
    assert "Does the data support it? Yes." in page
    assert "Made by `protonet study neuron --quick`." in page
    assert Path("studies/neuron.svg").exists()
    summary = Path("studies/README.md").read_text()
    assert "| [neuron](neuron.md) | The neuron takes " in summary
    assert "| yes | `protonet study neuron --quick` |" in summary


def test_the_neuron_against_its_formula():
    """Two steps of gradient descent by hand: z = w + b, w and b move alike."""
    solver = get_solver(
        solver_for(
            read_net(study.model("neuron_squared")),
            ["max_iter=2", "base_lr=0.15", "lr_policy=fixed", "momentum=0", "weight_decay=0"],
            1,
        )
    )
    w = 2.0
    for _ in range(2):
        y = 1 / (1 + np.exp(-2 * w))
        solver.step(1)
        assert solver.net.blobs["y"].data[0, 0] == pytest.approx(y, rel=1e-6)
        w -= 0.15 * y * y * (1 - y)
        assert solver.net.params["neuron"][0].data[0, 0] == pytest.approx(w, rel=1e-6)


def test_squared_loss_of_the_one_hot_target():
    net = protonet.Net(MODELS / "lecture/lenet_squared.prototxt", protonet.TRAIN)
    net.forward()
    label = net.blobs["label"].data.astype(int)
    np.testing.assert_array_equal(net.blobs["target"].data, np.eye(10, dtype=np.float32)[label])
    off = net.blobs["prob"].data - np.eye(10)[label]
    assert float(net.blobs["loss"].data) == pytest.approx((off**2).sum() / 2 / len(label), rel=1e-5)


def test_a_study_that_does_not_exist(cli):
    message = cli("study", "neurons").error()
    assert message == "there is no study 'neurons'; did you mean 'neuron'?"
    with pytest.raises(GraphError, match="there are: neuron, losses"):
        study.chosen(["zzz"])


def test_every_study_has_a_claim_and_nets_of_its_own():
    for path in (MODELS / "lecture").glob("*.prototxt"):
        # an installed protonet brings copies of its own
        assert study.model(path.stem).read_bytes() == path.read_bytes()
        for phase in (protonet.TRAIN, protonet.TEST):
            assert protonet.Net(path, phase).learnable


def test_a_probe_finds_what_is_linear():
    rng = np.random.default_rng(2)
    label = np.arange(300) % 4
    apart = np.eye(4)[label] * 4
    for width in (40, 400):  # fewer and more features than records
        x = np.concatenate([apart, rng.standard_normal((300, width))], axis=1)
        assert features.probe(x, label) > 0.85
    assert features.probe(rng.standard_normal((300, 40)), label) < 0.5


def test_principal_components():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((200, 5)) * [1, 9, 1, 4, 1] + 7
    at = features.principal(x)
    assert abs(np.corrcoef(at[:, 0], x[:, 1])[0, 1]) > 0.99
    assert abs(np.corrcoef(at[:, 1], x[:, 3])[0, 1]) > 0.95


def test_the_plane_of_a_path():
    t = np.linspace(0, 1, 9)[:, None]
    points = 3 + t * [[0, 2, 0, 0]] + t**2 * [[0, 0, 0, 1]]
    centre, plane = momentum._plane(points)
    flat = (points - centre) @ plane.T
    np.testing.assert_allclose(centre + flat @ plane, points, atol=1e-12)


@pytest.mark.parametrize(
    "counts, text",
    [
        ([250], "250"),
        ([200, 300], "250 ± 71"),
        ([None, 200], "200 (1 of 2 never)"),
        ([None], "never"),
    ],
)
def test_how_long_runs_took(counts, text):
    assert pairs.told(counts) == text


def test_a_net_with_tests_of_its_own_keeps_them():
    solver = get_solver(solver_for(read_net(study.model("deep_sigmoid")), ["max_iter=100"], 1))
    assert solver.param.test_iter[0] == 100
    assert set(solver.test_nets[0].outputs) == {"accuracy", "loss"}


def test_a_bare_net_gets_one():
    text = (MODELS / "lenet.prototxt").read_text()
    solver = get_solver(solver_for(parse_net(text), ["max_iter=1000"], 1))
    assert solver.param.test_interval == 250
    assert "loss_accuracy" in solver.test_nets[0].outputs
