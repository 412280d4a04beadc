"""GoogLeNet: nine Inception modules, with two extra classifiers on the way in training."""

from __future__ import annotations

from .build import XAVIER, Builder, Model, constant

ABOUT = """GoogLeNet: Szegedy et al., "Going deeper with convolutions" (2014), table 1; the extra
classifiers after 4a and 4d are those of section 5, with 0.3 of their loss."""

# channels: 1x1, 3x3 reduced, 3x3, 5x5 reduced, 5x5, behind the pooling
MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
EXTRA = {"4a": "loss1", "4d": "loss2"}  # module -> classifier behind it
POOLED = {"3b": "pool3/3x3_s2", "4e": "pool4/3x3_s2"}  # module -> pooling behind it


def build(name: str, train: bool) -> Builder:
    return Builder(name, train, XAVIER, constant(0.2))


def unit(
    net: Builder, name: str, bottom: str, channels: int, kernel: int, pad: int = 0, stride: int = 1
) -> str:
    """Add a convolution and its ReLU, named as ``where/what`` and ``where/relu_what``."""
    where, what = name.split("/")
    top = net.conv(name, bottom, channels, kernel, pad=pad, stride=stride)
    return net.relu(f"{where}/relu_{what.removesuffix('_s2')}", top)


def inception(net: Builder, name: str, bottom: str, channels: tuple[int, ...]) -> str:
    """Add four paths side by side: 1x1, 3x3, 5x5 and pooling."""
    c1, r3, c3, r5, c5, behind_pool = channels
    three = unit(net, f"{name}/3x3_reduce", bottom, r3, 1)
    five = unit(net, f"{name}/5x5_reduce", bottom, r5, 1)
    pooled = net.max_pool(f"{name}/pool", bottom, 3, 1, pad=1)
    paths = [
        unit(net, f"{name}/1x1", bottom, c1, 1),
        unit(net, f"{name}/3x3", three, c3, 3, pad=1),
        unit(net, f"{name}/5x5", five, c5, 5, pad=2),
        unit(net, f"{name}/pool_proj", pooled, behind_pool, 1),
    ]
    return net.concat(f"{name}/output", paths)


def extra_classifier(net: Builder, name: str, bottom: str) -> None:
    """Add a classifier whose gradient reaches the layers below sooner."""
    x = net.mean_pool(f"{name}/ave_pool", bottom, 5, 3)
    x = unit(net, f"{name}/conv", x, 128, 1)
    x = net.inner_product(f"{name}/fc", x, 1024)
    x = net.dropout(f"{name}/drop_fc", net.relu(f"{name}/relu_fc", x), 0.7)
    x = net.inner_product(f"{name}/classifier", x, 1000, bias=constant(0))
    net.head(x, f"{name}/loss", f"{name}/top-1", f"{name}/top-5", weight=0.3)


def body(net: Builder, data: str) -> str:
    x = unit(net, "conv1/7x7_s2", data, 64, 7, pad=3, stride=2)
    x = net.norm("pool1/norm1", net.max_pool("pool1/3x3_s2", x, 3, 2))
    x = unit(net, "conv2/3x3_reduce", x, 64, 1)
    x = net.norm("conv2/norm2", unit(net, "conv2/3x3", x, 192, 3, pad=1))
    x = net.max_pool("pool2/3x3_s2", x, 3, 2)
    for module, channels in MODULES.items():
        x = inception(net, f"inception_{module}", x, channels)
        if net.train and module in EXTRA:
            extra_classifier(net, EXTRA[module], x)
        if module in POOLED:
            x = net.max_pool(POOLED[module], x, 3, 2)
    x = net.dropout("pool5/drop_7x7_s1", net.mean_pool("pool5/7x7_s1", x), 0.4)
    return net.inner_product("loss3/classifier", x, 1000, bias=constant(0))


MODEL = Model(
    folder="googlenet",
    name="GoogLeNet",
    about=ABOUT,
    builder=build,
    body=body,
    size=224,
    batches=(32, 50),
    loss=("loss3/loss3", "loss3/top-1", "loss3/top-5"),
    solver={
        "test_interval": 4000,
        "average_loss": 40,
        "base_lr": 0.01,
        "lr_policy": "poly",
        "power": 0.5,
        "display": 40,
        "max_iter": 2_400_000,
        "weight_decay": 0.0002,
        "snapshot": 40_000,
    },
)
