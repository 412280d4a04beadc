"""The nets of models/ with inputs from memory instead of data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import protonet
from protonet.schema.read import SolverSource, parse_net, read_net

MODELS = Path(__file__).parents[2] / "models"
MOMENTUM, DECAY = 0.9, 5e-4
LENET_RATE, LENET_BATCH, LENET_BATCHES = 0.01, 64, 16

LENETS = ["lenet", "lenet_dsn"]
NETS = [
    *LENETS,
    "caffenet",
    "googlenet",
    "vgg16",
    "resnet50",
    "squeezenet_v1.1",
    "mobilenet_v1",
    "lstm",
]
TRAIN_BATCH = {"vgg16": 4}

# 32 steps of 128 numbers each, 256 hidden units, one of 10 classes at every step.
LSTM = """
name: "lstm"
layer {{ name: "x" type: "Input" top: "data" top: "label" top: "cont" input_param {{
  shape {{ dim: 32 dim: {0} dim: 128 }}
  shape {{ dim: 32 dim: {0} }}
  shape {{ dim: 32 dim: {0} }} }} }}
layer {{ name: "lstm" type: "LSTM" bottom: "data" bottom: "cont" top: "h" recurrent_param {{
  num_output: 256 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "ip" type: "InnerProduct" bottom: "h" top: "y" inner_product_param {{
  num_output: 10 axis: 2 weight_filler {{ type: "xavier" }} }} }}
"""
LSTM_LOSS = """
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "label" top: "loss"
  softmax_param {{ axis: 2 }} }}
"""


def from_memory(name: str, batch: int, training: bool) -> Any:
    """Return a net's message with its data layers made Input layers of this batch."""
    if name == "lstm":
        return parse_net((LSTM + (LSTM_LOSS if training else "")).format(batch)).message
    path = MODELS / f"{name}.prototxt"  # LeNet: one file for both
    if not path.exists():
        path = MODELS / name / ("train_val.prototxt" if training else "deploy.prototxt")
    message = read_net(path).message
    for layer in message.layer:
        if layer.type == "Data":
            size = layer.transform_param.crop_size
            image = (3, size, size) if size else (1, 28, 28)  # MNIST is not cropped
            layer.type = "Input"
            layer.ClearField("transform_param")
            layer.ClearField("data_param")
            layer.input_param.shape.add(dim=(batch, *image))
            layer.input_param.shape.add(dim=(batch,))
        elif layer.type == "Input":
            for shape in layer.input_param.shape:
                shape.dim[0] = batch
    return message


def fill(net: Any, rng: np.random.Generator) -> dict[str, Any]:
    """Give the inputs random images and labels; return them."""
    values = {}
    for name in net.inputs:
        blob = net.blobs[name]
        if name == "label":
            blob.data[...] = rng.integers(0, 10, blob.shape)
        elif name == "cont":
            blob.data[1:] = 1
        else:
            blob.data[...] = rng.standard_normal(blob.shape)
        values[name] = blob.data.copy()
    return values


def solver_of(message: Any, rate: float) -> Any:
    """Return a solver that trains a net by SGD with momentum and weight decay."""
    param = protonet.schema.caffe_pb2.SolverParameter(
        base_lr=rate, momentum=MOMENTUM, weight_decay=DECAY, lr_policy="fixed", max_iter=10**6
    )
    param.train_net_param.CopyFrom(message)
    return protonet.get_solver(SolverSource.of(param))


def lenet_from_memory(name: str) -> tuple[Any, Any, Any]:
    """Return a solver of LeNet or LeNet-DSN, and the images and labels that it trains on in turn.

    images: (LENET_BATCHES, N, 1, 28, 28), labels: (LENET_BATCHES, N).
    """
    message = from_memory(name, LENET_BATCH, True)
    source = message.layer[0]
    image = source.input_param.shape[0].dim[1:]
    source.type = "MemoryData"
    source.ClearField("input_param")
    for field, size in zip(("channels", "height", "width"), image, strict=True):
        setattr(source.memory_data_param, field, size)
    source.memory_data_param.batch_size = LENET_BATCH
    solver = solver_of(message, LENET_RATE)
    rng = np.random.default_rng(0)
    images = rng.random((LENET_BATCHES, LENET_BATCH, *image), np.float32)
    labels = rng.integers(0, 10, (LENET_BATCHES, LENET_BATCH))
    flat = images.reshape(-1, *image), labels.reshape(-1).astype(np.float32)
    solver.net.layers[0].set_arrays(*flat)
    return solver, images, labels
