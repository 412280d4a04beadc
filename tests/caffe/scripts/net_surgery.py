# ruff: noqa - as people write them for pycaffe
"""A classifier's inner products become convolutions: in the manner of pycaffe's tutorials.

Knows nothing of protonet.
"""

import caffe
import numpy as np
from caffe import layers as L

FILL = dict(weight_filler=dict(type="xavier"), bias_filler=dict(type="gaussian", std=0.1))


def body(n, size):
    n.data = L.Input(shape=dict(dim=[1, 3, *size]))
    n.conv1 = L.Convolution(n.data, num_output=4, kernel_size=3, stride=1, **FILL)
    n.pool1 = L.Pooling(n.conv1, kernel_size=2, stride=2)


n = caffe.NetSpec()
body(n, (14, 14))
n.fc6 = L.InnerProduct(n.pool1, num_output=8, **FILL)
n.relu6 = L.ReLU(n.fc6, in_place=True)
n.fc7 = L.InnerProduct(n.relu6, num_output=5, **FILL)
n.prob = L.Softmax(n.fc7)
with open("fc.prototxt", "w") as f:
    f.write(str(n.to_proto()))

n = caffe.NetSpec()
body(n, (26, 22))
n["fc6-conv"] = L.Convolution(n.pool1, num_output=8, kernel_size=6)
n.relu6 = L.ReLU(n["fc6-conv"], in_place=True)
n["fc7-conv"] = L.Convolution(n.relu6, num_output=5, kernel_size=1)
n.prob = L.Softmax(n["fc7-conv"])
with open("conv.prototxt", "w") as f:
    f.write(str(n.to_proto()))

caffe.set_random_seed(3)
net = caffe.Net("fc.prototxt", caffe.TEST)
net.save("fc.caffemodel")

net = caffe.Net("fc.prototxt", "fc.caffemodel", caffe.TEST)
params = ["fc6", "fc7"]
fc_params = {pr: (net.params[pr][0].data, net.params[pr][1].data) for pr in params}

net_full_conv = caffe.Net("conv.prototxt", "fc.caffemodel", caffe.TEST)
params_full_conv = ["fc6-conv", "fc7-conv"]
conv_params = {
    pr: (net_full_conv.params[pr][0].data, net_full_conv.params[pr][1].data)
    for pr in params_full_conv
}
for pr, pr_conv in zip(params, params_full_conv):
    conv_params[pr_conv][0].flat = fc_params[pr][0].flat
    conv_params[pr_conv][1][...] = fc_params[pr][1]
net_full_conv.save("full_conv.caffemodel")

im = np.random.RandomState(0).randn(3, 26, 22).astype(np.float32)
out = net_full_conv.forward_all(data=np.asarray([im]))
assert out["prob"].shape == (1, 5, 7, 5)
for y, x in [(0, 0), (6, 4), (3, 2)]:
    net.blobs["data"].data[...] = im[:, 2 * y : 2 * y + 14, 2 * x : 2 * x + 14]
    np.testing.assert_allclose(net.forward()["prob"][0], out["prob"][0, :, y, x], atol=1e-5)

# one filter, by hand
conv = net.params["conv1"][0].data
conv[0] = 0
net.params["conv1"][1].data[0] = 2
net.forward()
assert (net.blobs["conv1"].data[0, 0] == 2).all()
