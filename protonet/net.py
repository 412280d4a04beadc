"""A net that runs: blobs with values, parameters, forward and backward.

The surface is pycaffe's: ``net.blobs``, ``net.params``, ``net.forward()``, ``net.backward()``.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ParamSpec, TypeVar

import numpy as np

from protonet import fillers, random
from protonet.blob import Array, Blob, Shape, aligned_zeros
from protonet.errors import GraphError, LabelError, ProtonetError, ShapeError, did_you_mean
from protonet.fusion import Chain, LeftOut, chains, for_inference, pooled
from protonet.graph import build_graph
from protonet.layer import TEST, Layer
from protonet.plan import Param, Plan, Step, build_plan
from protonet.schema import extra
from protonet.storage import Storage, share_out
from protonet.watch.debug_info import DebugInfo

_log = logging.getLogger("protonet")

_ROUND = 16  # floats: each parameter starts on a cache line of its arena

Hook = Callable[[str], None]
IndexHook = Callable[[int], None]
_P = ParamSpec("_P")
_R = TypeVar("_R")


def _without_warnings(run: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let NumPy overflow in silence, as compiled code does: numbers that diverge are told once."""

    @functools.wraps(run)
    def silent(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with np.errstate(all="ignore"):
            return run(*args, **kwargs)

    return silent


class Net:
    """A net built from a file (or message), in one phase.

    Args:
        source: path of a net prototxt, or what ``schema.read_net`` returns.
        phase: TRAIN or TEST.
        weights: path of a .caffemodel to start from, copied by layer name.
        level, stages: the rest of the state that chooses layers.
        share_with: a net whose parameters, by layer name, are used instead of own ones.
        static: for its weights only: sources need not exist, nor every type of layer be known.
        keep: names of blobs to keep besides inputs and outputs, in a net that only runs forward,
            and as a whole; all others share memory, and are not to be had. None keeps all.

    Attributes:
        blobs: name -> Blob, in order of the layers; the latest version of each name. Of a net
            that does not keep all, those kept.
        params: layer name -> its parameter blobs.
        layers: the layer objects in order.
        inputs, outputs: names of blobs.
        chains: the layers as a pass over all of them runs them.
        hidden_chains: the same, for a hidden pass.
        stateful: those of the layers that may have a state to resume from.
        learnable: the parameters that own their storage, as ``plan.Param``.
        debug_info: describes each pass where the file has ``debug_info``, else None.

    Raises:
        ProtonetError: whatever is wrong with file, graph, shapes, sources or weights.
    """

    def __init__(
        self,
        source: Any,
        phase: int | None = None,
        weights: str | os.PathLike[str] | None = None,
        level: int | None = None,
        stages: Iterable[str] = (),
        *,
        share_with: Net | None = None,
        static: bool = False,
        keep: Iterable[str] | None = None,
    ) -> None:
        if isinstance(source, str | os.PathLike):
            from protonet.schema.read import read_net

            source = read_net(source)
        extra.refuse(_outside_of_layers(source.message), source.path)
        graph = build_graph(source, TEST if phase is None else phase, level, stages)
        self.plan: Plan = build_plan(graph, static=static)
        self.name = graph.name
        self.phase = graph.phase
        self.steps: list[Step] = self.plan.steps
        self.blobs: dict[str, Blob] = self.plan.blobs
        self.layers: list[Layer] = [step.layer for step in self.steps]
        self.params: dict[str, list[Blob]] = {
            layer.name: layer.blobs for layer in self.layers if layer.blobs
        }
        self.inputs = graph.inputs
        self.outputs = graph.outputs
        self.learnable: list[Param] = self.plan.learnable()
        self.debug_info = DebugInfo(self, _log.info) if graph.debug_info else None
        # of layers of one name, the first
        self._index = {step.layer.name: i for i, step in reversed(list(enumerate(self.steps)))}
        self._before: dict[str, list[IndexHook]] = {"forward": [], "backward": []}
        self._after: dict[str, list[IndexHook]] = {"forward": [], "backward": []}
        self._storage: Storage | None = None
        self._sources = [blob for step in self.steps if not step.bottom for blob in step.top]
        self._planned: tuple[list[Shape], bool] = [], False
        if keep is not None:
            names = {self._known(name) for name in (*self.inputs, *self.outputs, *keep)}
            self.blobs = {name: blob for name, blob in self.blobs.items() if name in names}
        self.stateful = [
            layer for layer in self.layers if type(layer).resume_state is not Layer.resume_state
        ]
        self.chains: list[Chain] = []
        if keep is None:
            self.chains = chains(self.steps, self.blobs.values())
        else:
            for layer in self.layers:
                layer.spare = True
            self._share_out()
        self._left_out = LeftOut(self.chains)
        self.hidden_chains = pooled(self.chains)
        # whether the last backward pass was hidden; None if its forward pass was not, either
        self._hidden: bool | None = None
        self._allocate(share_with)
        self._seed_losses()
        if weights is not None:
            self.copy_from(weights)

    # --- parameters ------------------------------------------------------------------------
    def _allocate(self, share_with: Net | None) -> None:
        """Lay all parameters into one arena and fill them; shared ones use their owner's place."""
        starts, end = [], 0
        shared = share_with.params if share_with is not None else {}
        own = [p for p in self.learnable if not self._taken_from(shared, p)]
        for param in own:
            starts.append(end)
            end += -(-param.blob.count // _ROUND) * _ROUND
        self._param_data, self._exposed = aligned_zeros(end), False
        self._param_diff = aligned_zeros(end)
        self.param_start = dict(zip((id(p.blob) for p in own), starts, strict=True))
        for param, start in zip(own, starts, strict=True):
            part = slice(start, start + param.blob.count)
            param.blob.use(self._param_data[part], self._param_diff[part])
            if param.filler is not None:
                layer = self.layers[self._index[param.layer]]
                try:
                    fillers.fill(param.blob.data, param.filler, random.generator())
                except ProtonetError as error:
                    raise layer.error(str(error), type(error)) from None
        sharing: set[int] = set()
        for param in self.plan.params:
            owner = self.plan.params[param.owner]
            if owner is not param:
                param.blob.share_data(owner.blob)
                param.blob.share_diff(owner.blob)
                sharing.add(param.owner)
        # those whose gradient no other blob adds to
        self._single = [
            param.blob
            for i, param in enumerate(self.plan.params)
            if id(param.blob) in self.param_start and i not in sharing
        ]

    def _taken_from(self, shared: Mapping[str, list[Blob]], param: Param) -> bool:
        """Use the parameter of the same layer of another net, where it has one."""
        theirs = shared.get(param.layer, [])
        if param.index >= len(theirs):
            return False
        other = theirs[param.index]
        if other.shape != param.blob.shape:
            layer = self.layers[self._index[param.layer]]
            raise layer.error(
                f"parameter {param.index}: expected the shape {other.shape} of the training net's, "
                f"got {param.blob.shape}"
            )
        param.blob.share_data(other)
        return True

    @property
    def param_data(self) -> Array:
        """The arena of the parameters, (n,) float32: values may come by it from now on."""
        if not self._exposed:
            self._exposed = True
            for param in self.learnable:
                param.blob.expose()
        return self._param_data

    def copy_from(self, path: str | os.PathLike[str]) -> list[str]:
        """Copy weights from a .caffemodel by layer name; return the names it had no use for.

        Raises:
            SnapshotError: the file cannot be read, or a layer's blobs do not fit.
        """
        from protonet.solvers.snapshot import load_weights

        return load_weights(self, path)

    def save(self, path: str | os.PathLike[str], diffs: bool = False) -> None:
        """Write layers and weights, and gradients if asked, as a .caffemodel that Caffe reads.

        Raises:
            OutputError: the file cannot be written.
        """
        from protonet.solvers.snapshot import save_weights

        save_weights(self, path, diffs)

    def share_with(self, other: Net) -> None:
        """Use the parameters of ``other``, layer by layer of the same name, from now on."""
        for param in self.plan.params:
            self._taken_from(other.params, param)

    @property
    def param_diff(self) -> Array:
        """The arena of the parameters' gradients, (n,) float32."""
        for blob in self._single:
            blob.diff  # noqa: B018  writes the zeros of a gradient that was forgotten
        return self._param_diff

    def clear_param_diffs(self) -> None:
        """Set the gradients of all parameters to zero."""
        self.param_diff.fill(0)

    def forget_param_diffs(self) -> None:
        """Have them be zero, without writing zeros where a layer will overwrite them.

        Views of ``diff`` from before show that only after a backward pass.
        """
        if len(self._single) < len(self.param_start):
            self.clear_param_diffs()
        for blob in self._single:
            blob.forget_diff()

    # --- running ---------------------------------------------------------------------------
    def _seed_losses(self) -> None:
        """Write each loss weight into the gradient of its top, where backward starts from."""
        for step in self.steps:
            for blob, weight in zip(step.top, step.layer.loss_weights, strict=True):
                if weight:
                    blob.diff.fill(weight)

    def _between(self, start: str | None, end: str | None, backward: bool = False) -> range:
        last = len(self.steps) - 1
        first_default, last_default = (last, 0) if backward else (0, last)
        a = first_default if start is None else self._find(start)
        b = last_default if end is None else self._find(end)
        return range(a, b - 1, -1) if backward else range(a, b + 1)

    def _find(self, name: str) -> int:
        if name not in self._index:
            hint = did_you_mean(name, set(self._index))
            raise GraphError(f"net '{self.name}' has no layer '{name}'{hint}")
        return self._index[name]

    def forward(
        self,
        blobs: Iterable[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        **inputs: Array,
    ) -> dict[str, Array]:
        """Run the layers in order.

        Args:
            blobs: names of blobs to return besides the outputs.
            start, end: names of the first and last layer to run.
            inputs: values for input blobs, by name; their first axis must fit.

        Returns:
            name -> values, for the net's outputs (or the tops of ``end``) and ``blobs``.
        """
        for name, value in inputs.items():
            self._feed(name, value)
        self.run_forward(self._between(start, end))
        names = self.outputs if end is None else self.top_names[end]
        return {n: self._blob(n).data for n in dict.fromkeys([*names, *(blobs or ())])}

    def backward(
        self,
        diffs: Iterable[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        **tops: Array,
    ) -> dict[str, Array]:
        """Run the layers in reverse: gradients of the loss by blobs and parameters.

        Args:
            diffs: names of blobs whose gradients to return besides those of the inputs.
            start, end: names of the first and last layer to run, in backward order.
            tops: gradients of output blobs, by name.

        Returns:
            name -> gradient, for the net's inputs (or the bottoms of ``end``) and ``diffs``.
        """
        for name, value in tops.items():
            _copy(self._blob(name).diff, value, name)
        self.run_backward(self._between(start, end, backward=True))
        names = self.inputs if end is None else self.bottom_names[end]
        return {n: self._blob(n).diff for n in dict.fromkeys([*names, *(diffs or ())])}

    @_without_warnings
    def run_forward(self, indices: Iterable[int] | None = None, hidden: bool = False) -> float:
        """Run layers by index, all by default, and return the weighted sum of their losses.

        Args:
            hidden: nobody reads blobs other than outputs until :meth:`complete`: some may get no
                values, as :func:`fusion.pooled` says.
        """
        before, after = self._before["forward"], self._after["forward"]
        everything = range(len(self.steps))
        if self._storage is not None:
            if indices not in (None, everything):
                raise GraphError(f"net '{self.name}' does not keep all blobs: it runs as a whole")
            self._place_blobs()
        self._hidden = None
        if indices in (None, everything) and not self._watched("forward"):
            self._hidden = False if hidden else None
            self._left_out.passed()
            return sum(map(self._run_chain, self.hidden_chains if hidden else self.chains))
        loss = 0.0
        for i in everything if indices is None else indices:
            self.write_left_out(self.steps[i].bottom)
            for hook in before:
                hook(i)
            loss += self._run_chain(Chain([self.steps[i]]))
            self._left_out.written(self.steps[i].top)
            if self.debug_info is not None:
                self.debug_info.forward(self.steps[i])
            for hook in after:
                hook(i)
        return loss

    def _place_blobs(self) -> None:
        """Share out the memory of a net that does not keep all blobs, for the shapes of now."""
        planned = [blob.shape for blob in self._sources], self._watched("forward")
        if planned == self._planned:
            return
        self.reshape()
        self._planned = planned
        self._share_out().lend()
        self._left_out = LeftOut(self.chains)

    def _share_out(self) -> Storage:
        """Choose the chains of a net that does not keep all blobs, and plan its memory."""
        kept, (_, watched) = self.blobs.values(), self._planned
        if watched:
            self.chains = [Chain([step]) for step in self.steps]
        else:
            self.chains = for_inference(self.steps, kept)
        self._storage = share_out(self.chains, kept)
        return self._storage

    def _watched(self, direction: str) -> bool:
        """Return whether somebody looks at what each layer does."""
        return bool(self._before[direction] or self._after[direction] or self.debug_info)

    def _run_chain(self, chain: Chain) -> float:
        """Run layers as one and return the weighted sum of their losses."""
        for step in chain.steps:
            self._fit(step)
        try:
            chain.forward()
        except LabelError as error:
            raise self._with_record(error) from None
        loss = 0.0
        last = chain.steps[-1]
        for blob, weight in zip(last.top, last.layer.loss_weights, strict=True):
            if weight:
                # the weights are where backward starts from, and a user may have changed them
                if blob.shape == ():
                    loss += float(np.float32(blob.values.item() * blob.diff.item()))
                else:
                    loss += float(np.vdot(blob.values, blob.diff))
        return loss

    def write_left_out(self, blobs: Iterable[Blob]) -> None:
        """Write those of these blobs that the last pass left out as no name leads to them."""
        for step in self._left_out.writers(blobs):
            self._fit(step)
            step.layer.rewrite(step.bottom, step.top)
            self._left_out.written(step.top)

    @_without_warnings
    def run_backward(self, indices: Iterable[int] | None = None, hidden: bool = False) -> None:
        """Run the backward pass of layers by index, all in reverse by default.

        Args:
            hidden: as in run_forward, which must have been hidden for it to make a difference.
        """
        if self._storage is not None:
            raise GraphError(f"net '{self.name}' does not keep all blobs: it only runs forward")
        before, after = self._before["backward"], self._after["backward"]
        everything = range(len(self.steps) - 1, -1, -1)
        if indices in (None, everything) and not self._watched("backward"):
            hidden = hidden and self._hidden is not None
            if hidden:
                self._hidden = True
            for chain in reversed(self.hidden_chains if hidden else self.chains):
                chain.backward()
            return
        for i in everything if indices is None else indices:
            step = self.steps[i]
            if not step.backward:
                continue
            self.write_left_out(step.bottom)
            for hook in before:
                hook(i)
            step.layer.backward(step.top, step.propagate_down, step.bottom)
            if self.debug_info is not None:
                self.debug_info.backward(step)
            for hook in after:
                hook(i)
        if self.debug_info is not None and indices is None:
            self.debug_info.all_parameters()

    @_without_warnings
    def complete(self) -> None:
        """Write what hidden passes left out, from the weights that they took."""
        if self._hidden is not None:
            for chain in self.hidden_chains:
                chain.complete(backward=self._hidden)
            self._hidden = None

    def _with_record(self, error: LabelError) -> LabelError:
        """Add the record that a label came from, where its source can tell."""
        for layer in self.layers:
            describe = getattr(layer, "describe_record", None)
            if describe is not None:
                record = describe(layer.consumed - layer.batch_size + error.sample)  # type: ignore[attr-defined]
                return LabelError(f"{error}; it comes from {record}", error.sample)
        return error

    def _fit(self, step: Step) -> None:
        """Reshape a layer whose bottoms have other shapes than when it was last reshaped."""
        if [blob.shape for blob in step.bottom] != step.seen:
            self._reshape(step)

    def _reshape(self, step: Step) -> None:
        before = [blob.shape for blob in step.top]
        step.layer.reshape(step.bottom, step.top)
        step.seen = [blob.shape for blob in step.bottom]
        for blob, shape, weight in zip(step.top, before, step.layer.loss_weights, strict=True):
            if weight and blob.shape != shape:
                blob.diff.fill(weight)

    def reshape(self) -> None:
        """Work out all shapes again, after those of input blobs were changed."""
        for step in self.steps:
            if step.bottom:
                self._reshape(step)

    def _blob(self, name: str) -> Blob:
        return self.blobs[self._known(name)]

    def _known(self, name: str) -> str:
        if name not in self.blobs:
            there = "does not keep" if name in self.plan.blobs else "has no"
            hint = did_you_mean(name, set(self.blobs))
            raise GraphError(f"net '{self.name}' {there} blob '{name}'{hint}")
        return name

    def _feed(self, name: str, value: Array) -> None:
        if name not in self.inputs:
            known = ", ".join(self.inputs) or "none"
            raise GraphError(f"net '{self.name}' has no input blob '{name}'; its inputs: {known}")
        _copy(self.blobs[name].data, value, name)

    # --- names and hooks -------------------------------------------------------------------
    @property
    def top_names(self) -> dict[str, list[str]]:
        """Layer name -> names of its tops."""
        return {s.layer.name: [r.name for r in s.node.tops] for s in self.steps}

    @property
    def bottom_names(self) -> dict[str, list[str]]:
        """Layer name -> names of its bottoms."""
        return {s.layer.name: [r.name for r in s.node.bottoms] for s in self.steps}

    @property
    def layer_dict(self) -> dict[str, Layer]:
        """Layer name -> layer."""
        return {layer.name: layer for layer in self.layers}

    @property
    def blob_loss_weights(self) -> dict[str, float]:
        """Blob name -> its weight in the loss."""
        weights = dict.fromkeys(self.blobs, 0.0)
        for step in self.steps:
            for ref, weight in zip(step.node.tops, step.layer.loss_weights, strict=False):
                weights[ref.name] = weight
        return weights

    def before_forward(self, hook: Hook) -> None:
        """Call ``hook(layer name)`` before each layer runs forward."""
        self._before["forward"].append(self._by_name(hook))

    def after_forward(self, hook: Hook) -> None:
        """Call ``hook(layer name)`` after each layer has run forward."""
        self._after["forward"].append(self._by_name(hook))

    def before_backward(self, hook: Hook) -> None:
        """Call ``hook(layer name)`` before each layer runs backward."""
        self._before["backward"].append(self._by_name(hook))

    def after_backward(self, hook: Hook) -> None:
        """Call ``hook(layer name)`` after each layer has run backward."""
        self._after["backward"].append(self._by_name(hook))

    def _by_name(self, hook: Hook) -> IndexHook:
        return lambda i: hook(self.layers[i].name)

    def output_values(self) -> Iterator[tuple[str, float, float]]:
        """Yield (name, value, loss weight) for each value of each output, as logs list them.

        The weight is the one in force, where backward starts from: a schedule may change it.
        """
        weights = self.blob_loss_weights
        for name in self.outputs:
            blob = self.blobs[name]
            weight = float(blob.diff.flat[0]) if weights[name] and blob.count else 0.0
            for value in blob.data.reshape(-1).tolist():
                yield name, value, weight

    def _repr_svg_(self) -> str:
        """Show the net's diagram in a notebook."""
        from protonet.diagram.drawing import draw

        return draw(self)._repr_svg_()

    def close(self) -> None:
        """Stop what the data layers do in the background."""
        for layer in self.layers:
            stop = getattr(layer, "close", None)
            if stop is not None:
                stop()


def _outside_of_layers(net: Any) -> Any:
    """Return what a NetParameter says beside its layers."""
    outside = type(net)()
    outside.state.CopyFrom(net.state)
    extra.carry(net, outside)
    return outside


def _copy(target: Array, value: Any, name: str) -> None:
    value = np.asarray(value)
    if value.shape != target.shape:
        raise ShapeError(
            f"blob '{name}': expected values of shape {target.shape}, got {value.shape}"
        )
    target[...] = value
