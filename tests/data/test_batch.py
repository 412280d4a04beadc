"""Batches of datums: the fast way equals the careful one, and broken records are named."""

from __future__ import annotations

import io
import threading
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format

from protonet.data.batch import Batch, DatumReader
from protonet.data.source import open_source
from protonet.data.transformer import Transformer
from protonet.errors import DataError
from protonet.layer import TEST, TRAIN
from protonet.schema import caffe_pb2 as pb

SHAPE = (2, 5, 7)


def transformer(text: str = "", phase: int = TEST) -> Transformer:
    return Transformer(text_format.Parse(text, pb.TransformationParameter()), phase)


def reader(folder: Any, text: str = "", phase: int = TEST, size: int = 4) -> DatumReader:
    rng = np.random.Generator(np.random.PCG64(1701))
    return DatumReader(open_source(folder), transformer(text, phase), size, rng)


def png(shape: tuple[int, int], seed: int = 0) -> bytes:
    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


TRANSFORMS = [
    ("plain", "", TEST),
    ("scale", "scale: 0.00390625", TEST),
    ("one_mean", "scale: 0.3 mean_value: 33.3", TEST),
    ("channel_means", "scale: 0.3 mean_value: 33.3 mean_value: 104.7", TEST),
    ("mean_file", 'scale: 0.7 mean_file: "mean.binaryproto"', TEST),
    ("centre", 'scale: 0.7 mean_file: "mean.binaryproto" crop_size: 4', TEST),
    ("random", 'scale: 0.7 mean_file: "mean.binaryproto" crop_size: 3 mirror: true', TRAIN),
    ("mirror", "mirror: true mean_value: 4", TEST),
]


def write_mean(path: Any) -> None:
    values = np.random.default_rng(5).uniform(0, 255, SHAPE).astype(np.float32)
    blob = pb.BlobProto(num=1, channels=SHAPE[0], height=SHAPE[1], width=SHAPE[2])
    blob.data.extend(values.ravel().tolist())
    path.write_bytes(blob.SerializeToString())


def packed_floats(message: Any) -> bytes:
    """The bytes of a float Datum whose floats are packed, as some writers make them."""
    head = message.__class__()
    head.CopyFrom(message)
    head.ClearField("float_data")
    floats = np.array(message.float_data, "<f4").tobytes()
    size = len(floats)
    return head.SerializeToString() + bytes([50, size & 127 | 128, size >> 7]) + floats


@pytest.mark.parametrize("kind", ["bytes", "floats", "packed", "extra_bytes"])
@pytest.mark.parametrize(
    ("text", "phase"), [t[1:] for t in TRANSFORMS], ids=[t[0] for t in TRANSFORMS]
)
def test_fast_equals_careful(
    database: Any, datum: Any, tmp_path: Any, monkeypatch: Any, kind: str, text: str, phase: int
) -> None:
    monkeypatch.chdir(tmp_path)
    write_mean(tmp_path / "mean.binaryproto")
    values = [
        datum(SHAPE, label * 77 - 3, floats=kind in ("floats", "packed")) for label in range(11)
    ]
    if kind == "packed":
        values = [packed_floats(v) for v in values]
    if kind == "extra_bytes":
        for v in values:
            v.data += b"more"
    folder = database(values)
    fast, careful = reader(folder, text, phase), reader(folder, text, phase)
    monkeypatch.setattr(careful, "_read_fast", lambda *args: False)
    one, two = Batch.empty(), Batch.empty()
    took = []
    for _ in range(7):
        monkeypatch.setattr(
            fast, "_read_each", lambda *a: took.append(1) or DatumReader._read_each(fast, *a)
        )
        fast.read(one)
        careful.read(two)
        np.testing.assert_array_equal(one.data, two.data)
        np.testing.assert_array_equal(one.labels, two.labels)
        assert one.data.dtype == one.labels.dtype == np.float32
    assert len(took) == (7 if kind == "packed" else 1)  # the first batch tells the shape


def test_kernel_is_not_compiled_at_once(database: Any, datum: Any, monkeypatch: Any) -> None:
    called = []
    monkeypatch.setattr("protonet.data.batch.transform_records", lambda *a: called.append(1) or 4)
    source = open_source(database([datum(SHAPE, i) for i in range(3)]))
    rng = np.random.default_rng(3)
    read = DatumReader(source, transformer(), 4, rng, before_kernel=2)
    for i in range(4):
        read.read(Batch.empty())
        assert len(called) == max(0, i - 1)


