"""caffe.draw: pycaffe's functions, our pictures."""

import pytest

from protonet.caffe import draw
from protonet.errors import OutputError
from protonet.schema.read import read_net


def test_draw_net(small, tmp_path):
    net = read_net(small).message
    draw.draw_net_to_file(net, str(tmp_path / "net.svg"))
    assert "conv" in (tmp_path / "net.svg").read_text()
    assert b"digraph" in draw.draw_net(net, "LR", "raw")
    draw.draw_net_to_file(net, tmp_path / "net.dot", "BT", phase=1)
    assert "rankdir" in (tmp_path / "net.dot").read_text()
    with pytest.raises(OutputError):
        draw.draw_net_to_file(net, str(tmp_path / "net.xyz"))


def test_pydot_where_it_is(small):
    try:
        import pydot  # noqa: F401
    except ImportError:
        with pytest.raises(OutputError, match="get_pydot_graph needs pydot"):
            draw.get_pydot_graph(read_net(small).message, "LR")
    else:
        assert draw.get_pydot_graph(read_net(small).message, "LR").get_nodes()
