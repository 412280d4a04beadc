"""caffe.io: messages, images, Transformer."""

import numpy as np
import pytest
from PIL import Image

import protonet.caffe as caffe
from protonet.errors import DataError, ShapeError
from protonet.resample import resample_corners, resample_pixels

io = caffe.io
RNG = np.random.default_rng(1)


# --- messages --------------------------------------------------------------------------------
def test_blobprotos():
    values, diff = RNG.standard_normal((2, 3, 4)), RNG.standard_normal((2, 3, 4))
    blob = io.array_to_blobproto(values, diff)
    np.testing.assert_allclose(io.blobproto_to_array(blob), values, rtol=1e-6)
    np.testing.assert_allclose(io.blobproto_to_array(blob, return_diff=True), diff, rtol=1e-6)
    assert list(blob.shape.dim) == [2, 3, 4]
    old = caffe.proto.caffe_pb2.BlobProto(num=1, channels=2, height=3, width=4, data=range(24))
    assert io.blobproto_to_array(old).shape == (1, 2, 3, 4)
    assert io.blobproto_to_array(io.array_to_blobproto(np.float32(3))).shape == ()


def test_a_mean_from_its_bytes():
    mean = io.array_to_blobproto(RNG.random((1, 3, 5, 4))).SerializeToString()
    blob = caffe.proto.caffe_pb2.BlobProto()
    blob.ParseFromString(mean)
    assert np.array(io.blobproto_to_array(blob))[0].shape == (3, 5, 4)


def test_blob_vectors():
    arrays = [RNG.random((2, 3)), RNG.random(4)]
    for write in (io.arraylist_to_blobprotovector_str, io.arraylist_to_blobprotovecor_str):
        for got, want in zip(
            io.blobprotovector_str_to_arraylist(write(arrays)), arrays, strict=True
        ):
            np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_datums(dtype):
    image = (RNG.random((3, 4, 5)) * 255).astype(dtype)
    datum = io.array_to_datum(image, 7)
    assert (datum.channels, datum.height, datum.width, datum.label) == (3, 4, 5, 7)
    back = io.datum_to_array(datum)
    np.testing.assert_array_equal(back, image)
    assert back.dtype == (np.uint8 if dtype is np.uint8 else np.float64)
    assert not io.array_to_datum(image).HasField("label")
    with pytest.raises(ShapeError, match=r"expected an array of 3 axes \(C, H, W\), got shape \(4"):
        io.array_to_datum(image[0])


# --- images ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("mode", "shape"), [("RGB", (4, 6, 3)), ("RGBA", (4, 6, 4)), ("L", (4, 6)), ("LA", (4, 6, 2))]
)
def test_load_image(tmp_path, mode, shape):
    pixels = RNG.integers(0, 256, shape, np.uint8)
    path = tmp_path / "i.png"
    Image.fromarray(pixels).save(path)
    with Image.open(path) as image:
        assert image.mode == mode
    colour, grey = io.load_image(path), io.load_image(str(path), color=False)
    assert (colour.shape, grey.shape) == ((4, 6, 3), (4, 6, 1))
    assert colour.dtype == grey.dtype == np.float32
    planes = pixels.reshape(4, 6, -1)
    want = planes[:, :, :3] if mode.startswith("RGB") else planes[:, :, [0, 0, 0]]
    np.testing.assert_allclose(colour, want / 255, rtol=1e-6)
    np.testing.assert_allclose(grey[..., 0], want @ [0.2125, 0.7154, 0.0721] / 255, atol=1e-6)


def test_load_image_of_16_bits(tmp_path):
    pixels = RNG.integers(0, 65536, (4, 6), np.uint16)
    Image.fromarray(pixels).save(tmp_path / "i.png")
    np.testing.assert_allclose(io.load_image(tmp_path / "i.png", False)[..., 0], pixels / 65535)


def test_what_is_no_image(tmp_path):
    with pytest.raises(DataError, match=r"^gone.png: no such file$"):
        io.load_image("gone.png")
    (tmp_path / "i.png").write_text("text")
    with pytest.raises(DataError, match=r"i.png: not an image in any known format$"):
        io.load_image(tmp_path / "i.png")
    Image.fromarray(np.zeros((50, 60), np.uint8)).save(tmp_path / "j.png")
    (tmp_path / "j.png").write_bytes((tmp_path / "j.png").read_bytes()[:50])
    with pytest.raises(DataError, match=r"j.png: cannot be read as an image: "):
        io.load_image(tmp_path / "j.png")


def linear_by_hand(im, size, outside):
    """Bilinear at pixel centres, one value at a time."""

    def at(y, x, c):
        inside = 0 <= y < im.shape[0] and 0 <= x < im.shape[1]
        return im[y, x, c] if inside else outside

    out = np.zeros((*size, im.shape[2]))
    for i, j, c in np.ndindex(out.shape):
        y = (i + 0.5) * im.shape[0] / size[0] - 0.5
        x = (j + 0.5) * im.shape[1] / size[1] - 0.5
        a, b = int(np.floor(y)), int(np.floor(x))
        u, v = y - a, x - b
        out[i, j, c] = (
            (1 - u) * (1 - v) * at(a, b, c)
            + (1 - u) * v * at(a, b + 1, c)
            + u * (1 - v) * at(a + 1, b, c)
            + u * v * at(a + 1, b + 1, c)
        )
    return out


