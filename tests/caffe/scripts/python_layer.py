# ruff: noqa - as people write them for pycaffe
"""A data layer and a loss written in Python: in the manner of pycaffe's tutorials.

Knows nothing of protonet.
"""

import caffe
import numpy as np
from caffe import layers as L

SOURCE = '''
import json

import numpy as np

import caffe


class BlobsLayer(caffe.Layer):
    """Two clouds of points, and which of them each point is of."""

    def setup(self, bottom, top):
        params = json.loads(self.param_str)
        self.batch_size = params["batch_size"]
        self.rng = np.random.RandomState(params["seed"])
        top[0].reshape(self.batch_size, 4)
        top[1].reshape(self.batch_size)

    def reshape(self, bottom, top):
        pass

    def forward(self, bottom, top):
        label = self.rng.randint(0, 2, self.batch_size)
        top[1].data[...] = label
        top[0].data[...] = self.rng.randn(self.batch_size, 4) + 3 * label[:, None]

    def backward(self, top, propagate_down, bottom):
        pass


class EuclideanLossLayer(caffe.Layer):
    def setup(self, bottom, top):
        if len(bottom) != 2:
            raise Exception("Need two inputs to compute distance.")

    def reshape(self, bottom, top):
        if bottom[0].count != bottom[1].count:
            raise Exception("Inputs must have the same dimension.")
        self.diff = np.zeros_like(bottom[0].data, dtype=np.float32)
        top[0].reshape(1)

    def forward(self, bottom, top):
        self.diff[...] = bottom[0].data - bottom[1].data.reshape(self.diff.shape)
        top[0].data[...] = np.sum(self.diff**2) / bottom[0].num / 2.

    def backward(self, top, propagate_down, bottom):
        for i in range(2):
            if not propagate_down[i]:
                continue
            sign = 1 if i == 0 else -1
            bottom[i].diff[...] = (sign * self.diff / bottom[i].num).reshape(bottom[i].data.shape)
'''
with open("our_layers.py", "w") as f:
    f.write(SOURCE)

n = caffe.NetSpec()
n.data, n.label = L.Python(
    module="our_layers",
    layer="BlobsLayer",
    ntop=2,
    param_str='{"batch_size": 32, "seed": 1}',
)
n.score = L.InnerProduct(n.data, num_output=1, weight_filler=dict(type="xavier"))
n.loss = L.Python(n.score, n.label, module="our_layers", layer="EuclideanLossLayer", loss_weight=1)
with open("net.prototxt", "w") as f:
    f.write(str(n.to_proto()))
with open("solver.prototxt", "w") as f:
    f.write('net: "net.prototxt" base_lr: 0.02 lr_policy: "fixed" momentum: 0.5 random_seed: 1\n')

solver = caffe.SGDSolver("solver.prototxt")
losses = []
for _ in range(60):
    solver.step(1)
    losses.append(float(solver.net.blobs["loss"].data[0]))
assert np.mean(losses[-10:]) < 0.3 * losses[0]
assert solver.net.layers[list(solver.net._layer_names).index("loss")].type == "Python"