def test_a_lock_that_was_held_at_a_fork_is_not_waited_for(database: Any, datum: Any) -> None:
    """The parent's thread may be drawing; in the child it cannot let go."""
    read = reader(database([datum(SHAPE, i) for i in range(4)]), "mirror: true", TRAIN)
    read._rng.bit_generator.lock.acquire()
    done: list[int] = []

    def go_on() -> None:
        read.seek(0)
        done.append(read.read(Batch.empty()))

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    thread.join(30)
    assert done == [4]


def test_values_as_caffe_computes_them(database: Any, datum: Any) -> None:
    """(x − mean) · scale on the centre, against NumPy; labels of any size and sign."""
    labels = [0, 300, -7, 2**31 - 1]
    images = [datum(SHAPE, label) for label in labels]
    read = reader(database(images), "scale: 0.5 mean_value: 3 mean_value: 9 crop_size: 4")
    batch = Batch.empty()
    for _ in range(2):
        assert read.read(batch) == 4
        pixels = np.stack([np.frombuffer(d.data, np.uint8).reshape(SHAPE) for d in images])
        means = np.array([3, 9], np.float32).reshape(1, 2, 1, 1)
        want = (pixels[:, :, 0:4, 1:5] - means) * np.float32(0.5)
        np.testing.assert_array_equal(batch.data, want)
        np.testing.assert_array_equal(batch.labels, np.array(labels, np.float32))


@pytest.mark.parametrize("encoded", [False, True])
def test_random_crops_and_mirrors(database: Any, datum: Any, encoded: bool) -> None:
    shape = (3, 5, 7)
    image = datum(shape)
    if encoded:
        image = pb.Datum(data=png(shape[1:]), encoded=True)
    from protonet.data.datum import decode_datum

    whole = decode_datum(image.SerializeToString(), lambda: "")[0].astype(np.float32)
    read = reader(database([image]), "crop_size: 4 mirror: true", TRAIN, size=300)
    batch = Batch.empty()
    read.read(batch)
    seen = set()
    for y in batch.data:
        found = [
            (top, left, flip)
            for top in range(2)
            for left in range(4)
            for flip in (False, True)
            if (whole[:, top : top + 4, left : left + 4][:, :, :: -1 if flip else 1] == y).all()
        ]
        assert len(found) == 1
        seen.add(found[0])
    assert len(seen) == 2 * 4 * 2  # every place, both ways round


@pytest.mark.parametrize("text", ["", "mirror: true", "crop_size: 3"])
def test_seek_continues_exactly(database: Any, datum: Any, text: str) -> None:
    folder = database([datum(SHAPE, label) for label in range(11)])
    straight, resumed = reader(folder, text, TRAIN), reader(folder, text, TRAIN)
    one, two = Batch.empty(), Batch.empty()
    for _ in range(5):
        straight.read(one)
    resumed.seek(16)
    resumed.read(two)
    np.testing.assert_array_equal(one.data, two.data)
    np.testing.assert_array_equal(one.labels, two.labels)


def test_batch_takes_the_shape_of_its_first_record(database: Any, datum: Any) -> None:
    shapes = [(1, 2, 3), (1, 4, 3), (2, 4, 3)]
    read = reader(database([datum(s, i) for i, s in enumerate(shapes)]), size=1)
    batch = Batch.empty()
    for i in range(9):
        read.read(batch)
        assert batch.data.shape == (1, *shapes[i % 3])
        assert batch.labels[0] == i % 3


def test_crop_lets_sizes_differ(database: Any, datum: Any) -> None:
    folder = database([datum((1, 5, 7), 1), datum((1, 4, 9), 2)])
    read, batch = reader(folder, "crop_size: 3", size=2), Batch.empty()
    for _ in range(3):
        read.read(batch)
        np.testing.assert_array_equal(batch.data[0, 0, 0], 1 + np.arange(9, 12))
        np.testing.assert_array_equal(batch.data[1, 0, 0], 2 + np.arange(3, 6))


