"""CaffeNet: AlexNet on one processor, with pooling before normalization."""

from __future__ import annotations

from .build import Builder, Model, constant, gaussian

ABOUT = """CaffeNet: the eight layers of Krizhevsky, Sutskever and Hinton, "ImageNet
classification with deep convolutional neural networks" (2012), in one column, with pooling
before normalization."""


def build(name: str, train: bool) -> Builder:
    return Builder(name, train, gaussian(0.01), constant(0))


def body(net: Builder, data: str) -> str:
    one = constant(1)  # keeps ReLUs alive early in training, as the paper says in section 5
    x = net.relu("relu1", net.conv("conv1", data, 96, 11, stride=4))
    x = net.norm("norm1", net.max_pool("pool1", x, 3, 2))
    x = net.relu("relu2", net.conv("conv2", x, 256, 5, pad=2, group=2, bias=one))
    x = net.norm("norm2", net.max_pool("pool2", x, 3, 2))
    x = net.relu("relu3", net.conv("conv3", x, 384, 3, pad=1))
    x = net.relu("relu4", net.conv("conv4", x, 384, 3, pad=1, group=2, bias=one))
    x = net.relu("relu5", net.conv("conv5", x, 256, 3, pad=1, group=2, bias=one))
    x = net.max_pool("pool5", x, 3, 2)
    for i in (6, 7):
        x = net.inner_product(f"fc{i}", x, 4096, weights=gaussian(0.005), bias=one)
        x = net.dropout(f"drop{i}", net.relu(f"relu{i}", x), 0.5)
    return net.inner_product("fc8", x, 1000)


MODEL = Model(
    folder="caffenet",
    name="CaffeNet",
    about=ABOUT,
    builder=build,
    body=body,
    size=227,
    batches=(256, 50),
    solver={
        "test_interval": 1000,
        "base_lr": 0.01,
        "lr_policy": "step",
        "gamma": 0.1,
        "stepsize": 100_000,
        "display": 20,
        "max_iter": 450_000,
        "weight_decay": 0.0005,
        "snapshot": 10_000,
    },
)
