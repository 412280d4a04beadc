"""Write the generated nets, from the repository's root::

python -m tools.models            writes models/<net>/{train_val,solver,deploy}.prototxt
python -m tools.models --check    only says which files differ from what it would write
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from . import caffenet, googlenet, mobilenet, resnet50, squeezenet, vgg16
from .text import render

MODELS = Path(__file__).resolve().parents[2] / "models"
SOURCES = (caffenet, googlenet, vgg16, resnet50, squeezenet, mobilenet)


def files() -> Iterator[tuple[Path, str]]:
    """Yield the path and the text of every generated file."""
    for source in SOURCES:
        model = source.MODEL
        made = f"Made by python -m tools.models from {source.__name__.replace('.', '/')}.py."
        for part, message in (
            ("train_val", model.train_val()),
            ("solver", model.recipe()),
            ("deploy", model.deploy()),
        ):
            path = MODELS / model.folder / f"{part}.prototxt"
            yield path, render(message, f"{model.about}\n{made}")


def main() -> int:
    """Write the files, or with --check compare; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.models", description=__doc__)
    parser.add_argument("--check", action="store_true")
    only_check = parser.parse_args().check
    different = 0
    for path, text in files():
        if path.exists() and path.read_text() == text:
            continue
        different += 1
        if not only_check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        print(f"{path}: {'differs' if only_check else 'written'}")
    return 1 if only_check and different else 0


if __name__ == "__main__":
    sys.exit(main())
