"""Nets to draw, each as prototxt text from a few lines: the shapes that people's nets have."""

from __future__ import annotations


class Writer:
    """Collects layers; methods return the name of the top that they made."""

    def __init__(self, name: str) -> None:
        self.lines = [f'name: "{name}"']

    def layer(self, type_name, name, bottoms, tops=None, rest=""):
        tops = [name] if tops is None else tops
        ends = "".join(f' bottom: "{b}"' for b in bottoms) + "".join(f' top: "{t}"' for t in tops)
        self.lines.append(f'layer {{ name: "{name}" type: "{type_name}"{ends} {rest} }}')
        return tops[0] if tops else ""

    def data(self, shape, crop=0):
        batch = shape[0]
        self.layer(
            "Data",
            "data",
            [],
            ["data", "label"],
            f'data_param {{ source: "train_lmdb" backend: LMDB batch_size: {batch} }} '
            f"transform_param {{ crop_size: {crop or shape[-1]} mirror: true "
            "mean_value: 104 mean_value: 117 mean_value: 123 }",
        )
        return "data"

    def dummy(self, **shapes):
        dims = "".join(
            f" shape {{ {' '.join(f'dim: {n}' for n in shape)} }}" for shape in shapes.values()
        )
        self.layer("DummyData", "data", [], list(shapes), f"dummy_data_param {{{dims} }}")

    def conv(self, name, bottom, outputs, kernel, rest="", relu=True):
        self.layer(
            "Convolution",
            name,
            [bottom],
            None,
            f"convolution_param {{ num_output: {outputs} kernel_size: {kernel} {rest} }}",
        )
        return self.relu(name) if relu else name

    def relu(self, blob):
        self.layer("ReLU", f"{blob}_relu", [blob], [blob])
        return blob

    def pool(self, name, bottom, kernel, stride, method="MAX", rest=""):
        return self.layer(
            "Pooling",
            name,
            [bottom],
            None,
            f"pooling_param {{ pool: {method} kernel_size: {kernel} stride: {stride} {rest} }}",
        )

    def ip(self, name, bottom, outputs, axis=1):
        return self.layer(
            "InnerProduct",
            name,
            [bottom],
            None,
            f"inner_product_param {{ num_output: {outputs} axis: {axis} }}",
        )

    def dropout(self, blob, ratio=0.5):
        self.layer(
            "Dropout", f"{blob}_drop", [blob], [blob], f"dropout_param {{ dropout_ratio: {ratio} }}"
        )
        return blob

    def loss(self, name, bottom, weight=None):
        rest = f"loss_weight: {weight}" if weight is not None else ""
        return self.layer("SoftmaxWithLoss", name, [bottom, "label"], None, rest)

    def accuracy(self, name, bottom, top_k=1):
        rest = f"include {{ phase: TEST }} accuracy_param {{ top_k: {top_k} }}"
        return self.layer("Accuracy", name, [bottom, "label"], None, rest)

    def text(self):
        return "\n".join(self.lines) + "\n"


def alexnet():
    """Five convolutions, two of them in groups, LRN, three inner products."""
    net = Writer("AlexNet")
    x = net.conv("conv1", net.data((256, 3, 227, 227)), 96, 11, "stride: 4")
    lrn = "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }"
    x = net.pool("pool1", net.layer("LRN", "norm1", [x], None, lrn), 3, 2)
    x = net.conv("conv2", x, 256, 5, "pad: 2 group: 2")
    x = net.pool("pool2", net.layer("LRN", "norm2", [x], None, lrn), 3, 2)
    x = net.conv("conv3", x, 384, 3, "pad: 1")
    x = net.conv("conv4", x, 384, 3, "pad: 1 group: 2")
    x = net.pool("pool5", net.conv("conv5", x, 256, 3, "pad: 1 group: 2"), 3, 2)
    for name in ("fc6", "fc7"):
        x = net.dropout(net.relu(net.ip(name, x, 4096)))
    x = net.ip("fc8", x, 1000)
    net.accuracy("accuracy", x)
    net.loss("loss", x)
    return net.text()


