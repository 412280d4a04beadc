"""VGG-16: thirteen 3x3 convolutions and three fully connected layers."""

from __future__ import annotations

from .build import XAVIER, Builder, Model, constant

ABOUT = """VGG-16: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image
recognition" (2014), configuration D, started as its footnote on Glorot and Bengio allows."""

BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))  # convolutions, channels


def build(name: str, train: bool) -> Builder:
    return Builder(name, train, XAVIER, constant(0))


def body(net: Builder, data: str) -> str:
    x = data
    for b, (count, channels) in enumerate(BLOCKS, 1):
        for i in range(1, count + 1):
            x = net.relu(f"relu{b}_{i}", net.conv(f"conv{b}_{i}", x, channels, 3, pad=1))
        x = net.max_pool(f"pool{b}", x, 2, 2)
    for i in (6, 7):
        x = net.relu(f"relu{i}", net.inner_product(f"fc{i}", x, 4096))
        x = net.dropout(f"drop{i}", x, 0.5)
    return net.inner_product("fc8", x, 1000)


MODEL = Model(
    folder="vgg16",
    name="VGG-16",
    about=ABOUT,
    builder=build,
    body=body,
    size=224,
    batches=(64, 50),
    transform={"mean_value": [103.939, 116.779, 123.68]},
    solver={
        "test_interval": 5000,
        "base_lr": 0.01,
        "lr_policy": "multistep",
        "gamma": 0.1,
        "stepvalue": [150_000, 250_000, 320_000],
        "display": 20,
        "max_iter": 370_000,
        "weight_decay": 0.0005,
        "snapshot": 10_000,
        "iter_size": 4,  # batches of 256
    },
)
