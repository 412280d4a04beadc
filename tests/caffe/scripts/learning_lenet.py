# ruff: noqa - as people write them for pycaffe
"""A net written with NetSpec, trained by a hand-written loop: in the manner of pycaffe's tutorials.

Knows nothing of protonet.
"""

import caffe
import numpy as np
from caffe import layers as L
from caffe import params as P


def lenet(source, batch_size):
    n = caffe.NetSpec()
    n.data, n.label = L.Data(
        batch_size=batch_size,
        backend=P.Data.LMDB,
        source=source,
        transform_param=dict(scale=1.0 / 255),
        ntop=2,
    )
    n.conv1 = L.Convolution(n.data, kernel_size=5, num_output=6, weight_filler=dict(type="xavier"))
    n.pool1 = L.Pooling(n.conv1, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    n.fc1 = L.InnerProduct(n.pool1, num_output=30, weight_filler=dict(type="xavier"))
    n.relu1 = L.ReLU(n.fc1, in_place=True)
    n.score = L.InnerProduct(n.relu1, num_output=10, weight_filler=dict(type="xavier"))
    n.loss = L.SoftmaxWithLoss(n.score, n.label)
    return n.to_proto()


with open("train.prototxt", "w") as f:
    f.write(str(lenet("mnist-1k-lmdb", 50)))
with open("test.prototxt", "w") as f:
    f.write(str(lenet("mnist-1k-lmdb", 100)))

from caffe.proto import caffe_pb2

s = caffe_pb2.SolverParameter()
s.random_seed = 7
s.train_net = "train.prototxt"
s.test_net.append("test.prototxt")
s.test_interval = 500
s.test_iter.append(10)
s.max_iter = 10000
s.type = "SGD"
s.base_lr = 0.05
s.momentum = 0.9
s.weight_decay = 5e-4
s.lr_policy = "inv"
s.gamma = 0.0001
s.power = 0.75
s.snapshot = 0
s.snapshot_prefix = "lenet"
s.solver_mode = caffe_pb2.SolverParameter.CPU
with open("solver.prototxt", "w") as f:
    f.write(str(s))

caffe.set_mode_cpu()
solver = None
solver = caffe.SGDSolver("solver.prototxt")

shapes = [(k, v.data.shape) for k, v in solver.net.blobs.items()]
assert shapes[0] == ("data", (50, 1, 28, 28))
assert [(k, v[0].data.shape) for k, v in solver.net.params.items()][0] == ("conv1", (6, 1, 5, 5))

solver.net.forward()
solver.test_nets[0].forward()
first_loss = float(solver.net.blobs["loss"].data)

niter = 40
test_interval = 20
train_loss = np.zeros(niter)
test_acc = np.zeros(int(np.ceil(niter / test_interval)))
for it in range(niter):
    solver.step(1)
    train_loss[it] = solver.net.blobs["loss"].data
    solver.test_nets[0].forward(start="conv1")
    if it % test_interval == 0:
        correct = 0
        for test_it in range(10):
            solver.test_nets[0].forward()
            correct += sum(
                solver.test_nets[0].blobs["score"].data.argmax(1)
                == solver.test_nets[0].blobs["label"].data
            )
        test_acc[it // test_interval] = correct / 1e3

assert solver.iter == niter
assert train_loss[-5:].mean() < first_loss / 2
assert test_acc[1] > test_acc[0]
