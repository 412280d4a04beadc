"""caffe.Classifier and caffe.Detector."""

import numpy as np
import pytest
from PIL import Image

import protonet.caffe as caffe
from protonet.errors import DataError

RNG = np.random.default_rng(2)


@pytest.fixture
def files(small, tmp_path):
    caffe.Net(small, caffe.TEST).save(tmp_path / "w.caffemodel")
    return small, str(tmp_path / "w.caffemodel")


def test_predictions_are_means_over_crops(files):
    image = RNG.random((11, 9, 3)).astype(np.float32)
    net = caffe.Classifier(*files, image_dims=(8, 7), mean=np.ones(3), raw_scale=2)
    got = net.predict([image, image + 1])
    plain = caffe.Net(*files, caffe.TEST)
    crops = caffe.io.oversample([caffe.io.resize_image(image, (8, 7))], (6, 5))
    want = plain.forward_all(data=2 * crops.transpose(0, 3, 1, 2) - 1)["prob"].mean(0)
    np.testing.assert_allclose(got[0], want, atol=1e-6)
    assert got.shape == (2, 7)
    centre = net.predict([image], oversample=False)[0]
    want = plain.forward_all(data=2 * crops[4:5].transpose(0, 3, 1, 2) - 1)["prob"][0]
    np.testing.assert_allclose(centre, want, atol=1e-6)


def test_sizes_default_to_the_input(files):
    net = caffe.Classifier(*files, channel_swap=(2, 1, 0), input_scale=0.5)
    assert tuple(net.image_dims) == tuple(net.crop_dims) == (6, 5)
    assert net.predict([RNG.random((6, 5, 3))], oversample=False).shape == (1, 7)


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "i.png"
    Image.fromarray(RNG.integers(0, 256, (20, 30, 3), np.uint8)).save(path)
    return str(path)


def test_windows(files, image):
    net = caffe.Detector(*files, raw_scale=255, channel_swap=(2, 1, 0))
    windows = [np.array([2, 3, 12, 18]), np.array([0, 0, 6, 5]), np.array([4, 5, 19, 29])]
    found = net.detect_windows([(image, windows[:2]), (image, windows[2:])])
    assert [d["filename"] for d in found] == [image] * 3
    assert all(d["window"] is w for d, w in zip(found, windows, strict=True))
    pixels = caffe.io.load_image(image)[:6, :5]
    plain = caffe.Net(*files, caffe.TEST)
    x = pixels[:, :, ::-1].transpose(2, 0, 1) * 255
    want = plain.forward_all(data=x[None])["prob"][0]
    np.testing.assert_allclose(found[1]["prediction"], want, atol=1e-6)


def test_context(files, image):
    mean = np.array([10.0, 20, 30])
    full = np.tile(mean[:, None, None], (1, 6, 5))
    options = {"raw_scale": 255, "channel_swap": (2, 1, 0), "mean": full, "context_pad": 1}
    net = caffe.Detector(*files, **options)
    np.testing.assert_allclose(net.crop_mean[0, 0], mean[::-1] / 255, rtol=1e-6)
    crop = net.crop(caffe.io.load_image(image), np.array([0, 0, 9, 9]))
    assert crop.shape == (6, 5, 3)
    np.testing.assert_allclose(crop[0, 0], mean[::-1] / 255, rtol=1e-6)  # outside of the image
    assert not np.allclose(crop[3, 3], mean[::-1] / 255)
    inside = net.crop(caffe.io.load_image(image), np.array([8, 10, 12, 16]))
    square = inside[:5]  # inputs are taken to be as high as they are wide
    assert not np.isclose(square, mean[::-1] / 255).all(2).any()
    with pytest.raises(DataError, match="lies outside of the image"):
        net.crop(caffe.io.load_image(image), np.array([60, 70, 70, 80]))


def test_selective_search_is_a_package_of_its_own(files, image):
    with pytest.raises(DataError, match="needs the package selective_search_ijcv_with_python"):
        caffe.Detector(*files).detect_selective_search([image])
