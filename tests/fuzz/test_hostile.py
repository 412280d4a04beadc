"""Files that are broken on purpose: sizes that lie, nesting, bombs; and changed real ones."""

import io
import struct
import warnings
import zlib
from pathlib import Path

import fuzz_targets
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import REFERENCE

import protonet
from protonet.blob import MAX_COUNT
from protonet.data.datum import decode_datum
from protonet.data.images import decode_image
from protonet.errors import DataError, GraphError, ProtonetError, PrototxtError, SnapshotError
from protonet.graph import build_graph
from protonet.plan import build_plan
from protonet.schema import caffe_pb2 as pb
from protonet.schema.fields import field_hint
from protonet.schema.read import parse_net, read_net

WORDS = [b"2147483648", b"-1", b"1e39", b"nan", b"{", b"}", b'"', b"layer {"]
INPUT = 'layer {{ name: "in" type: "Input" top: "x" input_param {{ shape {{ {} }} }} }} '


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("protonet.layers.python.ALLOW", True)


@pytest.fixture
def limited():
    """Let the process take 512 MB more, no more."""
    resource = pytest.importorskip("resource")
    if not Path("/proc/self/statm").exists():
        pytest.skip("memory is read from /proc")
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + 2**29
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


# --- changed files -------------------------------------------------------------------------------
@st.composite
def broken(draw, seeds):
    """Draw a real file with some bytes replaced, left out, repeated or put in."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        gone = draw(st.sampled_from([0, 1, 2, 4, 8, 100]))
        new = draw(
            st.one_of(
                st.binary(max_size=6),
                st.sampled_from(WORDS),
                st.integers(0, 2**64 - 1).map(lambda n: n.to_bytes(8, "little")),
                st.just(data[at : at + 20] * 3),
            )
        )  # fmt: skip
        data = data[:at] + new + data[at + gone :]
    return data


@pytest.mark.parametrize("name", sorted(fuzz_targets.TARGETS))
def test_changed_files(name):
    """Each is read, or refused with one line."""
    target, seeds = fuzz_targets.target(name)

    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
    )
    @given(broken(sorted(seeds, key=len)[:12]))
    def attempt(data):
        with np.errstate(all="ignore"):
            try:
                target(data)
            except ProtonetError as error:
                assert str(error)
                assert "\n" not in str(error).strip()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of what it sees in a broken file
        attempt()


# --- sizes that lie ------------------------------------------------------------------------------
NETS = {
    "values of a blob": (
        INPUT.format("dim: 65536 dim: 65536"),
        "a blob cannot have the shape (65536, 65536)",
    ),
    "an axis": (
        INPUT.format("dim: 2147483648"),
        "a blob cannot have the shape (2147483648,)",
    ),
    "a negative axis": (
        INPUT.format("dim: -3"),
        "a blob cannot have the shape (-3,)",
    ),
    "weights": (
        INPUT.format("dim: 2 dim: 65536")
        + 'layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" '
        "inner_product_param { num_output: 65536 } }",
        "cannot have the shape (65536, 65536)",
    ),
    "outputs": (
        INPUT.format("dim: 2 dim: 3 dim: 5 dim: 4")
        + 'layer { name: "c" type: "Convolution" bottom: "x" top: "y" '
        "convolution_param { num_output: 4294967295 kernel_size: 1 } }",
        "layer 'c' (Convolution): ",
    ),
    "a pad": (
        INPUT.format("dim: 2 dim: 3 dim: 5 dim: 4")
        + 'layer { name: "c" type: "Convolution" bottom: "x" top: "y" '
        "convolution_param { num_output: 2 kernel_size: 1 pad: 4294967295 } }",
        "layer 'c' (Convolution): ",
    ),
    "a cycle": (
        'layer { name: "a" type: "ReLU" bottom: "y" top: "x" } '
        'layer { name: "b" type: "ReLU" bottom: "x" top: "y" }',
        "bottom 'y' is not produced by any layer above",
    ),
    "itself": (
        'layer { name: "a" type: "Concat" bottom: "x" bottom: "x" top: "x" }',
        "bottom 'x' is not produced by any layer above",
    ),
}  # fmt: skip


@pytest.mark.parametrize("text, message", NETS.values(), ids=NETS)
def test_nets(text, message, limited):
    with pytest.raises(ProtonetError) as caught:
        build_plan(build_graph(parse_net(text, "n.prototxt"), 0))
        protonet.Net(parse_net(text, "n.prototxt"))
    assert message in str(caught.value)
    assert str(caught.value).startswith("n.prototxt:1: ")


@pytest.mark.parametrize(
    "text",
    ["layer { " * 100_000, "unknown { " * 100_000, "x < " * 50_000, "x: [" * 50_000, '"' * 100_001],
    ids=["layers", "unknown", "angles", "lists", "quotes"],
)
def test_nesting_without_end(text):
    with pytest.raises(PrototxtError):
        parse_net(text)


def test_nested_binary(limited):
    """A message in a message in a message: protobuf itself says how deep."""
    data = b""
    for _ in range(5000):
        data = b"\x1b" + data + b"\x1c"  # a group, the only kind that need not tell its length
    Path("n.caffemodel").write_bytes(b"\x0a\x02n\x01" + data)
    with pytest.raises(PrototxtError):
        read_net("n.caffemodel")


def test_fields_that_nobody_knows_by_the_thousand(monkeypatch):
    """What a name may have meant is looked for once."""
    asked = []
    monkeypatch.setattr(
        "protonet.schema.fields.did_you_mean", lambda name, known: asked.append(name) or ""
    )
    field_hint.cache_clear()
    source = parse_net('name: "n" layer { name: "x" type: "Input" ' + "nam_e: 1 " * 5000 + "}")
    field_hint.cache_clear()
    assert len(source.message.layer) == 1
    assert asked == ["nam_e"]


def test_a_text_of_a_gigabyte(limited):
    with open("n.prototxt", "wb") as file:
        file.write(b"# a comment\n" * 10)
        file.truncate(2**30)
        file.seek(0)
        file.write(b" " * 2**20)
    with pytest.raises(PrototxtError, match="cannot be read: larger than 8388608 bytes"):
        read_net("n.prototxt")


def test_reading_takes_no_more_memory_than_the_file(limited):
    source = REFERENCE / "snapshots/sgd_iter_5.caffemodel"
    Path("n.caffemodel").write_bytes(source.read_bytes())
    read_net("n.caffemodel")


def test_datums_that_claim_more_than_they_have(limited):
    for datum in (
        pb.Datum(channels=2**30, height=2**30, width=2**30, data=b"1234"),
        pb.Datum(channels=3, height=50000, width=50000, data=b"1234"),
        pb.Datum(channels=-1, height=2, width=2, data=b"1234"),
    ):
        with pytest.raises(DataError, match="record 7"):
            decode_datum(datum.SerializeToString(), lambda: "record 7")


def png(width, height, rows):
    """Return a grey PNG whose header and data may say different things."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    packed = zlib.compress((b"\0" + bytes(width)) * rows, 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )


