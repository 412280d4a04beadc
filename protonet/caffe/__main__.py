"""``python -m protonet.caffe script.py ...``: run a pycaffe script unchanged."""

import runpy
import sys
from pathlib import Path

from protonet.caffe.alias import install


def main() -> None:
    """Run the script named by the first argument, with the others as its own."""
    if len(sys.argv) < 2:
        print("usage: python -m protonet.caffe script.py [ARGUMENTS]", file=sys.stderr)
        sys.exit(2)
    script = sys.argv[1]
    if not Path(script).exists():
        print(f"protonet: {script}: no such file", file=sys.stderr)
        sys.exit(2)
    install()
    del sys.argv[0]
    sys.path[0] = str(Path(script).resolve().parent)
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
