"""Scripts in the manner of pycaffe's tutorials run unchanged."""

import os
import subprocess
import sys

import pytest
from places import TESTS

SCRIPTS = sorted(path.name for path in (TESTS / "caffe" / "scripts").glob("*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(run_script, name):
    run_script(name)


def test_from_the_command_line(tmp_path):
    (tmp_path / "helper.py").write_text(
        "from caffe.proto import caffe_pb2\nTEST = caffe_pb2.TEST\n"
    )
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, helper, caffe, caffe.draw\nfrom caffe import io\n"
        "print(sys.argv, __name__, caffe.io is io, helper.TEST == caffe.TEST, caffe.__version__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "protonet.caffe", str(script), "-x", "1"],
        capture_output=True,
        text=True,
        check=True,
        cwd=TESTS.parent,
    )
    assert done.stdout == f"['{script}', '-x', '1'] __main__ True True 1.0.0\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "usage: python -m protonet.caffe script.py [ARGUMENTS]\n"),
        (["gone.py"], "protonet: gone.py: no such file\n"),
    ],
)
def test_wrong_command_lines(args, message):
    command = [sys.executable, "-m", "protonet.caffe", *args]
    done = subprocess.run(command, capture_output=True, text=True, cwd=TESTS.parent)
    assert (done.returncode, done.stderr, done.stdout) == (2, message, "")
    assert os.path.basename(command[0])
