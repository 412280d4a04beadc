"""Weights as plain arrays: npz, safetensors, HDF5."""

import json
import struct

import numpy as np
import pytest
from places import REFERENCE

import protonet
from protonet import weights
from protonet.errors import OutputError, SnapshotError
from protonet.schema.read import parse_net
from protonet.solvers.snapshot import Stored, StoredWeights, read_weights

SNAPSHOT = REFERENCE / "snapshots" / "sgd_iter_5.caffemodel"
SUFFIXES = [".npz", ".safetensors", ".h5"]
RNG = np.random.default_rng(3)


def stored(layers):
    def one(values):
        flat = values.astype(np.float32).reshape(-1)
        return Stored(values.shape, lambda: flat)

    return StoredWeights(
        [(name, {i: one(v) for i, v in enumerate(blobs)}) for name, blobs in layers]
    )


def same(one, other):
    assert [name for name, blobs in one.layers if blobs] == [name for name, _ in other.layers]
    for (_, blobs), (_, others) in zip(
        [la for la in one.layers if la[1]], other.layers, strict=True
    ):
        assert set(blobs) == set(others)
        for i, blob in blobs.items():
            assert blob.shape == others[i].shape
            np.testing.assert_array_equal(blob.read(), others[i].read())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip(tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    names = ["conv", "inception_3a/1x1", "inception_3a/3x3", "ip"]
    given = stored(
        [(n, [RNG.random((2, k + 1, 3)), RNG.random(k + 1)]) for k, n in enumerate(names)]
    )
    assert weights.write(given, path) == 8
    same(given, read_weights(path))


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_layers_of_one_name(tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    given = stored([("ip", [RNG.random((2, 3))]), ("b", []), ("ip", [RNG.random((4, 2))])])
    weights.write(given, path)
    same(given, read_weights(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_same_bytes_each_time(tmp_path, suffix):
    given = read_weights(SNAPSHOT)
    for name in ("a", "b"):
        weights.write(given, tmp_path / f"{name}{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


OLD = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [1, 2, 5, 5] } } }
layer { name: "c" type: "Convolution" bottom: "x" top: "c"
  convolution_param { num_output: 3 kernel_size: 3 } }
layer { name: "f" type: "InnerProduct" bottom: "c" top: "f" inner_product_param { num_output: 2 } }
"""


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nets_take_them(tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    weights.write(read_weights(REFERENCE / "legacy/v1_weights.caffemodel"), path)
    net, want = (protonet.Net(parse_net(OLD), protonet.TEST) for _ in range(2))
    want.copy_from(REFERENCE / "legacy/v1_weights.caffemodel")
    assert net.copy_from(path) == []
    for name, blobs in want.params.items():
        for blob, other in zip(blobs, net.params[name], strict=True):
            np.testing.assert_array_equal(blob.data, other.data)


def test_other_libraries_read_them(tmp_path):
    given = stored([("conv", [RNG.random((2, 3))])])
    weights.write(given, tmp_path / "w.npz")
    with np.load(tmp_path / "w.npz") as file:
        assert file.files == ["conv/0"]
        assert file["conv/0"].dtype == np.float32
    weights.write(given, tmp_path / "w.safetensors")
    numpy = pytest.importorskip("safetensors.numpy")
    arrays = numpy.load_file(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(arrays["conv/0"], given.layers[0][1][0].read().reshape(2, 3))
    numpy.save_file({"a/0": np.arange(6.0).reshape(2, 3)}, tmp_path / "o.safetensors")
    assert read_weights(tmp_path / "o.safetensors").layers[0][1][0].shape == (2, 3)


def safetensors(header, data=b""):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
BROKEN = {
    "w.npz": (b"PK\x03\x04 nothing", "not a npz file of arrays, or broken: "),
    "x.npz": (b"text", "not a npz file of arrays, or broken: "),
    "w.safetensors": (b"abc", "not a safetensors file of arrays, or broken: cut off"),
    "l.safetensors": (struct.pack("<Q", 2**60) + b"{}", "cut off"),
    "j.safetensors": (struct.pack("<Q", 2) + b"{[", "broken: Expecting"),
    "o.safetensors": (safetensors({"a/0": F32}, bytes(7)), "'a/0' lies outside of the file"),
    "s.safetensors": (safetensors({"a/0": {**F32, "shape": [3]}}, bytes(8)), "cannot reshape"),
    "t.safetensors": (safetensors({"a/0": {**F32, "dtype": "BF16"}}, bytes(8)), "of type BF16"),
    "k.safetensors": (safetensors({"a/0": {}}), "broken: 'dtype'"),
    "n.safetensors": (
        safetensors({"weight": F32}, bytes(8)),
        "expected arrays called <layer>/<index>, found 'weight'",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files(tmp_path, name):
    content, message = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SnapshotError) as caught:
        read_weights(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert message in str(caught.value)


def test_npz_runs_no_code(tmp_path):
    np.savez(tmp_path / "w.npz", **{"a/0": np.array([object()])})
    with pytest.raises(SnapshotError, match="not a npz file of arrays, or broken: Object arrays"):
        read_weights(tmp_path / "w.npz")


def test_unknown_ending(tmp_path):
    with pytest.raises(OutputError, match=r"w\.txt: expected a name that ends in one of \.npz, "):
        weights.write(StoredWeights(), tmp_path / "w.txt")


def test_facts():
    given = stored([("a", [np.array([[0.0, -1], [3, 2]]), np.array([])])])
    first, empty = weights.facts(given)
    assert (first.layer, first.index, first.shape, first.count) == ("a", 0, (2, 2), 4)
    assert (first.minimum, first.maximum, first.mean, first.zeros) == (-1, 3, 1, 0.25)
    assert first.std == pytest.approx(np.sqrt(2.5))
    assert empty.as_data()["mean"] is None
    (broken,) = weights.facts(stored([("a", [np.array([1, np.nan])])]))
    assert not broken.finite


NET = """
layer { name: "x" type: "Data" top: "x" top: "l" transform_param { crop_size: 4 }
  data_param { source: "gone" batch_size: 2 } }
layer { name: "odd" type: "Oddity" bottom: "l" top: "o" }
layer { name: "a" type: "InnerProduct" bottom: "x" top: "a" inner_product_param { num_output: 3 } }
layer { name: "b" type: "InnerProduct" bottom: "a" top: "b" inner_product_param { num_output: 5 } }
layer { name: "c" type: "InnerProduct" bottom: "b" top: "c" inner_product_param { num_output: 7 } }
"""


def test_import(tmp_path):
    net = protonet.Net(parse_net(NET), protonet.TRAIN, static=True)
    path = tmp_path / "w.npz"
    given = stored(
        [
            ("a", [RNG.random((3, 48)), RNG.random(3)]),
            ("b", [RNG.random((6, 3)), RNG.random(6)]),
            ("d", [RNG.random(2)]),
        ]
    )
    weights.write(given, path)
    with pytest.raises(SnapshotError, match=r"layer 'b' .* expected the shape \(5, 3\), got \(6"):
        weights.import_weights(net, path)
    assert not net.params["a"][0].data.any()
    done = weights.import_weights(net, path, ignore_mismatched=True)
    assert done.left_out == [
        "layer 'b' (InnerProduct): parameter 0: expected the shape (5, 3), got (6, 3)"
    ]
    assert (done.unused, done.untouched) == (["d"], ["c"])
    np.testing.assert_array_equal(net.params["a"][0].data.ravel(), given.layers[0][1][0].read())
    assert not net.params["b"][0].data.any()