def test_a_png_that_is_a_bomb(limited):
    small = png(8200, 8200, 1)
    assert len(small) < 200
    with pytest.raises(DataError, match=r"8200 x 8200 pixels are more than the 67108864"):
        decode_image(small, lambda: "image", True)
    with pytest.raises(DataError, match="record 3, encoded"):
        decode_datum(
            pb.Datum(encoded=True, data=png(30000, 3000, 1)).SerializeToString(), lambda: "record 3"
        )


def test_hdf5_files_that_are_bombs(limited):
    import h5py

    for name in ("w.caffemodel.h5", "s.solverstate.h5", "rows.h5"):
        out = io.BytesIO()
        with h5py.File(out, "w") as file:
            for path in ("data/ip/0", "history/0"):
                file.create_dataset(path, (2**20, 2**12), np.float32, chunks=(64, 64))
            file["iter"] = file["current_step"] = 1
        Path(name).write_bytes(out.getvalue())
    for target, name in (("weights_h5", "w.caffemodel.h5"), ("state_h5", "s.solverstate.h5")):
        with pytest.raises(SnapshotError, match=r"takes 17179869184 bytes, but the file holds 0"):
            fuzz_targets.TARGETS[target][0](Path(name).read_bytes())


def test_archives_that_are_bombs_or_hold_objects(limited):
    import zipfile

    with zipfile.ZipFile("w.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ip/0.npy", bytes(2**27))
    with pytest.raises(SnapshotError, match=r"w\.npz: .*takes 134217728 bytes, but the file"):
        fuzz_targets.npz(Path("w.npz").read_bytes())
    np.savez("w.npz", **{"ip/0": np.array([{"code": 1}], object)})
    with pytest.raises(SnapshotError, match=r"w\.npz: not a npz file of arrays, or broken: Object"):
        fuzz_targets.npz(Path("w.npz").read_bytes())
    np.savez("w.npz", **{"ip/0": np.array(["text"])})
    with pytest.raises(SnapshotError, match="holds <U4, not numbers"):
        fuzz_targets.npz(Path("w.npz").read_bytes())


@pytest.mark.parametrize("box", ["inf 0.9 1 1 4 4", "1 0.9 nan 1 4 4", "1 nan 1 1 4 4"])
def test_windows_that_are_no_numbers(box):
    from protonet.data.windows import read_windows

    Path("w.txt").write_text(f"# 0\na.png\n3\n9\n9\n1\n{box}\n")
    with pytest.raises(DataError, match=r"w\.txt', line 7: expected a window"):
        read_windows("w.txt", 0.5, 0.5)


def test_a_state_whose_path_is_not_text():
    state = pb.SolverState(iter=3, learned_net="wxyz").SerializeToString()
    Path("s.solverstate").write_bytes(state.replace(b"wxyz", b"w\xff\xfez"))
    with pytest.raises(SnapshotError, match=r"s\.solverstate: not a solver state: learned_net"):
        fuzz_targets.state(Path("s.solverstate").read_bytes())


