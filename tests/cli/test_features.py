"""protonet features: rows as extract_features writes them, all formats, nothing by halves."""

import os

import h5py
import numpy as np
import pytest
from places import MODELS, REFERENCE

import protonet
from protonet.data.source import open_source
from protonet.schema import caffe_pb2 as pb

DSN = MODELS / "lenet_dsn.prototxt"
WEIGHTS = REFERENCE / "nets/lenet_init.caffemodel"


@pytest.fixture
def expected(small_mnist, monkeypatch):
    """Return what two batches of the net give: blob name -> (rows, ...)."""
    monkeypatch.chdir(small_mnist)
    net = protonet.Net(DSN, protonet.TEST, weights=WEIGHTS)
    kept = {"pool2": [], "ip2": [], "loss": []}
    for _ in range(2):
        net.forward()
        for name, batches in kept.items():
            batches.append(np.atleast_1d(net.blobs[name].data.copy()))
    net.close()
    return {name: np.concatenate(batches) for name, batches in kept.items()}


@pytest.mark.parametrize("kind", ["lmdb", "leveldb"])
def test_a_database(cli, expected, kind):
    names = "pool2,ip2,loss"
    result = cli("features", DSN, WEIGHTS, names, "a, b ,c", 2, "--format", kind, "-gpu", 0)
    assert result.code == 0, result.err
    assert result.out.splitlines()[:2] == [
        "a: 128 rows of pool2, 50×4×4",
        "b: 128 rows of ip2, 10",
    ]
    for path, name in zip("abc", expected, strict=True):
        source = open_source(path)
        assert source.kind == kind
        rows = list(source)
        assert [key for key, _ in rows] == [b"%010d" % i for i in range(len(expected[name]))]
        for (_, value), row in zip(rows, expected[name], strict=True):
            channels, height, width = (*row.shape, 1, 1, 1)[:3]
            datum = pb.Datum(channels=channels, height=height, width=width)
            datum.float_data.extend(row.reshape(-1).tolist())
            assert value == datum.SerializeToString()


def test_arrays(cli, expected):
    for kind in ("hdf5", "npz"):
        result = cli(
            "features", WEIGHTS, DSN, "pool2,loss", f"a.{kind},b.{kind}", 2, f"-format={kind}"
        )
        assert result.code == 0, result.err
    with h5py.File("a.hdf5") as pool, h5py.File("b.hdf5") as loss:
        np.testing.assert_array_equal(pool["pool2"][()], expected["pool2"])
        np.testing.assert_array_equal(loss["loss"][()], expected["loss"])
    with np.load("a.npz") as pool, np.load("b.npz") as loss:
        np.testing.assert_array_equal(pool["pool2"], expected["pool2"])
        np.testing.assert_array_equal(loss["loss"], expected["loss"])
        assert pool["pool2"].dtype == np.float32


def test_hdf5_feeds_a_net(cli, expected, small_mnist):
    assert cli("features", DSN, WEIGHTS, "pool2", "f.h5", 1, "--format", "hdf5").code == 0
    (small_mnist / "list.txt").write_text("f.h5\n")
    (small_mnist / "n.prototxt").write_text(
        'layer { name: "d" type: "HDF5Data" top: "pool2" '
        'hdf5_data_param { source: "list.txt" batch_size: 5 } }'
    )
    net = protonet.Net("n.prototxt")
    net.forward()
    np.testing.assert_array_equal(net.blobs["pool2"].data, expected["pool2"][:5])


def test_more_batches_than_records(cli, small_mnist):
    result = cli("features", DSN, WEIGHTS, "ip2", "f.npz", 17, "--format", "npz")
    assert result.code == 0, result.err
    assert "17 batches of 64 read some of the 1024 records more than once" in result.err
    with np.load("f.npz") as file:
        np.testing.assert_array_equal(file["ip2"][:64], file["ip2"][1024:])


