"""No recorded case is left out: each kind has its test, each layer case the test of a type."""

import json
import re

import pytest
from harness import run_reference
from places import REFERENCE, TESTS
from recordings import cases

# Where the cases of a kind are run.
RUN_BY = {
    "layer": "layers/harness.py",
    "solver": "solvers/test_reference.py",
    "learning_rate": "solvers/test_reference.py",
    "snapshot": "solvers/test_reference.py",
    "training": "solvers/test_reference.py",
    "database": "data/test_source.py",
    "data": "layers/batches.py",
    "filler": "test_fillers.py",
    "refused": "test_refused.py",
    "refused_solver": "test_refused.py",
    "upgrade": "schema/test_upgrade.py",
    "upgrade+layer": "schema/test_upgrade.py",
    "upgrade_solver": "schema/test_upgrade.py",
    "weights": "solvers/test_snapshot.py",
}


def manifest():
    return json.loads((REFERENCE / "manifest.json").read_text())["cases"]


def test_every_kind_is_run():
    assert {case["kind"] for case in manifest()} == set(RUN_BY)
    assert all((TESTS / path).exists() for path in RUN_BY.values())
    assert len(manifest()) == 312


def test_every_layer_case_is_run_by_the_test_of_one_of_its_types():
    asked = set()
    for path in (TESTS / "layers").glob("test_*.py"):
        for call in re.findall(r"reference_cases\(([^)]*)\)", path.read_text()):
            asked.update(re.findall(r'"(\w+)"', call))
    left = [c["name"] for c in cases("layer") if not asked & set(c["layer_types"])]
    assert left == []


@pytest.mark.parametrize("case", cases("upgrade+layer"), ids=lambda case: case["name"])
def test_old_nets_compute_what_caffe_computed(case):
    run_reference(case)
