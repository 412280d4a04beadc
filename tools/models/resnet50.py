"""ResNet-50: sixteen blocks of three convolutions, each around a shortcut."""

from __future__ import annotations

from .build import MSRA, Builder, Model, constant

ABOUT = """ResNet-50: He, Zhang, Ren and Sun, "Deep residual learning for image recognition" (2015),
table 1 and figure 5; where a stage halves the image, its first 1x1 convolution does."""

STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))  # channels inside, blocks


def build(name: str, train: bool) -> Builder:
    return Builder(name, train, MSRA)


def unit(net: Builder, name: str, bottom: str, channels: int, kernel: int, stride: int = 1) -> str:
    """Add a convolution and its normalization: res2a_branch1, bn2a_branch1, scale2a_branch1."""
    net.conv(name, bottom, channels, kernel, pad=kernel // 2, stride=stride)
    suffix = name.removeprefix("res") if name.startswith("res") else f"_{name}"
    return net.batch_norm(f"bn{suffix}", f"scale{suffix}", name)


def block(net: Builder, name: str, bottom: str, channels: int, stride: int, first: bool) -> str:
    """Add 1x1, 3x3 and 1x1 convolutions, and what came in; projected if it has another shape."""
    shortcut = bottom
    if first:
        shortcut = unit(net, f"{name}_branch1", bottom, 4 * channels, 1, stride)
    x = unit(net, f"{name}_branch2a", bottom, channels, 1, stride)
    x = net.relu(f"{name}_branch2a_relu", x)
    x = net.relu(f"{name}_branch2b_relu", unit(net, f"{name}_branch2b", x, channels, 3))
    x = unit(net, f"{name}_branch2c", x, 4 * channels, 1)
    return net.relu(f"{name}_relu", net.layer("Eltwise", name, [shortcut, x]))


def body(net: Builder, data: str) -> str:
    x = net.relu("conv1_relu", unit(net, "conv1", data, 64, 7, 2))
    x = net.max_pool("pool1", x, 3, 2)
    for stage, (channels, blocks) in enumerate(STAGES, 2):
        for i in range(blocks):
            stride = 2 if i == 0 and stage > 2 else 1
            x = block(net, f"res{stage}{'abcdef'[i]}", x, channels, stride, first=i == 0)
    return net.inner_product("fc1000", net.mean_pool("pool5", x), 1000, bias=constant(0))


MODEL = Model(
    folder="resnet50",
    name="ResNet-50",
    about=ABOUT,
    builder=build,
    body=body,
    size=224,
    batches=(32, 50),
    transform={"mean_value": [103.939, 116.779, 123.68]},
    solver={
        "test_interval": 5000,
        "base_lr": 0.1,
        "lr_policy": "multistep",
        "gamma": 0.1,
        "stepvalue": [150_000, 300_000],
        "display": 20,
        "max_iter": 600_000,
        "weight_decay": 0.0001,
        "snapshot": 10_000,
        "iter_size": 8,  # batches of 256
    },
)
