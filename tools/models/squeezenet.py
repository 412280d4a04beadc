"""SqueezeNet 1.1: eight fire modules, no fully connected layer."""

from __future__ import annotations

from .build import MSRA, XAVIER, Builder, Model, constant, gaussian

ABOUT = """SqueezeNet 1.1: Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer
parameters" (2016), with the smaller first layer and the earlier pooling of the authors'
version 1.1."""

FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))


def build(name: str, train: bool) -> Builder:
    return Builder(name, train, MSRA, constant(0))


def unit(net: Builder, name: str, bottom: str, channels: int, kernel: int, pad: int = 0) -> str:
    """Add a convolution and its ReLU, named as ``where/what`` and ``where/relu_what``."""
    where, what = name.split("/")
    return net.relu(f"{where}/relu_{what}", net.conv(name, bottom, channels, kernel, pad=pad))


def fire(net: Builder, name: str, bottom: str, squeezed: int, expanded: int) -> str:
    """Add a 1x1 convolution to few channels, then 1x1 and 3x3 ones side by side to many."""
    x = unit(net, f"{name}/squeeze1x1", bottom, squeezed, 1)
    one = unit(net, f"{name}/expand1x1", x, expanded, 1)
    three = unit(net, f"{name}/expand3x3", x, expanded, 3, pad=1)
    return net.concat(f"{name}/concat", [one, three])


def body(net: Builder, data: str) -> str:
    x = net.relu("relu_conv1", net.conv("conv1", data, 64, 3, stride=2, weights=XAVIER))
    x = net.max_pool("pool1", x, 3, 2)
    for i, (squeezed, expanded) in enumerate(FIRES, 2):
        x = fire(net, f"fire{i}", x, squeezed, expanded)
        if i in (3, 5):
            x = net.max_pool(f"pool{i}", x, 3, 2)
    x = net.conv("conv10", net.dropout("drop9", x, 0.5), 1000, 1, weights=gaussian(0.01))
    return net.mean_pool("pool10", net.relu("relu_conv10", x))


MODEL = Model(
    folder="squeezenet_v1.1",
    name="SqueezeNet 1.1",
    about=ABOUT,
    builder=build,
    body=body,
    size=227,
    batches=(32, 50),
    solver={
        "test_interval": 2000,
        "average_loss": 40,
        "base_lr": 0.04,
        "lr_policy": "poly",
        "power": 1,
        "display": 40,
        "max_iter": 170_000,
        "weight_decay": 0.0002,
        "snapshot": 2000,
        "iter_size": 16,  # batches of 512
    },
)
