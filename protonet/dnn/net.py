"""``cv2.dnn.Net`` and ``readNetFromCaffe`` over protonet's net."""
# ruff: noqa: N802, N815 - OpenCV's names

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from protonet import net as core
from protonet.deploy import usable
from protonet.dnn.images import channel_values
from protonet.errors import GraphError, PrototxtError, did_you_mean
from protonet.layer import TEST
from protonet.layers._convolution import BaseConvolution
from protonet.plan import Step

Array = np.ndarray[Any, Any]
File = str | os.PathLike[str] | bytes | bytearray | memoryview | Array

DNN_BACKEND_DEFAULT, DNN_BACKEND_INFERENCE_ENGINE, DNN_BACKEND_OPENCV, DNN_BACKEND_CUDA = 0, 2, 3, 5
DNN_TARGET_CPU, DNN_TARGET_OPENCL, DNN_TARGET_OPENCL_FP16 = 0, 1, 2
DNN_TARGET_CUDA, DNN_TARGET_CUDA_FP16 = 6, 7

_INPUT_TYPE = "__NetInputLayer__"  # what OpenCV calls the layer of all inputs, number 0


def readNetFromCaffe(prototxt: File, caffeModel: File = "") -> Net:
    """Read a net, and its weights if given.

    Args:
        prototxt: path of a net of any generation, or its content as bytes or an array of them.
        caffeModel: path or content of its weights.

    Raises:
        ProtonetError: what is wrong with either.
    """
    from protonet.schema.read import parse_net, read_net

    content = _content(prototxt)
    if content is not None:
        source = parse_net(content.decode("utf-8", "surrogateescape"), "prototxt")
    else:
        source = read_net(prototxt)  # type: ignore[arg-type]
    net = core.Net(usable(source), TEST)
    weights = _content(caffeModel)
    if weights:
        from protonet.solvers.snapshot import load_weights
        from protonet.solvers.snapshot_binary import read_weights

        load_weights(net, "caffeModel", read_weights(weights))
    elif weights is None and os.fspath(caffeModel):  # type: ignore[arg-type]
        net.copy_from(caffeModel)  # type: ignore[arg-type]
    return Net(net)


def readNet(model: File, config: File = "", framework: str = "caffe") -> Net:
    """Read a net and its weights, in either order.

    Raises:
        PrototxtError: another framework than Caffe.
        ProtonetError: as :func:`readNetFromCaffe`.
    """
    if framework.lower() != "caffe":
        raise PrototxtError(f"expected the framework 'caffe', got '{framework}'")
    if isinstance(model, str) and model.endswith((".prototxt", ".pbtxt", ".txt")):
        model, config = config, model
    return readNetFromCaffe(config, model)


def _content(file: File) -> bytes | None:
    """Return the bytes of a file that was handed over as such, None for a path."""
    if isinstance(file, np.ndarray):
        return file.astype(np.uint8).tobytes()
    return bytes(file) if isinstance(file, bytes | bytearray | memoryview) else None


@dataclass(frozen=True)
class Layer:
    """A layer as ``getLayer`` gives it.

    Attributes:
        blobs: its parameters, live.
    """

    name: str
    type: str
    blobs: tuple[Array, ...]
    preferableTarget: int = DNN_TARGET_CPU