_INCEPTIONS = {
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


def googlenet():
    """Nine inception modules, two losses to the side."""
    net = Writer("GoogLeNet")
    x = net.pool(
        "pool1/3x3_s2",
        net.conv("conv1/7x7_s2", net.data((32, 3, 224, 224)), 64, 7, "stride: 2 pad: 3"),
        3,
        2,
    )
    x = net.layer("LRN", "pool1/norm1", [x], None, "lrn_param { local_size: 5 }")
    x = net.conv("conv2/3x3", net.conv("conv2/3x3_reduce", x, 64, 1), 192, 3, "pad: 1")
    x = net.layer("LRN", "conv2/norm2", [x], None, "lrn_param { local_size: 5 }")
    x = net.pool("pool2/3x3_s2", x, 3, 2)
    for block, widths in _INCEPTIONS.items():
        x = _inception(net, f"inception_{block}", x, widths)
        if block in ("4a", "4d"):
            _side_loss(net, "loss1" if block == "4a" else "loss2", x)
        if block in ("3b", "4e"):
            x = net.pool(f"pool{block[0]}/3x3_s2", x, 3, 2)
    x = net.dropout(net.pool("pool5/7x7_s1", x, 7, 1, "AVE"), 0.4)
    x = net.ip("loss3/classifier", x, 1000)
    net.loss("loss3/loss3", x, 1)
    net.accuracy("loss3/top-1", x)
    net.accuracy("loss3/top-5", x, 5)
    return net.text()


def _inception(net, name, x, widths):
    one, reduce3, three, reduce5, five, project = widths
    branches = [
        net.conv(f"{name}/1x1", x, one, 1),
        net.conv(f"{name}/3x3", net.conv(f"{name}/3x3_reduce", x, reduce3, 1), three, 3, "pad: 1"),
        net.conv(f"{name}/5x5", net.conv(f"{name}/5x5_reduce", x, reduce5, 1), five, 5, "pad: 2"),
        net.conv(f"{name}/pool_proj", net.pool(f"{name}/pool", x, 3, 1, rest="pad: 1"), project, 1),
    ]
    return net.layer("Concat", f"{name}/output", branches)


def _side_loss(net, name, x):
    x = net.conv(f"{name}/conv", net.pool(f"{name}/ave_pool", x, 5, 3, "AVE"), 128, 1)
    x = net.dropout(net.relu(net.ip(f"{name}/fc", x, 1024)), 0.7)
    x = net.ip(f"{name}/classifier", x, 1000)
    net.loss(f"{name}/loss", x, 0.3)
    net.accuracy(f"{name}/top-1", x)
    net.accuracy(f"{name}/top-5", x, 5)


def resnet(depths=(3, 4, 6, 3), name="ResNet-50"):
    """Bottleneck blocks; BatchNorm, Scale and ReLU in place."""
    net = Writer(name)
    x = _normalised(net, "conv1", net.data((16, 3, 224, 224)), 64, 7, "stride: 2 pad: 3")
    x = net.pool("pool1", net.relu(x), 3, 2)
    for stage, depth in enumerate(depths):
        for i in range(depth):
            block = f"res{stage + 2}{chr(97 + i) if depth <= 8 else f'b{i}'}"
            x = _bottleneck(net, block, x, 64 << stage, i == 0, 2 if i == 0 and stage else 1)
    x = net.ip("fc1000", net.pool("pool5", x, 7, 1, "AVE"), 1000)
    net.loss("prob", x)
    return net.text()


def _normalised(net, name, x, outputs, kernel, rest):
    x = net.conv(name, x, outputs, kernel, f"bias_term: false {rest}", relu=False)
    net.layer("BatchNorm", f"bn_{name}", [x], [x])
    net.layer("Scale", f"scale_{name}", [x], [x], "scale_param { bias_term: true }")
    return x


def _bottleneck(net, block, x, width, project, stride):
    shortcut = x
    if project:
        shortcut = _normalised(net, f"{block}_branch1", x, 4 * width, 1, f"stride: {stride}")
    y = net.relu(_normalised(net, f"{block}_branch2a", x, width, 1, f"stride: {stride}"))
    y = net.relu(_normalised(net, f"{block}_branch2b", y, width, 3, "pad: 1"))
    y = _normalised(net, f"{block}_branch2c", y, 4 * width, 1, "")
    return net.relu(net.layer("Eltwise", block, [shortcut, y]))


def fcn():
    """A U: down by convolutions and pooling, up by Deconvolution, Crop and Concat skips."""
    net = Writer("U-FCN")
    net.dummy(data=(2, 3, 188, 188), label=(2, 1, 114, 114))
    x, skips = "data", []
    for level in range(4):
        x = net.conv(f"d{level}a", x, 32 << level, 3)
        x = net.conv(f"d{level}b", x, 32 << level, 3)
        if level < 3:
            skips.append(x)
            x = net.pool(f"d{level}p", x, 2, 2)
    for level in (2, 1, 0):
        up = net.layer(
            "Deconvolution",
            f"u{level}up",
            [x],
            None,
            f"convolution_param {{ num_output: {32 << level} kernel_size: 2 stride: 2 }}",
        )
        crop = net.layer(
            "Crop", f"u{level}crop", [skips[level], up], None, "crop_param { axis: 2 }"
        )
        x = net.layer("Concat", f"u{level}cat", [up, crop])
        x = net.conv(f"u{level}a", x, 32 << level, 3)
    x = net.conv("score", x, 21, 1, relu=False)
    net.layer("SoftmaxWithLoss", "loss", [x, "label"], None, "loss_param { ignore_label: 255 }")
    return net.text()


def lstm():
    """Image features and words, an LSTM over both: a captioner."""
    net = Writer("LRCN-caption")
    net.dummy(cont=(20, 16), input=(20, 16), target=(20, 16), image=(16, 4097))
    x = net.layer(
        "Embed",
        "embedding",
        ["input"],
        None,
        "embed_param { input_dim: 8801 num_output: 1000 bias_term: false }",
    )
    recurrent = "recurrent_param { num_output: 1000 }"
    image = net.relu(net.ip("fc7", "image", 4096))
    x = net.layer("LSTM", "lstm1", [x, "cont", image], None, recurrent)
    x = net.layer("LSTM", "lstm2", [x, "cont"], None, recurrent)
    net.ip("predict", x, 8801, axis=2)
    net.layer(
        "SoftmaxWithLoss",
        "loss",
        ["predict", "target"],
        None,
        "loss_weight: 20 softmax_param { axis: 2 }",
    )
    net.layer("Accuracy", "accuracy", ["predict", "target"], None, "include { phase: TEST }")
    return net.text()


def fork_layers():
    """A net of somebody's fork of Caffe: layer types that nobody else knows."""
    net = Writer("fork")
    x = net.conv("conv1", net.data((4, 3, 56, 56)), 16, 3)
    x = net.layer("SpatialPyramidAttention", "attend", [x])
    x = net.relu(net.ip("fc", x, 10))
    net.loss("loss", x)
    return net.text()


NETS = {
    "alexnet": alexnet,
    "googlenet": googlenet,
    "resnet50": resnet,
    "fcn": fcn,
    "lstm": lstm,
    "fork": fork_layers,
}
