"""The WindowData layer: windows against a plain reading of its rules, and what can be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import build
from PIL import Image

from protonet.data.resize import resize
from protonet.data.windows import Warp, Window
from protonet.errors import DataError
from protonet.layer import TRAIN
from protonet.schema import caffe_pb2 as pb

WINDOWS = """# 0
images/a.png
3
20
30
4
1 0.9 2 3 12 10
2 0.6 20 5 29 19
3 0.4 0 0 9 9
0 0.1 5 5 16 18
# 1
images/b.png
3
16
12
2
4 0.5 0 0 11 15
0 0 1 2 5 14
"""

# label, corners, image; 3 overlaps too much for background and too little for foreground
FOREGROUND = {1: (2, 3, 12, 10, "a"), 2: (20, 5, 29, 19, "a"), 4: (0, 0, 11, 15, "b")}
BACKGROUND = [(5, 5, 16, 18, "a"), (1, 2, 5, 14, "b")]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "images").mkdir()
    for name, (height, width) in (("a", (20, 30)), ("b", (16, 12))):
        values = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(values).save(tmp_path / "images" / f"{name}.png")
    (tmp_path / "windows.txt").write_text(WINDOWS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


DEFAULTS = ('source: "windows.txt"', "fg_fraction: 0.25", "bg_threshold: 0.3")


def text(inside: str = "", transform: str = "crop_size: 8", batch: int = 8) -> str:
    """The layer with the defaults that ``inside`` does not give."""
    defaults = " ".join(field for field in DEFAULTS if field.split()[0] not in inside)
    return (
        f'type: "WindowData" window_data_param {{ batch_size: {batch} {defaults} {inside} }} '
        f"transform_param {{ {transform} }}"
    )


def pixels(name: str) -> np.ndarray:
    return np.asarray(Image.open(f"images/{name}.png"))[:, :, ::-1].transpose(2, 0, 1)


def crop(x1: int, y1: int, x2: int, y2: int, name: str, size: int = 8) -> np.ndarray:
    return resize(np.ascontiguousarray(pixels(name)[:, y1 : y2 + 1, x1 : x2 + 1]), size, size)


@pytest.mark.parametrize("cache", ["", "cache_images: true"])
def test_share_of_foreground_and_plain_warping(here: Path, cache: str) -> None:
    layer, _, top = build(text(cache), [], tops=2)
    assert [b.shape for b in top] == [(8, 3, 8, 8), (8,)]
    seen = set()
    for _ in range(15):
        layer.forward([], top)
        labels = [int(v) for v in top[1].data]
        assert labels[:6] == [0] * 6  # background comes first
        for label, y in zip(labels, top[0].data, strict=True):
            choices = [FOREGROUND[label]] if label else BACKGROUND
            found = [c for c in choices if (crop(*c) == y).all()]
            assert len(found) == 1
            seen.add(found[0])
    assert seen == {*FOREGROUND.values(), *BACKGROUND}
    assert (layer.records(), layer.consumed) == (5, 120)


@pytest.mark.parametrize("mean", ["values", "file"])
def test_mirror_mean_and_scale(here: Path, mean: str) -> None:
    values = np.random.default_rng(1).uniform(90, 130, (3, 11, 11)).astype(np.float32)
    blob = pb.BlobProto(num=1, channels=3, height=11, width=11, data=values.ravel())
    (here / "mean.binaryproto").write_bytes(blob.SerializeToString())
    if mean == "values":
        transform = "mean_value: 10 mean_value: 20 mean_value: 30"
        middle = np.float32([10, 20, 30]).reshape(3, 1, 1)
    else:
        transform, middle = 'mean_file: "mean.binaryproto"', values[:, 1:9, 1:9]
    layer, _, top = build(
        text(transform=f"crop_size: 8 mirror: true scale: 0.5 {transform}"), [], TRAIN, tops=2
    )
    ways = set()
    for _ in range(5):
        layer.forward([], top)
        for label, y in zip(top[1].data.astype(int), top[0].data, strict=True):
            choices = [FOREGROUND[label]] if label else BACKGROUND
            found = [
                way
                for c in choices
                for way in (1, -1)
                if ((crop(*c)[:, :, ::way] - middle) * np.float32(0.5) == y).all()
            ]
            assert len(found) == 1
            ways.add(found[0])
    assert ways == {1, -1}


def test_seek_continues_exactly(here: Path) -> None:
    layer, _, top = build(text(transform="crop_size: 8 mirror: true"), [], tops=2)
    batches = []
    for _ in range(4):
        layer.forward([], top)
        batches.append(top[0].data.copy())
    layer.seek(16)
    layer.forward([], top)
    np.testing.assert_array_equal(top[0].data, batches[2])


PLACES = [  # window, image size (height, width), crop, context, square; part, size, empty
    ((2, 3, 12, 10), (20, 30), 8, 0, False, ((2, 3, 12, 10), (8, 8), (0, 0, 0))),
    # 10 x 6 box: half sizes 5, 3; doubled by 8 / (8 - 4); centre (9, 8)
    ((4, 5, 13, 10), (20, 30), 8, 2, False, ((0, 2, 19, 14), (8, 8), (0, 0, 0))),
    # the same, made square: half sizes 5, 5, doubled: from -1 to 19, from -2 to 18
    ((4, 5, 13, 10), (20, 30), 8, 2, True, ((0, 0, 19, 18), (7, 8), (1, 0, 0))),
    # beyond the left and the upper border
    ((0, 0, 9, 5), (20, 30), 8, 2, False, ((0, 0, 15, 9), (6, 6), (2, 2, 0))),
    # beyond the right and the lower border
    ((20, 14, 29, 19), (20, 30), 8, 2, False, ((15, 11, 29, 19), (6, 6), (0, 0, 2))),
]


@pytest.mark.parametrize(("box", "size", "crop_size", "pad", "square", "want"), PLACES)
def test_context(box: Any, size: Any, crop_size: int, pad: int, square: bool, want: Any) -> None:
    assert Warp(crop_size, pad, square).place(Window(0, 1, *box), *size) == want


@pytest.mark.parametrize("mirror", ["false", "true"])
def test_what_lies_outside_is_zero(here: Path, mirror: str) -> None:
    (here / "windows.txt").write_text("# 0\nimages/a.png\n3\n20\n30\n1\n1 1 0 0 9 5\n")
    layer, _, top = build(
        text("context_pad: 2 fg_fraction: 1", f"crop_size: 8 mean_value: 50 mirror: {mirror}", 9),
        [],
        tops=2,
    )
    layer.forward([], top)
    part = resize(np.ascontiguousarray(pixels("a")[:, :10, :16]), 6, 6) - np.float32(50)
    plain, flipped = np.zeros((2, 3, 8, 8), np.float32)
    plain[:, 2:, 2:] = part
    flipped[:, 2:, :6] = part[:, :, ::-1]
    matches = {(bool((y == plain).all()), bool((y == flipped).all())) for y in top[0].data}
    assert matches == ({(True, False), (False, True)} if mirror == "true" else {(True, False)})


PARAM_ERRORS = [
    ("batch", text(batch=0), "needs a batch_size of at least 1"),
    ("crop", text(transform=""), "a crop_size of at least 1 is needed"),
    ("context", text("context_pad: 4"), "context_pad 4 leaves nothing of crop_size 8"),
    ("mode", text('crop_mode: "warped"'), "crop_mode must be 'warp' or 'square', got 'warped'"),
    ("fraction", text("fg_fraction: 1.5"), "fg_fraction must lie between 0 and 1, got 1.5"),
    ("foreground", text("fg_threshold: 0.95"), "has no foreground windows, but each batch takes 2"),
    ("background", text("bg_threshold: 0"), "has no background windows, but each batch takes 6"),
    ("means", text(transform="crop_size: 8 mean_value: 1 mean_value: 2"), "2 mean_values"),
    ("source", text('source: "gone.txt"'), "source 'gone.txt' does not exist"),
]


@pytest.mark.parametrize(
    ("prototxt", "message"), [e[1:] for e in PARAM_ERRORS], ids=[e[0] for e in PARAM_ERRORS]
)
def test_parameters(here: Path, prototxt: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"^layer 'under_test' \(WindowData\): .*{message}"):
        build(prototxt, [], tops=2)


FILE_ERRORS = [
    ("", "lists no images"),
    ("images/a.png\n3\n", r"line 1: expected '# <index>', got 'images/a.png'"),
    ("# 0\n", "breaks off: expected the path of an image"),
    ("# 0\nimages/a.png\nthree\n", "line 3: expected channels, got 'three'"),
    ("# 0\nimages/a.png\n3\n20\n30\n1\n", r"breaks off: expected a window: class"),
    (
        "# 0\nimages/a.png\n3\n20\n30\n1\n1 1 0 0 9\n",
        "line 7: expected a window: .* got '1 1 0 0 9'",
    ),
    ("# 0\nimages/a.png\n3\n20\n30\n1\n0 1 0 0 9 9\n", "a foreground window has class 0"),
]


@pytest.mark.parametrize(("content", "message"), FILE_ERRORS)
def test_window_files(here: Path, content: str, message: str) -> None:
    (here / "windows.txt").write_text(content)
    with pytest.raises(DataError, match=message):
        build(text(), [], tops=2)


READING_ERRORS = [
    (
        "# 0\ngone.png\n3\n20\n30\n1\n1 1 0 0 9 9\n",
        r"image 'gone.png' \(line 2 of 'windows.txt'\) does",
    ),
    (
        "# 0\nimages/a.png\n3\n20\n30\n1\n1 1 0 0 30 9\n",
        r"the window 0 0 30 9 does not lie in the image",
    ),
    (
        "# 0\nimages/a.png\n1\n20\n30\n1\n1 1 0 0 9 9\n",
        "has 3 channels, but its window file says 1",
    ),
]


@pytest.mark.parametrize(("content", "message"), READING_ERRORS)
def test_errors_while_reading(here: Path, content: str, message: str) -> None:
    (here / "windows.txt").write_text(content)
    layer, _, top = build(text("fg_fraction: 1"), [], tops=2)
    with pytest.raises(DataError, match=rf"^layer 'under_test' \(WindowData\): .*{message}"):
        layer.forward([], top)
