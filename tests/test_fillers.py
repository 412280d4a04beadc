"""Fillers against recorded values, recorded statistics, and their error messages."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from recordings import load

from protonet import fillers
from protonet.errors import ProtonetError
from protonet.schema import caffe_pb2 as pb

REFERENCE = Path(__file__).parent / "reference" / "fillers"
CASES = json.loads((REFERENCE / "fillers.json").read_text())
EXACT = [c for c in CASES if c["kind"] == "exact"]
RANDOM = [c for c in CASES if c["kind"] == "random"]


def parse(text):
    return text_format.Parse(text, pb.FillerParameter())


def filled(text, shape, rng):
    array = np.full(shape, np.nan, np.float32)
    fillers.fill(array, parse(text), rng)
    return array


def name(case):
    return f"{case['filler']} {case['shape']}"


@pytest.mark.parametrize("case", EXACT, ids=name)
def test_exact(case):
    want = load(REFERENCE / "exact.npz")[case["array"]]
    got = filled(case["filler"], case["shape"], np.random.default_rng(0))
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("case", RANDOM, ids=name)
def test_statistics(case):
    want, rng = case["observed"], np.random.default_rng(7)
    draws = -(-want["count"] // math.prod(case["shape"]))
    all_draws = [filled(case["filler"], case["shape"], rng) for _ in range(draws)]
    values = np.stack(all_draws).astype(np.float64)
    assert values.size == want["count"]

    error = want["std"] / math.sqrt(values.size)  # of a mean; both sides are random
    assert abs(values.mean() - want["mean"]) < 6 * error
    assert values.std() == pytest.approx(want["std"], rel=0.01)
    assert (values == 0).mean() == pytest.approx(want["zero_share"], abs=0.005)
    spread = want["max"] - want["min"]
    slack = 0.25 if "gaussian" in case["filler"] or "msra" in case["filler"] else 0.001
    if "row_sum_min" in want:
        slack = 0.25
        rows = values.reshape(draws, case["shape"][0], -1).sum(axis=2)
        assert abs(rows - 1).max() < 1e-5
    assert values.min() == pytest.approx(want["min"], abs=slack * spread)
    assert values.max() == pytest.approx(want["max"], abs=slack * spread)
    if "std_of_nonzero" in want:
        assert values[values != 0].std() == pytest.approx(want["std_of_nonzero"], rel=0.02)


def test_one_seed_one_result():
    first, second = (filled("type: 'msra'", (3, 5), np.random.default_rng(4)) for _ in "ab")
    np.testing.assert_array_equal(first, second)


def test_a_scalar_can_be_filled():
    assert filled("value: 2.5", (), np.random.default_rng(0)) == 2.5
    assert 3 <= filled("type: 'uniform' min: 3 max: 4", (), np.random.default_rng(0)) <= 4


@pytest.mark.parametrize(
    ("text", "shape", "message"),
    [
        (
            "type: 'normal'",
            (2, 3),
            r"unknown filler type 'normal', expected one of bilinear, const",
        ),
        ("type: 'normal'", (2, 3), r"did you mean 'gaussian'\?"),
        ("type: 'xaviar'", (2, 3), r"did you mean 'xavier'\?"),
        ("type: 'uniform' sparse: 3", (2, 3), r"only the filler 'gaussian' .* not 'uniform'"),
        ("type: 'gaussian' sparse: -2", (2, 3), r"number of inputs, got -2"),
        ("type: 'bilinear'", (2, 3, 2, 4), r"square kernel, got shape \(2, 3, 2, 4\)"),
        ("type: 'bilinear'", (3, 4, 4), r"needs 4 axes .* got shape \(3, 4, 4\)"),
        ("type: 'xavier'", (), r"'xavier' needs at least one axis, got a scalar"),
        ("type: 'gaussian' sparse: 1", (), r"'gaussian' needs at least one axis, got a scalar"),
    ],
)
def test_refused(text, shape, message):
    with pytest.raises(ProtonetError, match=message):
        filled(text, shape, np.random.default_rng(0))
