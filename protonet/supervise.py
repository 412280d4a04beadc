"""Deep supervision: side classifiers with companion losses, put into a net and taken out again.

C.-Y. Lee, S. Xie, P. Gallagher, Z. Zhang and Z. Tu, "Deeply-supervised nets" (AISTATS 2015): the
objective is L + Σ α_m l_m, where L judges the last layer and each companion loss l_m judges a
classifier on a hidden layer, so that gradients reach the first layers by a short way.

A companion is a loss that judges something which the main loss is not computed from. Main is the
last loss of the file that counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from protonet.errors import GraphError, did_you_mean
from protonet.graph import included, place
from protonet.layer import TRAIN
from protonet.layers import layer_types
from protonet.schema import caffe_pb2 as pb

LOSSES = {"softmax": "SoftmaxWithLoss", "hinge": "HingeLoss"}
_SUFFIX = "-DSN"


# --- who is main, who is a companion ----------------------------------------------------------
def is_loss(layer: Any) -> bool:
    """Whether a LayerParameter adds to the loss."""
    cls = layer_types().get(layer.type)
    if cls is None or not cls.is_loss:
        return any(layer.loss_weight)
    return any(layer.loss_weight) if layer.loss_weight else True


def main_loss(layers: Sequence[Any]) -> Any:
    """Return the last of some LayerParameters that adds to the loss, or None."""
    return next((layer for layer in reversed(layers) if is_loss(layer)), None)


def companions(layers: Sequence[Any], main: Any = None) -> list[Any]:
    """Return the losses among LayerParameters that judge what the main loss does not depend on."""
    main = main_loss(layers) if main is None else main
    if main is None:
        return []
    needed = ancestors(layers, main.bottom)
    return [la for la in layers if is_loss(la) and la.bottom and la.bottom[0] not in needed]


def ancestors(layers: Sequence[Any], blobs: Iterable[str]) -> set[str]:
    """Return the names of all blobs that these are computed from, themselves included."""
    needed = set(blobs)
    for layer in reversed(layers):
        if not needed.isdisjoint(layer.top):
            needed.update(layer.bottom)
    return needed


def in_training(source: Any) -> list[Any]:
    """Return the LayerParameters of a net that take part in training."""
    state = source.message.state
    return [
        la
        for la in source.message.layer
        if included(la, TRAIN, state.level, frozenset(state.stage))
    ]


# --- putting side heads in --------------------------------------------------------------------
def supervise(source: Any, at: Sequence[str], loss: str = "softmax", weight: float = 1.0) -> Any:
    """Return the deeply supervised net of a plain one: a NetParameter.

    At each place come a classifier ``ip<n>_side``, made as the main one is, and its companion loss
    ``l<n>``; and an Accuracy layer ``l<n>_accuracy`` where the net scores its main classifier.

    Args:
        source: what ``schema.read_net`` returns; it is left as it is.
        at: names of layers or blobs whose values are supervised, in-place layers included.
        loss: "softmax", or "hinge": the squared hinge loss of the paper.
        weight: α of each companion loss.

    Raises:
        GraphError: there is no such layer, nothing to supervise in that place, or no main loss
            with a classifier and a label.
    """
    net = pb.NetParameter()
    net.CopyFrom(source.message)
    layers = in_training(source)
    main = main_loss(layers)
    if main is None or len(main.bottom) < 2:
        raise GraphError(f"{place(source.path, 0)}the net has no loss that judges by labels")
    builder = _SideHeads(net, main, _classifier(source, layers, main))
    for name in at:
        builder.add(_place(source, layers, main, name), loss, weight)
    net.name = (net.name or "net") + _SUFFIX
    return net


class _SideHeads:
    def __init__(self, net: Any, main: Any, classifier: Any) -> None:
        self.net = net
        self.main = main
        self.classifier = classifier
        self.taken = {la.name for la in net.layer} | {top for la in net.layer for top in la.top}

    def add(self, blob: str, loss: str, weight: float) -> None:
        number = 1
        while not self.taken.isdisjoint([f"ip{number}_side", f"l{number}"]):
            number += 1
        side = self._side(f"ip{number}_side", blob)
        judge = self._judge(f"l{number}", side.name, loss, weight)
        added = [side, judge, *self._scores(judge)]
        self.taken.update(la.name for la in added)
        layers = list(self.net.layer)
        at = max(i for i, la in enumerate(layers) if blob in la.top) + 1
        del self.net.layer[:]
        self.net.layer.extend([*layers[:at], *added, *layers[at:]])

    def _side(self, name: str, blob: str) -> Any:
        model = self.classifier
        side = pb.LayerParameter(name=name, type="InnerProduct", bottom=[blob], top=[name])
        for spec in model.param:
            side.param.add().CopyFrom(spec)
            side.param[-1].ClearField("name")  # its own, not shared with the main classifier
        own = side.inner_product_param
        theirs = getattr(model, _settings(model))
        own.num_output = theirs.num_output
        for field in ("weight_filler", "bias_filler"):
            if theirs.HasField(field):
                getattr(own, field).CopyFrom(getattr(theirs, field))
        return side

    def _judge(self, name: str, scored: str, loss: str, weight: float) -> Any:
        kind = LOSSES[loss]
        judge = pb.LayerParameter(name=name, type=kind, top=[name])
        judge.bottom.extend([scored, self.main.bottom[1]])
        judge.include.extend(self.main.include)
        judge.exclude.extend(self.main.exclude)
        if weight != 1:
            judge.loss_weight.append(weight)
        if kind == self.main.type and self.main.HasField("loss_param"):
            judge.loss_param.CopyFrom(self.main.loss_param)
        if loss == "hinge":
            judge.hinge_loss_param.norm = pb.HingeLossParameter.L2
        return judge

    def _scores(self, judge: Any) -> list[Any]:
        """Return an Accuracy layer for the side, if the main classifier has one."""
        for model in self.net.layer:
            if model.type == "Accuracy" and model.bottom[0] == self.main.bottom[0]:
                name = f"{judge.name}_accuracy"
                score = pb.LayerParameter()
                score.CopyFrom(model)
                score.name = name
                score.bottom[0] = judge.bottom[0]
                score.top[:] = [name]
                return [score]
        return []


def _settings(layer: Any) -> str:
    return "inner_product_param" if layer.type == "InnerProduct" else "convolution_param"


def _classifier(source: Any, layers: Sequence[Any], main: Any) -> Any:
    """Return the layer that makes the scores which the main loss judges."""
    blob = main.bottom[0]
    for layer in reversed(layers):
        if blob in layer.top and layer.bottom:
            if layer.type in ("InnerProduct", "Convolution"):
                return layer
            blob = layer.bottom[0]
    raise GraphError(
        f"{place(source.path, 0)}layer '{main.name}' ({main.type}): expected scores of an "
        "InnerProduct or Convolution layer, to know the number of classes"
    )


def _place(source: Any, layers: Sequence[Any], main: Any, name: str) -> str:
    """Return the blob that a layer or blob name stands for."""
    where = place(source.path, 0)
    found = next((la for la in layers if la.name == name), None)
    found = found or next((la for la in layers if name in la.top), None)
    if found is None:
        known = {la.name for la in layers} | {top for la in layers for top in la.top}
        raise GraphError(f"{where}the net has no layer '{name}'{did_you_mean(name, known)}")
    blob = str(name if name in found.top else found.top[0] if found.top else "")
    what = f"{where}layer '{found.name}' ({found.type})"
    if not found.bottom or not blob or is_loss(found) or found.type == "Accuracy":
        raise GraphError(f"{what}: expected a hidden layer to supervise")
    if blob not in ancestors(layers, main.bottom[:1]):
        raise GraphError(f"{what}: the main loss '{main.name}' does not depend on it")
    return blob


# --- taking side heads out --------------------------------------------------------------------
def strip(source: Any, keep: str | None = None) -> tuple[Any, list[str]]:
    """Return a net without its companion losses and all that only serves them, and their names.

    Args:
        source: what ``schema.read_net`` returns; it is left as it is.
        keep: name of the main loss, by default the last one of the file.

    Raises:
        GraphError: there is no such loss.
    """
    layers = list(source.message.layer)
    losses = {la.name: la for la in layers if is_loss(la)}
    if keep is not None and keep not in losses:
        hint = did_you_mean(keep, set(losses)) or f"; its losses: {', '.join(losses) or 'none'}"
        raise GraphError(f"{place(source.path, 0)}the net has no loss '{keep}'{hint}")
    main = losses[keep] if keep is not None else main_loss(layers)
    if main is None:
        raise GraphError(f"{place(source.path, 0)}the net has no loss")
    gone = _side_heads(layers, main)
    net = pb.NetParameter()
    net.CopyFrom(source.message)
    del net.layer[:]
    net.layer.extend(la for i, la in enumerate(layers) if i not in gone)
    if gone:
        net.name = net.name.removesuffix(_SUFFIX)
    return net, list(dict.fromkeys(layers[i].name for i in sorted(gone)))


def _side_heads(layers: Sequence[Any], main: Any) -> set[int]:
    """Return the indices of companion losses, of what only they need, and of what reads that."""
    needed = ancestors(layers, main.bottom)
    losses = companions(layers, main)
    side = {blob for la in losses for blob in ancestors(layers, la.bottom)} - needed
    gone = set()
    for i, layer in enumerate(layers):
        if layer in losses or not side.isdisjoint([*layer.bottom, *layer.top]):
            side.update(top for top in layer.top if top not in needed)
            gone.add(i)
    return gone