def test_generators_that_are_none(here):
    body = '{"nets": [[], []], "losses": [], "tested_at": 1, "scores": {}, '
    body += '"kept": {"written": [], "best": [0, 0]}, "generator": {"bit_generator": "PCG64", '
    body += '"state": {"state": 1, "inc": 1}, "has_uint32": 0, "uinteger": 1e400}}'
    with pytest.raises(SnapshotError, match=r"s\.protonetstate: is not of this version"):
        fuzz_targets.resume(b"+" + body.encode())


def test_counts_that_overflow():
    """What a 64-bit count may be taken for."""
    blob = pb.BlobProto(num=MAX_COUNT, channels=MAX_COUNT, height=2, width=2)
    blob.data.extend([1, 2, 3])
    Path("mean.binaryproto").write_bytes(blob.SerializeToString())
    with pytest.raises(DataError, match="mean"):
        fuzz_targets.mean(Path("mean.binaryproto").read_bytes())


def test_paths_are_only_read():
    """No field of a net makes a file: not even of one that is drawn or counted."""
    text = """
    layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 } } }
    layer { name: "out" type: "HDF5Output" bottom: "x" bottom: "x"
      hdf5_output_param { file_name: "made.h5" } }"""
    Path("n.prototxt").write_text(text)
    build_plan(build_graph(read_net("n.prototxt"), 0), static=True)
    protonet.Net("n.prototxt")
    assert [p.name for p in Path().iterdir()] == ["n.prototxt"]


def test_python_layers_run_only_where_allowed(monkeypatch):
    monkeypatch.setattr("protonet.layers.python.ALLOW", False)
    Path("evil.py").write_text("open('ran', 'w')\n")
    text = 'layer { name: "p" type: "Python" top: "x" python_param { module: "evil" layer: "L" } }'
    with pytest.raises(GraphError, match="--allow-python-layers"):
        protonet.Net(parse_net(text))
    assert not Path("ran").exists()


# --- LMDB ---------------------------------------------------------------------------------------
def lmdb_file():
    return bytearray((REFERENCE / "mnist-1k-lmdb/data.mdb").read_bytes())


def page_of(data, flags):
    """Return the first page with these flags, and where it begins."""
    for start in range(2 * 4096, len(data), 4096):
        if struct.unpack_from("<H", data, start + 10)[0] == flags:
            return start // 4096, start
    raise AssertionError


def put(data, at, form, *values):
    struct.pack_into(form, data, at, *values)
    return data


def meta(data):
    """Return where the later header's tree of records begins."""
    first, second = (struct.unpack_from("<Q", data, at + 144)[0] for at in (0, 4096))
    return (4096 if second > first else 0) + 16 + 24 + 48


LMDBS = {
    "root outside": (lambda d: put(d, meta(d) + 40, "<Q", 2**40), "outside of the file"),
    "root is a header": (lambda d: put(d, meta(d) + 40, "<Q", 1), "outside of the file"),
    "more records": (lambda d: put(d, meta(d) + 32, "<Q", 2000), "has 1024 records, its header"),
    "fewer records": (lambda d: put(d, meta(d) + 32, "<Q", 10), "more records than the 10"),
    "deep": (lambda d: put(d, meta(d) + 6, "<H", 900), "900 levels deep"),
    "shallow": (lambda d: put(d, meta(d) + 6, "<H", 1), "a leaf was expected"),
    "several values": (lambda d: put(d, meta(d) + 4, "<H", 4), "MDB_DUPSORT"),
    "page size": (lambda d: put(d, 40, "<I", 3), "its pages have 3 bytes"),
    "version": (lambda d: put(d, 20, "<I", 9), "version 9, expected 1"),
    "magic": (lambda d: put(d, 16, "<I", 9), "does not begin as an LMDB"),
    "offset": (lambda d: put(d, page_of(d, 2)[1] + 16, "<H", 4095), "lies outside of it"),
    "size": (lambda d: put(d, at_record(d), "<HH", 65535, 65535), "longer than it"),
    "cut off": (lambda d: d[:-4096], "is truncated"),
}


def itself(data):
    """Let every child of the first branch be the branch."""
    page, start = page_of(data, 1)
    count = (struct.unpack_from("<H", data, start + 12)[0] - 16) // 2
    for offset in struct.unpack_from(f"<{count}H", data, start + 16):
        put(data, start + offset, "<HHH", page, 0, 0)
    return data


def at_record(data):
    _, start = page_of(data, 2)
    return start + struct.unpack_from("<H", data, start + 16)[0]


LMDBS["itself"] = (itself, "page")


@pytest.mark.parametrize("harm, message", LMDBS.values(), ids=LMDBS)
def test_lmdb_files_that_would_kill_its_library(harm, message):
    with pytest.raises(DataError, match=message) as caught:
        fuzz_targets.lmdb(bytes(harm(lmdb_file())))
    assert "(lmdb)" in str(caught.value)
