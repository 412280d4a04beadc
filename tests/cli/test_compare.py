"""protonet compare: the table, the figure, intervals, and its errors."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from places import MODELS

from protonet.lab import solver_for, train
from protonet.schema.read import read_any
from protonet.spread import Spread, difference, t_quantile
from protonet.watch import figures
from protonet.watch.history import read_history

LENET, DSN = MODELS / "lenet.prototxt", MODELS / "lenet_dsn.prototxt"


def test_two_nets(cli, small_mnist):
    pytest.importorskip("matplotlib")
    result = cli("compare", LENET, DSN, "--seeds", 2, "max_iter=8", "base_lr=0.02")
    assert result.code == 0, result.err
    assert [line.split(":")[0] for line in result.err.splitlines()] == [
        "lenet, seed 1",
        "lenet_dsn, seed 1",
        "lenet, seed 2",
        "lenet_dsn, seed 2",
    ]
    rows = [line.split() for line in result.out.splitlines() if " ± " in line]
    assert [row[:2] for row in rows] == [
        ["lenet", "loss"],
        ["lenet_dsn", "l1"],
        ["loss", rows[2][1]],
    ]
    assert re.search(r"lenet_dsn - lenet: [-+][\d.]+ \(95 % interval ", result.out)
    assert Path("runs/compare/compare.svg").exists()
    table = Path("runs/compare/compare.md").read_text()
    assert table.startswith("| net | head | test error % |")
    history = read_history("runs/compare/lenet-seed2")
    assert history.train[0]["lr"] == pytest.approx(0.02)
    assert [r["iter"] for r in history.tests] == [4, 8]


def test_the_same_records_in_the_same_order(small_mnist, monkeypatch):
    monkeypatch.chdir(small_mnist)
    seen = []
    for path in (LENET, DSN):
        batches = []

        def keep(solver, batches=batches):
            labels = solver.net.blobs["label"]
            solver.add_callback(lambda: None, lambda: batches.append(labels.data.copy()))

        train("x", solver_for(read_any(path), ["max_iter=3"], 7), prepare=keep)
        seen.append(np.concatenate(batches))
    np.testing.assert_array_equal(*seen)


def test_a_training_that_diverges_is_told(small_mnist, monkeypatch):
    monkeypatch.chdir(small_mnist)
    run = train("x", solver_for(read_any(LENET), ["max_iter=30", "base_lr=1e9"], 1))
    assert run.diverged
    assert math.isnan(run.last_test("loss"))


def test_other_sources(cli, small_mnist):
    text = LENET.read_text().replace("mnist-train-leveldb", "other-train-leveldb")
    (small_mnist / "other.prototxt").write_text(text)
    (small_mnist / "mnist-train-leveldb").rename(small_mnist / "other-train-leveldb")
    (small_mnist / "mnist-test-leveldb").rename(small_mnist / "other-test-leveldb")
    message = cli("compare", LENET, "other.prototxt").error()
    assert message == (
        f"other.prototxt: reads other-train-leveldb, while {LENET} reads mnist-train-leveldb: "
        "nets are compared on the same data"
    )
    assert not Path("runs/compare").exists()


def test_one_net_is_too_few(cli):
    message = cli("compare", LENET, "max_iter=3").error()
    assert message == "give two nets or more to compare, got 1"


# --- how sure means are -----------------------------------------------------------------------
def test_spread():
    assert Spread.of([1.0, 2.0, 4.5]).text() == "2.50 ± 1.80"
    assert Spread.of([1.0]).text() == "1.00"
    assert math.isnan(Spread.of([]).mean)


def test_welch():
    # the density of t with 2.7948 degrees of freedom, integrated numerically
    apart = difference([3, 4, 5.5], [1, 1.5, 2.5, 2])
    assert apart.value == pytest.approx(2.41667, abs=1e-4)
    assert (apart.low, apart.high) == pytest.approx((-0.22136, 5.05469), abs=0.03)
    assert not difference([1.0], [2.0]).clear
    assert difference([1.0, 1.0], [2.0, 2.0]).clear


@pytest.mark.parametrize(
    "freedom, t", [(1, 12.706), (4, 2.776), (11, 2.201), (40, 2.021), (1e9, 1.96)]
)
def test_students_t(freedom, t):
    assert t_quantile(freedom) == pytest.approx(t, rel=2e-3)


def test_bands_of_curves_that_end_early(tmp_path):
    pytest.importorskip("matplotlib")
    with figures.figure(tmp_path / "f.svg", 1, 1, (2, 2)) as (_, axes):
        figures.band(axes[0, 0], [([0, 1, 2], [1.0, 2.0, 3.0]), ([0, 1], [3.0, 4.0])], "k", "a")
        figures.band(axes[0, 0], [], "k", "none")
        line = axes[0, 0].lines[0]
        np.testing.assert_allclose(line.get_ydata(), [2, 3, 3])
