# ruff: noqa - as people write them for pycaffe
"""An image through a Transformer and a net, and a look inside: in the manner of pycaffe's tutorials.

Knows nothing of protonet.
"""

import caffe
import numpy as np
from caffe import layers as L
from PIL import Image

n = caffe.NetSpec()
n.data = L.Input(input_param=dict(shape=[dict(dim=[10, 3, 16, 12])]))
n.conv1 = L.Convolution(n.data, num_output=4, kernel_size=3, weight_filler=dict(type="xavier"))
n.norm1 = L.LRN(n.conv1, local_size=3, alpha=1e-4, beta=0.75)
n.fc8 = L.InnerProduct(n.norm1, num_output=9, weight_filler=dict(type="xavier"))
n.prob = L.Softmax(n.fc8)
with open("deploy.prototxt", "w") as f:
    f.write(str(n.to_proto()))
caffe.set_random_seed(1)
caffe.Net("deploy.prototxt", caffe.TEST).save("w.caffemodel")

pixels = np.random.RandomState(0).randint(0, 255, (20, 18, 3)).astype(np.uint8)
Image.fromarray(pixels).save("cat.png")
np.save("mean.npy", np.random.RandomState(1).rand(3, 24, 24) * 255)

caffe.set_mode_cpu()
net = caffe.Net("deploy.prototxt", "w.caffemodel", caffe.TEST)

mu = np.load("mean.npy")
mu = mu.mean(1).mean(1)
transformer = caffe.io.Transformer({"data": net.blobs["data"].data.shape})
transformer.set_transpose("data", (2, 0, 1))
transformer.set_mean("data", mu)
transformer.set_raw_scale("data", 255)
transformer.set_channel_swap("data", (2, 1, 0))

net.blobs["data"].reshape(5, 3, 16, 12)
image = caffe.io.load_image("cat.png")
assert image.shape == (20, 18, 3) and image.dtype == np.float32 and image.max() <= 1
transformed_image = transformer.preprocess("data", image)
assert transformed_image.shape == (3, 16, 12)
net.blobs["data"].data[...] = transformed_image
output = net.forward()
output_prob = output["prob"][0]
assert output["prob"].shape == (5, 9)
top_inds = output_prob.argsort()[::-1][:5]
assert output_prob[top_inds[0]] == output_prob.max()

for layer_name, blob in net.blobs.items():
    assert blob.data.shape[0] == 5
for layer_name, param in net.params.items():
    assert param[1].data.shape == param[0].data.shape[:1]

back = transformer.deprocess("data", net.blobs["data"].data[0])
assert np.abs(back - caffe.io.resize_image(image, (16, 12))).max() < 1e-4

classifier = caffe.Classifier(
    "deploy.prototxt",
    "w.caffemodel",
    mean=mu,
    raw_scale=255,
    channel_swap=(2, 1, 0),
    image_dims=(18, 16),
)
prediction = classifier.predict([image, image[::-1]])
assert prediction.shape == (2, 9)
assert np.allclose(prediction.sum(1), 1)
centre = classifier.predict([image], oversample=False)
assert centre.shape == (1, 9)
