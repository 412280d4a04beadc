"""Writing: readable text, bytes by suffix, whole files or none."""

import os

import pytest

from protonet.errors import OutputError
from protonet.files import written_beside
from protonet.schema import caffe_pb2 as pb
from protonet.schema.read import parse_net, read_net
from protonet.schema.write import write_file, write_text

TEXT = """\
name: "größe"
layer {
  name: "r"
  type: "ReLU"
  relu_param {
    negative_slope: 0.1
  }
}
"""


def test_text_is_what_one_would_write():
    assert write_text(parse_net(TEXT).message) == TEXT


@pytest.mark.parametrize("name", ["n.prototxt", "n.caffemodel", "n.binaryproto", "n"])
def test_file(tmp_path, name):
    message = parse_net(TEXT).message
    write_file(message, tmp_path / name)
    assert read_net(tmp_path / name).message == message
    data = (tmp_path / name).read_bytes()
    if "." in name and not name.endswith("prototxt"):
        assert data == message.SerializeToString()
    else:
        assert data.decode() == TEXT
    assert os.listdir(tmp_path) == [name]


def test_permissions_are_the_customary_ones(tmp_path):
    (tmp_path / "a").touch()
    write_file(pb.NetParameter(name="x"), tmp_path / "b")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_failure_leaves_the_old_file(tmp_path):
    target = tmp_path / "n.prototxt"
    target.write_text("old")

    def fail():
        with written_beside(target) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["n.prototxt"]


def test_no_such_folder(tmp_path):
    with pytest.raises(OutputError, match=r"n\.prototxt: cannot be written: No such file"):
        write_file(pb.NetParameter(), tmp_path / "gone" / "n.prototxt")


def test_a_folder_in_the_way(tmp_path):
    with pytest.raises(OutputError, match="cannot be written: Is a directory"):
        write_file(pb.NetParameter(), tmp_path)
    assert os.listdir(tmp_path) == []
