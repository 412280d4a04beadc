"""MobileNet: depthwise convolutions, written as one group for each channel, and 1x1 ones."""

from __future__ import annotations

from .build import MSRA, Builder, Model, constant, gaussian

ABOUT = """MobileNet: Howard et al., "MobileNets: efficient convolutional neural networks for
mobile vision applications" (2017), table 1 at full width. Depthwise filters do not decay
(section 3.2)."""

# name, channels, stride of the depthwise convolution
PAIRS = (
    ("conv2_1", 64, 1),
    ("conv2_2", 128, 2),
    ("conv3_1", 128, 1),
    ("conv3_2", 256, 2),
    ("conv4_1", 256, 1),
    ("conv4_2", 512, 2),
    *((f"conv5_{i}", 512, 1) for i in range(1, 6)),
    ("conv5_6", 1024, 2),
    ("conv6", 1024, 1),
)


def build(name: str, train: bool) -> Builder:
    return Builder(name, train, MSRA)


def normalized(net: Builder, name: str) -> str:
    """Add normalization and ReLU to what convolution ``name`` gives."""
    return net.relu(f"{name}/relu", net.batch_norm(f"{name}/bn", f"{name}/scale", name))


def body(net: Builder, data: str) -> str:
    x = normalized(net, net.conv("conv1", data, 32, 3, pad=1, stride=2))
    inputs = 32
    for name, channels, stride in PAIRS:
        depthwise = net.conv(
            f"{name}/dw", x, inputs, 3, pad=1, stride=stride, group=inputs, decay=0
        )
        x = normalized(net, depthwise)
        x = normalized(net, net.conv(f"{name}/sep", x, channels, 1))
        inputs = channels
    x = net.mean_pool("pool6", x)
    return net.conv("fc7", x, 1000, 1, weights=gaussian(0.01), bias=constant(0))


MODEL = Model(
    folder="mobilenet_v1",
    name="MobileNet",
    about=ABOUT,
    builder=build,
    body=body,
    size=224,
    batches=(64, 50),
    transform={"scale": 0.017, "mean_value": [103.94, 116.78, 123.68]},
    solver={
        "test_interval": 5000,
        "average_loss": 40,
        "base_lr": 0.1,
        "lr_policy": "poly",
        "power": 1,
        "display": 40,
        "max_iter": 500_000,
        "weight_decay": 0.00004,
        "snapshot": 10_000,
        "iter_size": 4,  # batches of 256
    },
)