@pytest.mark.parametrize("size", [(7, 11), (3, 2), (4, 6), (1, 9)])
@pytest.mark.parametrize("channels", [1, 3])
def test_resize_image(size, channels):
    im = RNG.random((4, 6, channels)).astype(np.float32)
    got = io.resize_image(im, size)
    assert (got.shape, got.dtype) == ((*size, channels), np.float32)
    np.testing.assert_allclose(got, linear_by_hand(im, size, im.min()), atol=1e-6)


def test_resize_nearest_and_constant():
    im = RNG.random((4, 6, 3))
    np.testing.assert_allclose(io.resize_image(im, (8, 12), 0), im.repeat(2, 0).repeat(2, 1))
    assert (io.resize_image(np.full((4, 6, 3), 0.3), (2, 5)) == np.float32(0.3)).all()


def test_resize_of_other_channels_goes_from_corner_to_corner():
    im = RNG.random((4, 6, 5))
    got = io.resize_image(im, (7, 11))
    np.testing.assert_allclose(got[::2, ::2], im, atol=1e-6)
    np.testing.assert_allclose(got[1, 0], (im[0, 0] + im[1, 0]) / 2, atol=1e-6)
    np.testing.assert_array_equal(io.resize_image(im[:1, :1], (3, 2))[2, 1], np.float32(im[0, 0]))


def test_splines_are_scipys():
    pytest.importorskip("scipy")
    im = RNG.random((5, 6, 3))
    for function, options in ((resample_pixels, {"outside": 0.0}), (resample_corners, {})):
        smooth = function(im, (10, 13), 3, **options)
        assert smooth.shape == (10, 13, 3)
        assert np.abs(smooth - function(im, (10, 13), 1, **options)).max() > 1e-3


@pytest.mark.parametrize("channels", [2, 3])
def test_no_such_order(channels):
    with pytest.raises(DataError, match="expected interp_order from 0 to 5, got 6"):
        io.resize_image(RNG.random((4, 6, channels)), (2, 3), 6)


def test_oversample():
    images = [RNG.random((7, 9, 3)), RNG.random((7, 9, 3))]
    crops = io.oversample(images, (4, 6))
    assert (crops.shape, crops.dtype) == ((20, 4, 6, 3), np.float32)
    for i, (top, left) in enumerate([(0, 0), (0, 3), (3, 0), (3, 3), (1, 1)]):
        for k, image in enumerate(images):
            want = image[top : top + 4, left : left + 6].astype(np.float32)
            np.testing.assert_array_equal(crops[10 * k + i], want)
            np.testing.assert_array_equal(crops[10 * k + 5 + i], want[:, ::-1])


# --- Transformer -----------------------------------------------------------------------------
@pytest.fixture
def transformer():
    return io.Transformer({"data": (10, 3, 8, 6)})


def test_order_of_the_steps(transformer):
    image = RNG.random((8, 6, 3)).astype(np.float32)
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_channel_swap("data", (2, 0, 1))
    transformer.set_raw_scale("data", 255)
    transformer.set_mean("data", np.array([10.0, 20, 30]))
    transformer.set_input_scale("data", 0.5)
    got = transformer.preprocess("data", image)
    want = image[:, :, [2, 0, 1]].transpose(2, 0, 1) * 255 - np.array([10, 20, 30])[:, None, None]
    np.testing.assert_allclose(got, want / 2, atol=1e-4)
    assert got.dtype == np.float32
    np.testing.assert_allclose(transformer.deprocess("data", got), image, atol=1e-6)


def test_nothing_set(transformer):
    image = RNG.random((5, 4, 3))
    got = transformer.preprocess("data", image)
    np.testing.assert_array_equal(got, io.resize_image(image.astype(np.float32), (8, 6)))


def test_images_are_left_alone(transformer):
    image = np.ones((8, 6, 3), np.float32)
    transformer.set_raw_scale("data", 255)
    transformer.preprocess("data", image)
    assert (image == 1).all()


@pytest.mark.parametrize("shape", [(3, 8, 6), (8, 6), (3, 16, 12), (16, 12), (1, 4, 4)])
def test_means_of_any_size(transformer, shape):
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_mean("data", np.full(shape, 0.25))
    got = transformer.preprocess("data", np.ones((8, 6, 3)))
    np.testing.assert_allclose(got, np.full((3, 8, 6), 0.75), rtol=1e-6)


MISTAKES = {
    "input": (lambda t: t.set_raw_scale("dta", 1), "'dta' is not one of the net's inputs: data"),
    "transpose": (lambda t: t.set_transpose("data", (1, 0)), "expected 3 axes, got (1, 0)"),
    "swap": (lambda t: t.set_channel_swap("data", (1, 0)), "expected 3 channels, got (1, 0)"),
    "channels": (lambda t: t.set_mean("data", np.ones(4)), "expected 3 channels, got 4"),
    "planes": (
        lambda t: t.set_mean("data", np.ones((2, 8, 6))),
        "expected the shape (3, 8, 6), got (2, 8, 6)",
    ),
    "axes": (lambda t: t.set_mean("data", np.ones((1, 3, 8, 6))), "got (1, 3, 8, 6)"),
}


@pytest.mark.parametrize(("call", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(transformer, call, message):
    with pytest.raises((DataError, ShapeError)) as caught:
        call(transformer)
    assert message in str(caught.value)
