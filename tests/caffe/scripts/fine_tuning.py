# ruff: noqa - as people write them for pycaffe
"""A trained net gets a new head, of another name: in the manner of pycaffe's tutorials.

Knows nothing of protonet.
"""

import os
import tempfile

import caffe
import numpy as np
from caffe import layers as L
from caffe import params as P

weight_param = dict(lr_mult=1, decay_mult=1)
bias_param = dict(lr_mult=2, decay_mult=0)
learned_param = [weight_param, bias_param]
frozen_param = [dict(lr_mult=0)] * 2


def net(train=True, learn_all=False, classes=10, head="fc8"):
    n = caffe.NetSpec()
    n.data, n.label = L.Data(
        source="mnist-1k-lmdb",
        backend=P.Data.LMDB,
        batch_size=20,
        transform_param=dict(scale=0.004),
        ntop=2,
    )
    param = learned_param if learn_all else frozen_param
    n.conv1 = L.Convolution(
        n.data, kernel_size=7, stride=3, num_output=6, param=param, weight_filler=dict(type="msra")
    )
    n.relu1 = L.ReLU(n.conv1, in_place=True)
    if train:
        n.drop1 = fc_input = L.Dropout(n.relu1, in_place=True, dropout_ratio=0.1)
    else:
        fc_input = n.relu1
    score = L.InnerProduct(
        fc_input, num_output=classes, param=learned_param, weight_filler=dict(type="xavier")
    )
    n.__setattr__(head, score)
    if not train:
        n.probs = L.Softmax(score)
    n.loss = L.SoftmaxWithLoss(score, n.label)
    n.acc = L.Accuracy(score, n.label)
    with tempfile.NamedTemporaryFile("w", delete=False, dir=".") as f:
        f.write(str(n.to_proto()))
        return f.name


def solver(train_net_path, base_lr=0.01):
    s = caffe.proto.caffe_pb2.SolverParameter()
    s.train_net = train_net_path
    s.iter_size = 1
    s.max_iter = 100000
    s.type = "Adam"
    s.base_lr = base_lr
    s.momentum = 0.9
    s.momentum2 = 0.999
    s.lr_policy = "step"
    s.gamma = 0.1
    s.stepsize = 20000
    s.snapshot = 0
    with tempfile.NamedTemporaryFile("w", delete=False, dir=".") as f:
        f.write(str(s))
        return f.name


caffe.set_random_seed(4)
pretrained = caffe.get_solver(solver(net(learn_all=True)))
pretrained.step(15)
pretrained.net.save("weights.caffemodel")

style = caffe.get_solver(solver(net(head="fc8_new")))
assert type(style) is caffe.AdamSolver
style.net.copy_from("weights.caffemodel")
scratch_head = style.net.params["fc8_new"][0].data.copy()
frozen = style.net.params["conv1"][0].data.copy()
assert np.array_equal(frozen, pretrained.net.params["conv1"][0].data)

blobs = ("loss", "acc")
loss, acc = (np.zeros(40) for _ in blobs)
for it in range(40):
    style.step(1)
    loss[it], acc[it] = (style.net.blobs[b].data.copy() for b in blobs)
assert loss[-5:].mean() < loss[:5].mean()
assert np.array_equal(frozen, style.net.params["conv1"][0].data)
assert not np.array_equal(scratch_head, style.net.params["fc8_new"][0].data)

weight_dir = tempfile.mkdtemp()
style_weights = os.path.join(weight_dir, "weights.head.caffemodel")
style.net.save(style_weights)
test_net = caffe.Net(net(train=False, head="fc8_new"), style_weights, caffe.TEST)
accuracy = np.mean([test_net.forward()["acc"] for _ in range(5)])
assert accuracy > 0.5