class Net:
    """A net with the methods of ``cv2.dnn.Net``. Layers are called by name or number, from 1.

    Args:
        net: in the TEST phase; None for an empty one.
    """

    def __init__(self, net: core.Net | None = None) -> None:
        self._net = net
        steps = net.steps if net is not None else []
        self._steps: list[tuple[int, Step]] = [
            (i, s) for i, s in enumerate(steps) if not s.node.inserted and s.node.type != "Input"
        ]
        self._numbers: dict[str, int] = {}
        for number, (_, step) in enumerate(self._steps, 1):
            self._numbers.setdefault(step.node.name, number)
        self._inputs = list(net.inputs) if net is not None else []
        self._seconds: list[float] = []

    # --- running ---------------------------------------------------------------------------
    def setInput(
        self, blob: Array, name: str = "", scalefactor: float = 1.0, mean: Any = None
    ) -> None:
        """Set an input: ``(blob − mean) · scalefactor``. The net takes its shape.

        Args:
            blob: (N, C, H, W), or of any shape that the net can take.
            name: of the input; by default the first.
            mean: of the first channels; 0 for those that it does not give.

        Raises:
            GraphError: no such input.
        """
        net = self._built()
        name = name or self._inputs[0]
        if name not in self._inputs:
            hint = did_you_mean(name, self._inputs) or f"; its inputs: {', '.join(self._inputs)}"
            raise GraphError(f"the net has no input '{name}'{hint}")
        values = np.asarray(blob, np.float32)
        if mean is not None:
            means = channel_values(mean, values.shape[1])
            values = values - means.reshape(1, -1, *[1] * (values.ndim - 2))
        target = net.blobs[name]
        target.reshape(*values.shape)
        target.data[...] = values if scalefactor == 1 else values * np.float32(scalefactor)

    def forward(self, outputName: str | Sequence[str] = "") -> Any:
        """Run the net up to a layer, or several.

        Args:
            outputName: of a layer, by default the last; or a list of names.

        Returns:
            The first output of the layer, a copy; for a list a tuple of them.

        Raises:
            GraphError: no such layer.
        """
        if isinstance(outputName, str):
            name = outputName or self.getLayerNames()[-1]
            return self._run([name])[0][0]
        return tuple(outputs[0] for outputs in self._run(outputName))

    def forwardAndRetrieve(self, outBlobNames: Sequence[str]) -> tuple[tuple[Array, ...], ...]:
        """Run the net; return all outputs of each of these layers."""
        return tuple(tuple(outputs) for outputs in self._run(outBlobNames))

    def _run(self, names: Iterable[str]) -> list[list[Array]]:
        """Run the net as far as needed, copying outputs before in-place layers change them."""
        net = self._built()
        wanted = [self._number(name) - 1 for name in names]
        kept: dict[int, list[Array]] = {}
        self._seconds = []
        start = 0
        for k in range(max(wanted, default=-1) + 1):
            index, step = self._steps[k]
            began = time.perf_counter()
            net.run_forward(range(start, index + 1))
            self._seconds.append(time.perf_counter() - began)
            start = index + 1
            if k in wanted:
                kept[k] = [blob.data.copy() for blob in step.top]
        return [kept[k] for k in wanted]

    # --- what there is -----------------------------------------------------------------------
    def empty(self) -> bool:
        """Whether there are no layers."""
        return not self._steps

    def getLayerNames(self) -> tuple[str, ...]:
        """Return the names of all layers but the inputs."""
        return tuple(step.node.name for _, step in self._steps)

    def getLayerId(self, layer: str) -> int:
        """Return the number of a layer, -1 if there is none of that name."""
        return self._numbers.get(layer, -1)

    def getLayer(self, layer: int | str) -> Layer:
        """Return a layer by name or number.

        Raises:
            GraphError: there is none.
        """
        number = self._number(layer) if isinstance(layer, str) else int(layer)
        if number == 0:
            return Layer("_input", _INPUT_TYPE, ())
        if not 0 < number <= len(self._steps):
            raise GraphError(f"expected a layer from 0 to {len(self._steps)}, got {number}")
        step = self._steps[number - 1][1]
        return Layer(step.node.name, step.node.type, tuple(b.data for b in step.layer.blobs))

    def getLayerTypes(self) -> tuple[str, ...]:
        """Return the types there are, sorted."""
        return tuple(sorted({step.node.type for _, step in self._steps} | {_INPUT_TYPE}))

    def getLayersCount(self, layerType: str) -> int:
        """Return how many layers are of a type."""
        if layerType == _INPUT_TYPE:
            return 1
        return sum(step.node.type == layerType for _, step in self._steps)

    def getUnconnectedOutLayers(self) -> Array:
        """Return the numbers of layers with outputs that no layer reads, (n,) int32."""
        read = {ref for _, step in self._all_steps() for ref in step.node.bottoms}
        ends = [
            number
            for number, (_, step) in enumerate(self._steps, 1)
            if any(ref not in read for ref in step.node.tops)
        ]
        return np.array(ends, np.int32)

    def getUnconnectedOutLayersNames(self) -> tuple[str, ...]:
        """Return the names of layers with outputs that no layer reads."""
        names = self.getLayerNames()
        return tuple(names[number - 1] for number in self.getUnconnectedOutLayers())

    def getParam(self, layer: int | str, numParam: int = 0) -> Array:
        """Return a copy of a parameter blob of a layer.

        Raises:
            GraphError: there is none.
        """
        return self._param(layer, numParam).copy()

    def setParam(self, layer: int | str, numParam: int, blob: Array) -> None:
        """Change a parameter blob of a layer.

        Raises:
            GraphError: there is none.
        """
        target = self._param(layer, numParam)
        target[...] = np.reshape(blob, target.shape)

    def getFLOPS(self, netInputShape: Any = None) -> int:
        """Return the floating-point operations of one pass, two for a multiply-add.

        Args:
            netInputShape: shape of the first input; by default as it is.
        """
        net = self._built()
        if netInputShape is not None:
            self.setInputShape(self._inputs[0], netInputShape)
            net.reshape()
        return 2 * sum(step.layer.multiply_adds(step.bottom, step.top) for step in net.steps)

    def getPerfProfile(self) -> tuple[int, Array]:
        """Return the ticks (ns) of the last pass, in all and of each layer, (layers, 1) float64."""
        ticks = np.array(self._seconds, np.float64).reshape(-1, 1) * 1e9
        return int(ticks.sum()), ticks

    # --- settings ------------------------------------------------------------------------------
    def setInputsNames(self, inputBlobNames: Sequence[str]) -> None:
        """Call the inputs by other names, in their order.

        Raises:
            GraphError: other than one name an input.
        """
        net = self._built()
        if len(inputBlobNames) != len(net.inputs):
            raise GraphError(
                f"expected {len(net.inputs)} names of inputs, got {len(inputBlobNames)}"
            )
        for old, new in zip(self._inputs, inputBlobNames, strict=True):
            net.blobs[new] = net.blobs[old]
        self._inputs = list(inputBlobNames)

    def setInputShape(self, inputName: str, shape: Sequence[int]) -> None:
        """Give an input another shape."""
        self._built().blobs[inputName or self._inputs[0]].reshape(*shape)

    def setPreferableBackend(self, backendId: int) -> None:
        """Do nothing: there is one backend."""

    def setPreferableTarget(self, targetId: int) -> None:
        """Do nothing: the processor is the only target."""

    def enableFusion(self, fusion: bool) -> None:
        """Do nothing: results do not depend on it."""

    def enableWinograd(self, useWinograd: bool) -> None:
        """Say whether convolutions may use Winograd's method, as they may by default."""
        for _, step in self._all_steps():
            if isinstance(step.layer, BaseConvolution):
                step.layer.allow_winograd(useWinograd)
                step.layer.reshape(step.bottom, step.top)

    # --- helpers -------------------------------------------------------------------------------
    def _built(self) -> core.Net:
        if self._net is None:
            raise GraphError("the net is empty: it was made without a file")
        return self._net

    def _all_steps(self) -> list[tuple[int, Step]]:
        return list(enumerate(self._net.steps)) if self._net is not None else []

    def _number(self, name: str) -> int:
        number = self._numbers.get(name)
        if number is None:
            raise GraphError(
                f"the net has no layer '{name}'{did_you_mean(name, set(self._numbers))}"
            )
        return number

    def _param(self, layer: int | str, index: int) -> Array:
        found = self.getLayer(layer)
        if not 0 <= index < len(found.blobs):
            raise GraphError(
                f"layer '{found.name}' has {len(found.blobs)} parameter blobs, asked for {index}"
            )
        return found.blobs[index]
