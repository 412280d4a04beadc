"""The stored drawings: what they are made from, and how they are made again.

After a change that is meant to change drawings, look at them as pictures, then::

    cd tests && python -m diagram.stored
"""

from __future__ import annotations

from pathlib import Path

from places import MODELS

from protonet.diagram.drawing import draw, format_of
from protonet.schema.read import parse_net

from .nets import NETS

FOLDER = Path(__file__).parent / "stored"

LENET, DSN = MODELS / "lenet.prototxt", MODELS / "lenet_dsn.prototxt"

# file -> net, options
DRAWINGS = {
    "lenet_dsn.svg": (DSN, {}),
    "lenet_dsn_full.svg": (DSN, {"detail": "full", "rankdir": "LR", "gradients": True}),
    "lenet_dsn_diff.svg": (DSN, {"against": LENET}),
    "lenet_dsn.dot": (DSN, {}),
    "lenet_dsn.mmd": (DSN, {}),
    "lenet_dsn.txt": (DSN, {}),
    "lenet_dsn_diff.txt": (DSN, {"against": LENET, "detail": "full"}),
    "fcn_columns.svg": ("fcn", {"detail": "brief", "columns": 2}),
    "googlenet.txt": ("googlenet", {"detail": "brief"}),
    "resnet50_folded.svg": ("resnet50", {"fold": True, "detail": "brief"}),
    "resnet50_folded.mmd": ("resnet50", {"fold": True, "detail": "brief"}),
    "fork.svg": ("fork", {}),
    "fork.dot": ("fork", {"detail": "full"}),
    "lstm.svg": ("lstm", {"rankdir": "BT"}),
}


def make(name: str) -> bytes:
    """Return a drawing as it is made now."""
    net, options = DRAWINGS[name]
    source = parse_net(NETS[net](), f"{net}.prototxt") if isinstance(net, str) else net
    return draw(source, **options).render(format_of(name))


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file in DRAWINGS:
        (FOLDER / file).write_bytes(make(file))
        print(FOLDER / file)
