"""What layers over sequences have in common: bottoms, shapes, the state that they carry."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from protonet.blob import Array, Blob, aligned_zeros
from protonet.errors import GraphError
from protonet.kernels import recurrent
from protonet.kernels.gemm import gemm, multiply
from protonet.kernels.kept import Kept
from protonet.layer import Layer


class Recurrent(Layer):
    """recurrent_param: num_output (H), weight_filler, bias_filler, expose_hidden (false).

    Bottoms: x (T, N, ...) with K values a step; cont (T, N), 0 where a sequence begins; optional
    x_static (N, ...), seen at every step; with ``expose_hidden`` the states before the first
    step, each (1, N, H). Tops: y (T, N, H); with ``expose_hidden`` the states after the last step.

    Without ``expose_hidden`` each forward pass goes on from the states after the one before. As
    in BVLC Caffe 1.0 no gradient flows into given states, and one at the states given out is
    ignored.

    A type's ``cell`` says what h is of z = W_x x + b + W_s x_static + W_h h_before. The parameters
    are W_x (G·H, K), b, W_s if there is an x_static, W_h (G·H, H), and what the type adds.

    Attributes:
        cell: its name in kernels/recurrent.py.
        gates: how many times H values z has, G.
        states: how many blobs of state the type carries: h and perhaps the cells.
        steps, streams, inputs, outputs: T, N, K and H.
        before, after: the states around the last forward pass, each (N, H).
        z, dz: (T, N, G·H), or what the cell makes of z, and the gradient by z.
        cells: those before each step, and after the last: (T + 1, N, H), or (T + 1, N, 0).
        h_before: h before each step, 0 where a sequence begins, (T, N, H).
    """

    cell: ClassVar[str]
    gates: ClassVar[int] = 1
    states: ClassVar[int] = 1
    bottoms = (2, None)
    tops = (1, None)
    not_differentiable = frozenset({1})

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        param = self.param.recurrent_param
        if param.num_output < 1:
            raise self.error(f"num_output must be at least 1, got {param.num_output}", GraphError)
        self.outputs = int(param.num_output)
        self.exposed: bool = param.expose_hidden
        given = self.states if self.exposed else 0
        self.static = len(bottom) == 3 + given
        if len(bottom) not in (2 + given, 3 + given) or len(top) != 1 + given:
            extra = f" and {given} states" if given else ""
            raise self.error(
                f"expected bottoms x, cont, perhaps x_static{extra}, and tops y{extra}; got "
                f"{len(bottom)} bottoms and {len(top)} tops",
                GraphError,
            )
        self._check_shapes(bottom)
        self.inputs = math.prod(bottom[0].shape[2:])
        self.static_inputs = math.prod(bottom[2].shape[1:]) if self.static else 0
        self.before: list[Array] = []
        self.after: list[Array] = []
        self.weights(self.gates * self.outputs, self.inputs)
        self.bias(self.gates * self.outputs)
        if self.static:
            self.weights(self.gates * self.outputs, self.static_inputs)
        self.weights(self.gates * self.outputs, self.outputs)
        self._last = len(self.blobs) - 1

    def weights(self, rows: int, columns: int) -> None:
        """Declare weights (rows, columns)."""
        self.add_param((rows, columns), self.param.recurrent_param.weight_filler)

    def bias(self, rows: int) -> None:
        """Declare a bias (rows,)."""
        self.add_param((rows,), self.param.recurrent_param.bias_filler)

    def _check_shapes(self, bottom: list[Blob]) -> None:
        x, cont = bottom[0].shape, bottom[1].shape
        if len(x) < 2 or cont != x[:2]:
            raise self.error(
                f"expected bottoms x (T, N, ...) and cont (T, N), got shapes {x} and {cont}"
            )
        if self.static and bottom[2].shape[:1] != x[1:2]:
            raise self.error(
                f"expected x_static with {x[1]} streams in its first axis, as x has, got shape "
                f"{bottom[2].shape}"
            )
        for blob in bottom[len(bottom) - self.states :] if self.exposed else ():
            if blob.shape != (1, x[1], self.outputs):
                raise self.error(
                    f"expected a state of shape {(1, x[1], self.outputs)}, got shape {blob.shape}"
                )

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        self._check_shapes(bottom)
        self.steps, self.streams = bottom[0].shape[:2]
        inputs = math.prod(bottom[0].shape[2:])
        static = math.prod(bottom[2].shape[1:]) if self.static else 0
        if (inputs, static) != (self.inputs, self.static_inputs):
            raise self.error(
                f"expected {self.inputs} values a step, as the weights have, got shape "
                f"{bottom[0].shape}"
                if inputs != self.inputs
                else f"expected {self.static_inputs} static values, as the weights have, got "
                f"shape {bottom[2].shape}"
            )
        shape = (self.streams, self.outputs)
        if not self.after or self.after[0].shape != shape:
            self.after = [np.zeros(shape, np.float32) for _ in range(self.states)]
            self.before = [np.zeros(shape, np.float32) for _ in range(self.states)]
        top[0].reshape(self.steps, self.streams, self.outputs)
        for blob in top[1:]:
            blob.reshape(1, self.streams, self.outputs)
        self.z: Any = None
        self._kept = Kept()  # weights lie as the number of streams asks for

    def allocate(self) -> None:
        """Take memory for what the steps leave for the backward pass."""
        T, N, H = self.steps, self.streams, self.outputs
        self.z, self.dz = self.steps_of(self.gates * H), self.steps_of(self.gates * H)
        self.h_before = self.steps_of(H)
        cells = H if self.states > 1 else 0
        self.cells = aligned_zeros((T + 1) * N * cells).reshape(T + 1, N, cells)

    def steps_of(self, count: int) -> Array:
        """Return memory for so many values of each stream in each step, (T, N, count)."""
        shape = (self.steps, self.streams, count)
        return aligned_zeros(math.prod(shape)).reshape(shape)

    def hidden(self, top: list[Blob]) -> Array:
        """Return where h of all steps is written, (T, N, H)."""
        return top[0].data

    def hidden_gradient(self, top: list[Blob]) -> Array:
        """Return the gradient by h of all steps that comes from the tops, (T, N, H)."""
        return top[0].diff

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        if self.z is None:
            self.allocate()
        z, cont, h = self._begin(bottom), bottom[1].data, self.hidden(top)
        version = None if self.spare else self.blobs[self._last].version()
        w = self.blobs[self._last].values
        given = bottom[len(bottom) - self.states :] if self.exposed else []
        for i, state in enumerate(self.before):
            state[...] = given[i].data[0] if given else self.after[i]
            self.after[i][...] = state
        if self.states > 1:
            self.cells[0] = self.before[1]
        recurrent.forward(
            self.cell, w, z, cont, self.before[0], self.cells, h, self.h_before,
            self._kept, version,
        )  # fmt: skip
        for state, last in zip(self.after, (h, self.cells), strict=False):
            state[...] = last[-1]
        for blob, state in zip(top[1:], self.after, strict=False):
            blob.data[0] = state

    def _begin(self, bottom: list[Blob]) -> Any:
        """Write and return what x, the bias and x_static give to all steps."""
        z = self.z
        w, b = self.blobs[0].data, self.blobs[1].data
        multiply(self._x(bottom), w, self._flat(z), trans_b=True, bias=b)
        if self.static:
            part = np.empty(z.shape[1:], np.float32)
            gemm(self._x_static(bottom), self.blobs[2].data, part, trans_b=True)
            z += part
        return z

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        if propagate_down[1]:
            raise self.error("no gradient can flow into bottom 1, which tells sequences apart")
        for i in range(len(bottom) - self.states, len(bottom)) if self.exposed else ():
            if propagate_down[i]:
                bottom[i].diff.fill(0)
        z, cont, w = self.z, bottom[1].data, self.blobs[self._last].data
        if z is None or not (any(propagate_down) or any(self.param_propagate_down)):
            return
        h, dh = self.hidden(top), self.hidden_gradient(top)
        recurrent.backward(self.cell, w, z, cont, self.cells, h, dh, self.dz)
        self._spread(propagate_down, bottom)

    def _spread(self, propagate_down: list[bool], bottom: list[Blob]) -> None:
        """Give what came back to z to the parameters and the bottoms."""
        dz, wanted = self._flat(self.dz), self.param_propagate_down
        if wanted[0]:
            gemm(dz, self._x(bottom), self.blobs[0].diff, trans_a=True, beta=1.0)
        if wanted[1]:
            bias = self.blobs[1].diff
            bias += dz.sum(axis=0)
        if wanted[self._last]:
            before = self._flat(self.h_before)
            gemm(dz, before, self.blobs[self._last].diff, trans_a=True, beta=1.0)
        if propagate_down[0]:
            dx = bottom[0].diff.reshape(-1, self.inputs)
            gemm(dz, self.blobs[0].data, dx)
        if not self.static:
            return
        whole = self.dz.sum(axis=0)
        if wanted[2]:
            gemm(whole, self._x_static(bottom), self.blobs[2].diff, trans_a=True, beta=1.0)
        if propagate_down[2]:
            gemm(whole, self.blobs[2].data, bottom[2].diff.reshape(self.streams, -1))

    def _x(self, bottom: list[Blob]) -> Array:
        return bottom[0].data.reshape(self.steps * self.streams, self.inputs)

    def _x_static(self, bottom: list[Blob]) -> Array:
        return bottom[2].data.reshape(self.streams, self.static_inputs)

    def _flat(self, a: Array) -> Array:
        """View (T, N, width) as (T·N, width)."""
        return a.reshape(self.steps * self.streams, a.shape[2])

    def resume_state(self) -> dict[str, Any]:
        return {"after": [state.copy() for state in self.after]} if not self.exposed else {}

    def resume_from(self, state: dict[str, Any]) -> None:
        for mine, given in zip(self.after, state["after"], strict=True):
            if mine.shape != given.shape:
                raise self.error(f"expected a state of shape {mine.shape}, got {given.shape}")
            mine[...] = given

    def multiply_adds(self, bottom: list[Blob], top: list[Blob]) -> int:
        each_step = self.inputs + self.outputs
        once = self.streams * self.static_inputs
        return self.gates * self.outputs * (self.steps * self.streams * each_step + once)

    def backward_multiply_adds(
        self, bottom: list[Blob], top: list[Blob], propagate_down: list[bool]
    ) -> int:
        wanted = self.param_propagate_down
        inputs = (wanted[0] + propagate_down[0]) * self.inputs
        each_step = inputs + (1 + wanted[self._last]) * self.outputs
        static = self.static and (wanted[2] + propagate_down[2]) * self.static_inputs
        steps = self.steps * self.streams
        return self.gates * self.outputs * (steps * each_step + self.streams * static)
