"""``caffe.draw``: nets as pictures. The look is protonet's own; see :func:`protonet.draw`."""

from __future__ import annotations

import os
from typing import Any

from protonet.errors import OutputError

_RAW = ("raw", "dot", "gv")


def _drawing(caffe_net: Any, rankdir: str, phase: int | None) -> Any:
    from protonet.diagram.drawing import draw
    from protonet.schema.read import NetSource

    return draw(NetSource.of(caffe_net), phase=phase, rankdir=rankdir)


def get_pydot_graph(
    caffe_net: Any,
    rankdir: str,
    label_edges: bool = True,
    phase: int | None = None,
    display_lrm: bool = False,
) -> Any:
    """Return a NetParameter as a graph of pydot's.

    Args:
        caffe_net: NetParameter.
        rankdir: "LR", "TB", "RL" or "BT".
        phase: TRAIN (the default) or TEST.
        label_edges, display_lrm: without effect.

    Raises:
        OutputError: pydot is not installed.
    """
    try:
        import pydot  # type: ignore[import-not-found]
    except ImportError:
        raise OutputError("get_pydot_graph needs pydot, which is not installed") from None
    text = _drawing(caffe_net, rankdir, phase).render("dot").decode()
    return pydot.graph_from_dot_data(text)[0]


def draw_net(
    caffe_net: Any,
    rankdir: str,
    ext: str = "png",
    phase: int | None = None,
    display_lrm: bool = False,
) -> bytes:
    """Return a picture of a NetParameter: png, pdf, svg, html, or "raw" for Graphviz's text.

    Raises:
        OutputError: no such kind of picture, or matplotlib, which draws png and pdf, is missing.
    """
    from protonet.diagram.drawing import known_format

    form = "dot" if ext in _RAW else known_format(ext)
    return bytes(_drawing(caffe_net, rankdir, phase).render(form))


def draw_net_to_file(
    caffe_net: Any,
    filename: str | os.PathLike[str],
    rankdir: str = "LR",
    phase: int | None = None,
    display_lrm: bool = False,
) -> None:
    """Write a picture of a NetParameter, of the kind that the file's ending names.

    Raises:
        OutputError: as :func:`draw_net`; the file cannot be written.
    """
    from protonet.files import written_beside

    ext = os.path.splitext(filename)[1][1:]
    data = draw_net(caffe_net, rankdir, ext, phase, display_lrm)
    with written_beside(filename) as file:
        file.write(data)
