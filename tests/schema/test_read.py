"""Reading files: what they hold is told by content; weights; what cannot be read."""

import numpy as np
import pytest
from places import REFERENCE
from recordings import load

from protonet.errors import PrototxtError, SnapshotError
from protonet.schema import caffe_pb2 as pb
from protonet.schema.blobs import blob_shape, blob_values
from protonet.schema.read import (
    NetSource,
    SolverSource,
    parse_net,
    parse_solver,
    parse_weights,
    read_any,
    read_net,
    read_solver,
)
from protonet.schema.upgrade import upgrade_net

LEGACY = REFERENCE / "legacy"
SNAPSHOTS = REFERENCE / "snapshots"
NET = 'name: "n"\nlayer { name: "r" type: "ReLU" }\n'
SOLVER = 'net: "n.prototxt"\nbase_lr: 0.5\n'


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Return a function that writes a file of these bytes or this text and gives its name."""
    monkeypatch.chdir(tmp_path)

    def write(content, name="f.prototxt"):
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(data)
        return name

    return write


def test_a_net(file):
    source = read_net(file("\n" + NET))
    assert (source.path, source.lines, source.binary) == ("f.prototxt", [3], False)
    assert source.message.layer[0].name == "r"


def test_a_solver(file):
    source = read_solver(file("# c\n" + SOLVER + "test_iter: 3\ntest_iter: 4"))
    assert source.path == "f.prototxt"
    assert source.field_lines == {"net": 2, "base_lr": 3, "test_iter": 4}
    assert source.message.base_lr == 0.5


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (NET, NetSource),
        (SOLVER, SolverSource),
        ("input: 'x' input_shape { dim: 3 }", NetSource),
        ("layers { type: RELU }", NetSource),
        ("debug_info: true net_param { layer { name: 'debug' } }", SolverSource),
        ("train_net: 'layer'", SolverSource),
    ],
)
def test_any_is_told_by_content(file, text, kind):
    assert type(read_any(file(text))) is kind


def test_binary_net_and_solver(file):
    net = file(parse_net(NET).message.SerializeToString(), "net")
    solver = file(parse_solver(SOLVER).message.SerializeToString(), "solver")
    assert read_any(net) == NetSource(parse_net(NET).message, "net", [0], binary=True)
    assert type(read_any(solver)) is SolverSource
    assert read_solver(solver).message == parse_solver(SOLVER).message
    with pytest.raises(PrototxtError, match=r"^net: expected a solver, found a binary net$"):
        read_solver(net)
    with pytest.raises(PrototxtError, match=r"^solver: expected a net, found a binary solver$"):
        read_net(solver)


def test_binary_net_without_a_required_field(file):
    net = pb.NetParameter()
    net.layer.add(name="c").clip_param.min = 0
    with pytest.raises(PrototxtError, match=r"the binary net lacks the field layer\[0\].*max"):
        read_net(file(net.SerializePartialToString()))


def test_messages_in_memory():
    old = pb.NetParameter(layers=[{"name": "r", "type": pb.V1LayerParameter.RELU}])
    source = NetSource.of(old)
    assert (source.path, source.lines) == ("", [0])
    assert source.message.layer[0].type == "ReLU"
    assert len(old.layers) == 1
    assert SolverSource.of(pb.SolverParameter(solver_type=2)).message.type == "AdaGrad"


TEXTS = {  # id: (content, reader, message after the path)
    "neither": (
        "foo: 3",
        read_any,
        ":1:1: expected a net or a solver, found a field 'foo'",
    ),
    "nearly_a_net": (
        "\nlayr { }",
        read_any,
        ":2:1: expected a net or a solver, found a field 'layr'; did you mean 'layer'?",
    ),
    "nearly_a_net_where_one_is_wanted": (
        "\nlayr { }",
        read_net,
        ":2:1: message NetParameter has no field 'layr'; did you mean 'layer'?",
    ),
    "solver_for_net": (
        "# c\n" + SOLVER,
        read_net,
        ":2:1: expected a net, found a solver (field 'net')",
    ),
    "net_for_solver": (NET, read_solver, ":1:1: expected a solver, found a net (field 'name')"),
    "fields_too_deep": (
        NET + "a { b: 3 c < d " + "{ e " * 98 + "{",
        read_any,
        ":3:408: messages are nested more than 100 deep",
    ),
    "unknown_field_not_closed": (
        NET + "a {\n b: [1, 'x'",
        read_any,
        ":4:12: expected ',' or ']' in the list, found the end of the file",
    ),
    "unknown_field_without_a_value": (
        NET + "a b",
        read_any,
        ":3:3: expected ':' or '{' after 'a', found 'b'",
    ),
    "empty": ("", read_any, ": expected a net or solver, found an empty file"),
    "comments": ("# c\n", read_net, ": expected a net, found nothing but comments"),
    "json": ('{ "a": 1 }', read_any, ":1:1: expected a field's name, found '{'"),
    "utf16": (NET.encode("utf-16"), read_net, ": expected a file in UTF-8, found UTF-16"),
    "old_end_mark": (NET + "\x1a", read_net, ":3:1: unexpected character '\\x1a'"),
    "hdf5": (
        b"\x89HDF\r\n\x1a\n" + bytes(99),
        read_net,
        ": expected a net, found an HDF5 file",
    ),
    "binary_not_utf8": (
        b"\xa2\x06\x03\x0a\x01\x93",
        read_any,
        ": expected a net or solver, found binary strings that are not UTF-8",
    ),
    "other_binary": (
        bytes(range(256)),
        read_any,
        ": expected a net or solver, found other binary data",
    ),
}


@pytest.mark.parametrize(("content", "reader", "message"), TEXTS.values(), ids=TEXTS)
def test_refused(file, content, reader, message):
    with pytest.raises(PrototxtError) as caught:
        reader(file(content))
    assert str(caught.value) == "f.prototxt" + message


@pytest.mark.parametrize("reader", [read_net, read_solver, read_any])
def test_no_such_file(file, reader):
    file(NET, "lenet.prototxt")
    with pytest.raises(PrototxtError) as caught:
        reader("lenet.protxt")
    assert str(caught.value) == "lenet.protxt: no such file; did you mean 'lenet.prototxt'?"
    with pytest.raises(PrototxtError, match=r"^gone/x: no such file$"):
        reader("gone/x")


def test_folder(tmp_path):
    with pytest.raises(PrototxtError, match="cannot be read: Is a directory"):
        read_net(tmp_path)


def test_endless_file(monkeypatch):
    monkeypatch.setattr("protonet.schema.read.MAX_BINARY", 10_000)
    with pytest.raises(PrototxtError, match="cannot be read: larger than 10000 bytes"):
        read_net("/dev/zero")


# --- weights ---------------------------------------------------------------------------------
def test_old_weights():
    net = parse_weights(LEGACY / "v1_weights.caffemodel")
    want = load(LEGACY / "v1_weights.npz")
    layers = {layer.name: layer for layer in net.layer}
    assert [layer.type for layer in net.layer] == ["Input", "Convolution", "InnerProduct"]
    for key in (k for k in want if k.startswith("param/")):
        _, name, index = key.split("/")
        blob = layers[name].blobs[int(index)]
        np.testing.assert_array_equal(blob_values(blob), want[key].ravel())
        assert blob_shape(blob)[-want[key].ndim :] == want[key].shape
    assert blob_shape(layers["f"].blobs[1]) == (1, 1, 1, 2)


def test_current_weights_from_bytes():
    path = SNAPSHOTS / "sgd_iter_5.caffemodel"
    net = parse_weights(path.read_bytes())
    assert net == upgrade_net(pb.NetParameter.FromString(path.read_bytes()))[0]


def test_blob_values():
    values = np.linspace(-1, 1, 300, dtype=np.float32)
    blob = pb.BlobProto(data=values, shape={"dim": [3, 100]}, num=300, diff=values)
    np.testing.assert_array_equal(blob_values(blob), values)
    np.testing.assert_array_equal(blob_values(pb.BlobProto(double_data=[1.5, 2])), [1.5, 2])
    assert blob_values(pb.BlobProto()).shape == (0,)
    assert blob_values(blob).dtype == np.float32


def test_weights_cut_off_anywhere():
    """Only a cut between two layers leaves something that is a net; all others are noticed."""
    raw = (SNAPSHOTS / "sgd_iter_5.caffemodel").read_bytes()
    whole = parse_weights(raw)
    passed = 0
    for size in range(len(raw)):
        try:
            net = parse_weights(raw[:size])
        except SnapshotError as error:
            assert str(error).startswith("weights: expected the binary weights of a net, found ")
        else:
            assert list(net.layer) == list(whole.layer)[: len(net.layer)]
            passed += 1
    assert passed == len(whole.layer) - 1


WEIGHTS = {
    "cut_off": (
        (SNAPSHOTS / "sgd_iter_5.caffemodel").read_bytes()[:-3],
        "824 bytes that are cut off, or something else",
    ),
    "not_utf8": (b"\xa2\x06\x03\x0a\x01\x93", "strings that are not UTF-8"),
    "not_utf8_list": (b"\xa2\x06\x03\x1a\x01\x93", "strings that are not UTF-8"),
    "text": (NET, "text"),
    "empty": (b"", "an empty file"),
    "hdf5": ((SNAPSHOTS / "sgd_iter_5.caffemodel.h5").read_bytes(), "an HDF5 file"),
    "state": ((SNAPSHOTS / "sgd_iter_5.solverstate").read_bytes(), "the state of a solver"),
    "mean": ((REFERENCE / "data/raw_mean.binaryproto").read_bytes(), "no layers"),
}


@pytest.mark.parametrize(("content", "found"), WEIGHTS.values(), ids=WEIGHTS)
def test_no_weights(file, content, found):
    with pytest.raises(SnapshotError) as caught:
        parse_weights(file(content, "w.caffemodel"))
    want = f"w.caffemodel: expected the binary weights of a net, found {found}"
    assert str(caught.value) == want


def test_no_weights_file(file):
    file(b"", "a.caffemodel")
    with pytest.raises(SnapshotError, match=r"^b\.caffemodel: no such file; did you mean 'a"):
        parse_weights("b.caffemodel")


def test_weights_of_both_forms(file):
    net = pb.NetParameter(layer=[{}], layers=[{}])
    with pytest.raises(SnapshotError, match=r"^w: expected layers of one form, got both"):
        parse_weights(file(net.SerializeToString(), "w"))
