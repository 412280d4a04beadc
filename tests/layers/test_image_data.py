"""The ImageData layer: recorded batches, lists, order, and what can be wrong."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batches import compare_batches, data_cases, recorded_layer
from harness import build
from PIL import Image
from places import REFERENCE

from protonet.blob import Blob
from protonet.errors import DataError
from protonet.layer import TEST, TRAIN
from protonet.layers.image_data import ImageData
from protonet.schema import caffe_pb2 as pb


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a copy of the reference data."""
    shutil.copytree(REFERENCE / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def layer_text(data: str, transform: str = "") -> str:
    return f'type: "ImageData" image_data_param {{ {data} }} transform_param {{ {transform} }}'


def write_images(folder: Path, count: int) -> None:
    """Images 0.png, ... of 5 x 4 pixels, all of value 10 i, and ``list.txt`` with labels i."""
    folder.mkdir()
    lines = []
    for i in range(count):
        Image.new("RGB", (4, 5), (10 * i,) * 3).save(folder / f"image {i}.png")
        lines.append(f"image {i}.png {i}\n")
    (folder / "list.txt").write_text("".join(lines) + "\n")


def labels_of(layer: Any, top: list[Blob], batches: int) -> list[int]:
    got: list[int] = []
    for _ in range(batches):
        layer.forward([], top)
        assert (top[0].data == 10 * top[1].data.reshape(-1, 1, 1, 1)).all()
        got += [int(v) for v in top[1].data]
    return got


@pytest.mark.parametrize("case", data_cases("imagedata_"))
def test_reference(here: Path, case: dict[str, Any]) -> None:
    layer, top, arrays = recorded_layer(case, here)
    compare_batches(case, layer, top, arrays)


def test_order_wraps_around_within_a_batch(here: Path) -> None:
    write_images(here / "some", 5)  # paths with spaces, relative to the list
    layer, _, top = build(layer_text('source: "some/list.txt" batch_size: 3'), [], tops=2)
    assert [b.shape for b in top] == [(3, 3, 5, 4), (3,)]
    assert labels_of(layer, top, 3) == [0, 1, 2, 3, 4, 0, 1, 2, 3]
    assert (layer.consumed, layer.records(), layer.source_path()) == (9, 5, "some/list.txt")
    layer.seek(7)
    assert labels_of(layer, top, 1) == [2, 3, 4]


def test_shuffle_gives_every_image_once_a_pass(here: Path) -> None:
    write_images(here / "some", 6)
    text = layer_text('source: "some/list.txt" batch_size: 3 shuffle: true')
    layer, _, top = build(text, [], tops=2)
    passes = [labels_of(layer, top, 2) for _ in range(8)]
    assert all(sorted(p) == [0, 1, 2, 3, 4, 5] for p in passes)
    assert len({tuple(p) for p in passes}) > 4
    again, _, top = build(text, [], tops=2)
    assert [labels_of(again, top, 2) for _ in range(8)] == passes
    again.seek(6 * 5 + 3)
    assert labels_of(again, top, 1) == passes[5][3:]


def test_rand_skip(here: Path) -> None:
    write_images(here / "some", 6)
    text = layer_text('source: "some/list.txt" batch_size: 1 rand_skip: 3')
    starts = set()
    for seed in range(20):
        layer, _, top = build(text, [], tops=2, seed=seed)
        starts.update(labels_of(layer, top, 1))
    assert starts == {0, 1, 2}


def test_list_and_images_beside_the_net_file(here: Path) -> None:
    write_images(here / "some", 2)
    param = pb.LayerParameter(name="d", type="ImageData")
    param.image_data_param.source = "list.txt"
    layer, top = ImageData(param, TEST, f"{here}/some/net.prototxt:3: "), [Blob(), Blob()]
    layer.setup([], top)
    layer.reshape([], top)
    assert labels_of(layer, top, 3) == [0, 1, 0]


def test_random_crop_of_resized_images(here: Path) -> None:
    text = layer_text(
        'source: "data/sizes.txt" batch_size: 3 new_height: 8 new_width: 9', "crop_size: 4"
    )
    runs = []
    for seed in (1, 1, 2):
        layer, _, top = build(text, [], TRAIN, seed, tops=2)
        layer.forward([], top)
        assert top[0].shape == (3, 3, 4, 4)
        runs.append(top[0].data.copy())
    assert (runs[0] == runs[1]).all()
    assert (runs[0] != runs[2]).any()


ERRORS = [
    ("no_source", "", "", "source is not given"),
    ("missing", 'source: "nowhere.txt"', "", r"'nowhere.txt' does not exist \(looked in: /"),
    ("empty", 'source: "empty.txt"', "", "source 'empty.txt' lists no images"),
    (
        "no_label",
        'source: "no_label.txt"',
        "",
        r"source 'no_label.txt', line 2: expected a path and a label, got 'b\.png'",
    ),
    (
        "no_image",
        'source: "no_image.txt"',
        "",
        r"image 'gone\.png' \(line 1 of 'no_image\.txt'\) does not exist \(looked in: /.*gone\.png",
    ),
    (
        "no_root",
        'source: "data/names.txt" root_folder: "elsewhere/"',
        "",
        r"image 'elsewhere/im0\.png' \(line 1 of 'data/names\.txt'\) does not exist",
    ),
    (
        "rubbish",
        'source: "rubbish.txt"',
        "",
        r"image 'rubbish\.png' \(line 1 of 'rubbish\.txt'\) is not an image in any known format",
    ),
    (
        "truncated",
        'source: "truncated.txt"',
        "",
        r"image 'truncated\.png' \(line 1 of 'truncated\.txt'\) cannot be decoded as an image",
    ),
    (
        "one_size",
        'source: "data/list.txt" new_height: 5',
        "",
        "new_height and new_width must both be given, got new_height 5 and new_width 0",
    ),
    ("no_batch", 'source: "data/list.txt" batch_size: 0', "", "batch_size of at least 1"),
    ("crop", 'source: "data/list.txt"', "crop_size: 9", r"crop_size 9 is larger .* \(3, 9, 8\)"),
    (
        "mean",
        'source: "data/sizes.txt" new_height: 5 new_width: 6',
        'mean_file: "data/raw_mean.binaryproto"',
        r"has the shape \(3, 9, 8\), but the image \(3, 5, 6\)",
    ),
]


@pytest.mark.parametrize(
    ("data", "transform", "message"), [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS]
)
def test_errors_at_setup(here: Path, data: str, transform: str, message: str) -> None:
    (here / "empty.txt").write_text("\n \n")
    (here / "no_label.txt").write_text("data/images/im0.png 1\nb.png\n")
    (here / "no_image.txt").write_text("gone.png 1\n")
    (here / "rubbish.txt").write_text("rubbish.png 1\n")
    (here / "rubbish.png").write_bytes(b"no image")
    (here / "truncated.txt").write_text("truncated.png 1\n")
    (here / "truncated.png").write_bytes((here / "data/images/im0.png").read_bytes()[:99])
    with pytest.raises(DataError, match=rf"^layer 'under_test' \(ImageData\): .*{message}") as got:
        build(layer_text(data, transform), [], tops=2)
    assert "\n" not in str(got.value)


def test_too_much_to_skip(here: Path) -> None:
    write_images(here / "some", 1)
    text = layer_text('source: "some/list.txt" rand_skip: 1000')
    with pytest.raises(DataError, match=r"rand_skip 1000: \d+ images .* lists 1"):
        build(text, [], tops=2)


def test_sizes_that_differ_within_a_batch(here: Path) -> None:
    layer, _, top = build(layer_text('source: "data/sizes.txt" batch_size: 2'), [], tops=2)
    message = (
        r"image 'data/images/size1.png' \(line 2 of 'data/sizes.txt'\): an image of shape "
        r"\(3, 7, 11\) in a batch of shape \(3, 9, 8\)"
    )
    with pytest.raises(DataError, match=message):
        layer.forward([], top)


@pytest.mark.parametrize(
    ("mode", "color", "gray"),
    [
        ("L", [[77]] * 3, [[77]]),
        ("RGB", [[30], [20], [10]], [[18]]),
        ("RGBA", [[30], [20], [10]], [[18]]),
        ("P", [[30], [20], [10]], [[18]]),
        ("I;16", [[77]] * 3, [[77]]),
    ],
)
def test_kinds_of_images(here: Path, mode: str, color: Any, gray: Any) -> None:
    values: Any = {"L": 77, "I;16": 77 * 256 + 5, "RGBA": (10, 20, 30, 128)}.get(mode, (10, 20, 30))
    image = Image.new("RGB" if mode == "P" else mode, (3, 2), values)
    (image.quantize() if mode == "P" else image).save(here / "one.png")
    (here / "one.txt").write_text("one.png -4\n")
    for is_color, want in (("true", color), ("false", gray)):
        text = layer_text(f'source: "one.txt" is_color: {is_color}')
        layer, _, top = build(text, [], tops=2)
        layer.forward([], top)
        np.testing.assert_array_equal(top[0].data[0, :, 0, :1], want)
        assert top[0].shape == (1, len(want), 2, 3)
        assert top[1].data[0] == -4
