"""DummyData: tops that fillers write. As BVLC Caffe 1.0."""

from __future__ import annotations

from typing import TypeVar

from protonet import fillers, random
from protonet.blob import Blob, Shape
from protonet.errors import GraphError, ProtonetError
from protonet.layer import Layer, register
from protonet.schema import caffe_pb2 as pb

T = TypeVar("T")


@register("DummyData")
class DummyData(Layer):
    """dummy_data_param: shape (or num, channels, height, width) and data_filler, one for all tops
    or one for each; without a filler, zeros.

    A constant is written once, so that values which a program puts there stay; anything random
    is drawn anew in every forward pass.
    """

    bottoms = 0
    tops = (1, None)
    is_data = True

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        given = list(self.param.dummy_data_param.data_filler) or [pb.FillerParameter()]
        self._shapes = self._one_each("shape", self._given_shapes(), len(top))
        self._fillers = self._one_each("data_filler", given, len(top))
        self._filled: list[Shape | None] = [None] * len(top)
        for shape, filler in zip(self._shapes, self._fillers, strict=True):
            try:
                fillers.check(filler, shape)
            except ProtonetError as error:
                raise self.error(str(error), type(error)) from None

    def _given_shapes(self) -> list[Shape]:
        p = self.param.dummy_data_param
        old = {name: list(getattr(p, name)) for name in ("num", "channels", "height", "width")}
        if p.shape:
            if any(old.values()):
                raise self.error("both shape and num, channels, height, width are given")
            return [tuple(shape.dim) for shape in p.shape]
        counts = {name: len(values) for name, values in old.items()}
        if len(set(counts.values())) != 1:
            # As in Caffe one value serves all tops, in each of the four by itself.
            most = max(counts.values())
            if any(n not in (1, most) for n in counts.values()):
                got = ", ".join(f"{n} {name}" for name, n in counts.items())
                raise self.error(f"expected num, channels, height, width for each top, got {got}")
            old = {name: v * most if len(v) == 1 else v for name, v in old.items()}
        return list(zip(*old.values(), strict=True))

    def _one_each(self, what: str, given: list[T], tops: int) -> list[T]:
        if len(given) not in (1, tops):
            raise self.error(
                f"expected {what} once or for each of {tops} tops, got {len(given)}", GraphError
            )
        return given * tops if len(given) == 1 else given

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        for blob, shape in zip(top, self._shapes, strict=True):
            blob.reshape(*shape)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        for i, (blob, filler) in enumerate(zip(top, self._fillers, strict=True)):
            if filler.type != "constant" or self._filled[i] != blob.shape:
                fillers.fill(blob.data, filler, random.generator())
                self._filled[i] = blob.shape

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        """Nothing flows into a source."""