def test_encoded_and_plain_records_mix(database: Any, datum: Any) -> None:
    values = [datum((3, 5, 7), i) for i in range(4)]
    values[2] = pb.Datum(data=png((5, 7)), encoded=True, label=9)
    read, batch = reader(database(values)), Batch.empty()
    for _ in range(3):
        read.read(batch)
        np.testing.assert_array_equal(batch.labels, [0, 1, 9, 3])
        np.testing.assert_array_equal(batch.data[3].ravel(), 3 + np.arange(105))


def truncated(message: Any) -> Any:
    message.data = message.data[:-1]
    return message


BROKEN = [  # what record 5 is, of 9; what its error says after the record's name
    ("rubbish", lambda datum: b"\xff" * 50, "is not a Datum: its 50 bytes do not parse"),
    ("no_bytes", lambda datum: b"", r"is not a Datum that Caffe could use: .* are \(0, 0, 0\)"),
    ("text", lambda datum: b"hello", "is not a Datum"),
    (
        "too_few_bytes",
        lambda datum: truncated(datum(SHAPE)),
        r"says that it has channels, height, width \(2, 5, 7\), 70 values, but holds 69",
    ),
    ("no_values", lambda datum: pb.Datum(channels=2, height=5, width=7), "but holds 0"),
    (
        "other_shape",
        lambda datum: datum((2, 7, 5)),
        r"an image of shape \(2, 7, 5\) in a batch of shape \(2, 5, 7\)",
    ),
    ("negative", lambda datum: datum(SHAPE, height=-5), r"are \(2, -5, 7\)"),
    (
        "encoded_rubbish",
        lambda datum: pb.Datum(data=b"no image", encoded=True),
        "encoded is not an image in any known format",
    ),
    (
        "encoded_truncated",
        lambda datum: pb.Datum(data=png((5, 7))[:90], encoded=True),
        "cannot be decoded as an image",
    ),
]


@pytest.mark.parametrize("kind", ["lmdb", "leveldb"])
@pytest.mark.parametrize(
    ("make", "message"), [b[1:] for b in BROKEN], ids=[name for name, *_ in BROKEN]
)
def test_broken_record(database: Any, datum: Any, kind: str, make: Any, message: str) -> None:
    values = [datum(SHAPE, i) for i in range(9)]
    values[5] = make(datum)
    folder = database(values, kind)
    read, batch = reader(folder), Batch.empty()
    read.read(batch)
    with pytest.raises(DataError, match=message) as raised:
        read.read(batch)
    text = str(raised.value)
    assert text.startswith(f"source '{folder}': record 5 (key '00000005')")
    assert "\n" not in text and "0x" not in text


TRANSFORM_ERRORS = [
    ("both_means", 'mean_file: "m" mean_value: 3', "mean_file and mean_value cannot both be given"),
    ("both_forces", "force_color: true force_gray: true", "contradict each other"),
    ("no_mean", 'mean_file: "m"', r"mean_file 'm' does not exist \(looked in: /.*/m\)"),
    ("mean_rubbish", 'mean_file: "rubbish"', "cannot be read as a BlobProto"),
    ("mean_of_two", 'mean_file: "two"', r"holds 70 values of shape \(2, 5, 7, 1\)"),
    ("mean_short", 'mean_file: "short"', r"holds 1 values of shape \(2, 5, 7\)"),
    ("mean_size", 'mean_file: "other"', r"has the shape \(2, 7, 5\), but the image \(2, 5, 7\)"),
    ("mean_values", "mean_value: 1 mean_value: 2 mean_value: 3", r"3 mean_values .* 2 channels"),
    ("crop", "crop_size: 6", r"crop_size 6 is larger than the image of shape \(2, 5, 7\)"),
]


@pytest.mark.parametrize(
    ("text", "message"), [e[1:] for e in TRANSFORM_ERRORS], ids=[e[0] for e in TRANSFORM_ERRORS]
)
def test_transform_errors(
    database: Any, datum: Any, tmp_path: Any, monkeypatch: Any, text: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, dims, count in [
        ("two", (2, 5, 7, 1), 70),
        ("short", SHAPE, 1),
        ("other", (2, 7, 5), 70),
    ]:
        blob = pb.BlobProto(shape=pb.BlobShape(dim=dims), data=[0.5] * count)
        (tmp_path / name).write_bytes(blob.SerializeToString())
    (tmp_path / "rubbish").write_bytes(b"\xff" * 9)
    with pytest.raises(DataError, match=message):
        reader(database([datum(SHAPE)]), text).read(Batch.empty())