WIDE = (
    'layer { name: "d" type: "DummyData" top: "x" dummy_data_param { '
    "shape { dim: 1 dim: 2 dim: 3 dim: 4 dim: 5 } } }\n"
)
DEPLOY = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 } } }\n'

ERRORS = [  # id, text of the net, arguments after it, what the one line says
    ("blob", "", [WEIGHTS, "pool3", "f", 1], "has no blob 'pool3'; did you mean 'pool"),
    ("counts", "", [WEIGHTS, "ip1,ip2", "f", 1], "an output for each of 2 blobs, got 1 outputs"),
    ("twice", "", [WEIGHTS, "ip1,ip2", "f,./f", 1], "'./f' is named for two blobs"),
    ("exists", "", [WEIGHTS, "ip1", "n.prototxt", 1], "'n.prototxt' exists already"),
    ("folder", "", [WEIGHTS, "ip1", "n.prototxt/f", 1], "'n.prototxt/f' cannot be written"),
    ("weights", "", ["gone.caffemodel", "ip1", "f", 1], "gone.caffemodel: no such file"),
    ("batches", "", [WEIGHTS, "ip1", "f", 0], "0 is not in the range x>=1"),
    ("format", "", [WEIGHTS, "ip1", "f", 1, "--format", "csv"], "'csv' is not one of"),
    ("axes", WIDE, [WEIGHTS, "x", "f", 1], "blob 'x': expected at most 4 axes for a database, got"),
    (
        "data",
        DEPLOY,
        [WEIGHTS, "x", "f", 1],
        "n.prototxt: there is no data layer in the TEST phase",
    ),
]


@pytest.mark.parametrize("text, args, message", [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS])
def test_errors_are_one_line(cli, small_mnist, text, args, message):
    (small_mnist / "n.prototxt").write_text(text or DSN.read_text())
    before = sorted(os.listdir(small_mnist))
    assert message in cli("features", "n.prototxt", *args).error()
    assert sorted(os.listdir(small_mnist)) == before


@pytest.mark.parametrize("kind", ["lmdb", "leveldb", "hdf5", "npz"])
def test_what_fails_midway_leaves_nothing(cli, small_mnist, kind):
    # two records to a batch; the labels of the second batch are out of the loss's range
    (small_mnist / "n.prototxt").write_text(
        'layer { name: "d" type: "Data" top: "data" top: "label" data_param { '
        'source: "mnist-test-leveldb" batch_size: 2 } }\n'
        'layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" '
        "inner_product_param { num_output: 6 } }\n"
        'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }'
    )
    before = sorted(os.listdir(small_mnist))
    error = cli("features", "n.prototxt", WEIGHTS, "ip,loss", "a,b", 50, "--format", kind).error()
    assert "layer 'loss' (SoftmaxWithLoss): " in error
    assert sorted(os.listdir(small_mnist)) == before


def test_an_array_needs_batches_of_one_shape(cli, tmp_path):
    from PIL import Image

    for i, size in enumerate([(5, 4), (6, 4)]):
        Image.new("RGB", size).save(tmp_path / f"{i}.png")
    (tmp_path / "list.txt").write_text("0.png 0\n1.png 1\n")
    (tmp_path / "n.prototxt").write_text(
        'layer { name: "d" type: "ImageData" top: "data" top: "label" '
        'image_data_param { source: "list.txt" batch_size: 1 } }'
    )
    for kind in ("hdf5", "npz"):
        error = cli("features", "n.prototxt", WEIGHTS, "data", "f", 2, "--format", kind).error()
        assert error == (
            "blob 'data': expected batches of one shape for one array, got (1, 3, 4, 6) after "
            "(1, 3, 4, 5); a database holds rows of any"
        )
    assert cli("features", "n.prototxt", WEIGHTS, "data", "f", 2).code == 0
    shapes = []
    for value in open_source("f").values():
        datum = pb.Datum.FromString(value)
        shapes.append((datum.channels, datum.height, datum.width))
    assert shapes == [(3, 4, 5), (3, 4, 6)]
