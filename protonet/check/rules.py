"""The classic mistakes: nets that run, and do not do what was meant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from protonet.check.finding import WARNING, Finding
from protonet.graph import BlobRef
from protonet.layer import TRAIN
from protonet.plan import Param, Plan, Step

_LINEAR = ("Convolution", "Deconvolution", "Embed", "InnerProduct")
_SETTINGS = {
    "Convolution": "convolution_param",
    "Deconvolution": "convolution_param",
    "Embed": "embed_param",
    "InnerProduct": "inner_product_param",
}
# What a loss does to the scores itself, and what must not be done to them before.
_TWICE = {
    ("Sigmoid", "SigmoidCrossEntropyLoss"): "applies a sigmoid itself",
    ("Softmax", "SoftmaxWithLoss"): "applies a softmax itself",
}


@dataclass
class Wiring:
    """Who writes and who reads each blob of a plan, Splits left out.

    Attributes:
        steps: the layers of the file.
        maker: blob -> the layer that writes it.
        readers: blob -> the layers that read it.
        bottoms: layer (by its place in ``steps``) -> its bottoms.
    """

    plan: Plan
    steps: list[Step] = field(default_factory=list)
    maker: dict[BlobRef, Step] = field(default_factory=dict)
    readers: dict[BlobRef, list[Step]] = field(default_factory=dict)
    bottoms: list[list[BlobRef]] = field(default_factory=list)

    @classmethod
    def of(cls, plan: Plan) -> Wiring:
        wiring = cls(plan)
        origin: dict[BlobRef, BlobRef] = {}
        for step in plan.steps:
            bottoms = [origin.get(ref, ref) for ref in step.node.bottoms]
            if step.node.inserted:
                origin.update((ref, bottoms[0]) for ref in step.node.tops)
                continue
            wiring.steps.append(step)
            wiring.bottoms.append(bottoms)
            for ref in bottoms:
                wiring.readers.setdefault(ref, []).append(step)
            for ref in step.node.tops:
                wiring.maker[ref] = step
        return wiring

    def below(self, index: int) -> Iterator[Step]:
        """Yield the layers that the layer at ``index`` depends on, itself first."""
        wanted = {id(self.steps[index])}
        for i in range(index, -1, -1):
            if id(self.steps[i]) in wanted:
                yield self.steps[i]
                wanted.update(id(self.maker[ref]) for ref in self.bottoms[i])


Rule = Callable[[Wiring], Iterator[tuple[Step, str]]]


def check_rules(plan: Plan) -> list[Finding]:
    """Return a warning for each classic mistake in a planned net."""
    wiring = Wiring.of(plan)
    found = [(step, text) for rule in RULES for step, text in rule(wiring)]
    order = {id(step): i for i, step in enumerate(wiring.steps)}
    found.sort(key=lambda pair: order[id(pair[0])])
    findings = [Finding(WARNING, str(step.layer.error(text))) for step, text in found]
    if plan.graph.phase == TRAIN:
        findings += _whole_net(wiring)
    return findings


def _whole_net(wiring: Wiring) -> Iterator[Finding]:
    path = wiring.plan.graph.path
    where = f"{path}: " if path else ""
    if not any(any(step.layer.loss_weights) for step in wiring.steps):
        yield Finding(WARNING, f"{where}the net has no loss in phase TRAIN: it learns nothing")
    params = wiring.plan.learnable()
    if params and not any(p.lr_mult for p in params):
        yield Finding(WARNING, f"{where}lr_mult is 0 for every parameter: nothing is learned")


def _scale_after_batch_norm(wiring: Wiring) -> Iterator[tuple[Step, str]]:
    for step in wiring.steps:
        if step.node.type == "BatchNorm":
            readers = [s.node.type for ref in step.node.tops for s in wiring.readers.get(ref, [])]
            if "Scale" not in readers and "Bias" not in readers:
                yield (
                    step,
                    "no Scale layer reads its top: BatchNorm only normalizes; the learned scale "
                    "and shift of the paper are a Scale layer with bias_term: true",
                )


def _global_statistics_in_training(wiring: Wiring) -> Iterator[tuple[Step, str]]:
    for step in wiring.steps:
        settings = step.layer.param.batch_norm_param
        if step.node.type == "BatchNorm" and step.layer.phase == TRAIN:
            if settings.use_global_stats:
                yield (
                    step,
                    "use_global_stats: true in phase TRAIN: statistics are neither computed nor "
                    "updated; right only with weights that hold them",
                )


def _loss_without_gradient(wiring: Wiring) -> Iterator[tuple[Step, str]]:
    for i, step in enumerate(wiring.steps):
        if not any(step.layer.loss_weights) or wiring.plan.graph.phase != TRAIN:
            continue
        if not step.backward:
            learns = any(p.lr_mult for s in wiring.below(i) for p in _params(wiring, s))
            why = "gradients are blocked on the way" if learns else "nothing below it is learned"
            yield step, f"no gradient flows from this loss: {why}"


def _params(wiring: Wiring, step: Step) -> list[Param]:
    blobs = {id(blob) for blob in step.layer.blobs}
    return [p for p in wiring.plan.params if id(p.blob) in blobs]


def _done_twice(wiring: Wiring) -> Iterator[tuple[Step, str]]:
    for i, step in enumerate(wiring.steps):
        if not wiring.bottoms[i]:
            continue
        below = wiring.maker[wiring.bottoms[i][0]]
        pair = (below.node.type, step.node.type)
        name = f"'{below.node.name}' ({below.node.type})"
        if pair in _TWICE:
            yield step, f"it {_TWICE[pair]}, and its bottom comes from {name}: give it the scores"
        elif pair == ("ReLU", "SoftmaxWithLoss"):
            yield step, f"its scores come from {name}: none can be below zero"
        elif step.node.type == "MultinomialLogisticLoss" and below.node.type != "Softmax":
            yield step, f"it expects probabilities, of a Softmax; its bottom comes from {name}"


def _zero_weights(wiring: Wiring) -> Iterator[tuple[Step, str]]:
    for step in wiring.steps:
        settings = getattr(step.layer.param, _SETTINGS.get(step.node.type, ""), None)
        if settings is None or not step.layer.blobs or not step.backward:
            continue
        filler = settings.weight_filler
        if filler.type == "constant" and filler.value == 0:
            readers = [s for ref in step.node.tops for s in wiring.readers.get(ref, [])]
            if not any(any(s.layer.loss_weights) for s in readers):
                yield (
                    step,
                    "all weights start at 0, as there is no weight_filler: unless weights are "
                    "loaded, no gradient gets through and all its units stay alike",
                )


def _linear_after_linear(wiring: Wiring) -> Iterator[tuple[Step, str]]:
    for i, step in enumerate(wiring.steps):
        if step.node.type == "InnerProduct":
            below = wiring.maker[wiring.bottoms[i][0]]
            if below.node.type == "InnerProduct" and not _is_bottleneck(below, step):
                yield (
                    step,
                    f"it reads '{below.node.name}' (InnerProduct) without a non-linearity between: "
                    "together they are one linear layer",
                )


def _is_bottleneck(below: Step, above: Step) -> bool:
    """Whether two linear layers meet in fewer values than come in and go out: that is meant."""
    narrow = below.layer.blobs[0].shape[0]
    return bool(narrow < min(below.layer.blobs[0].shape[-1], above.layer.blobs[0].shape[0]))


def _computed_for_nothing(wiring: Wiring) -> Iterator[tuple[Step, str]]:
    if wiring.plan.graph.phase != TRAIN:
        return
    for step in wiring.steps:
        unread = [ref.name for ref in step.node.tops if ref not in wiring.readers]
        if unread and step.layer.blobs and len(unread) == len(step.node.tops):
            yield step, f"no layer reads its top '{unread[0]}': it is computed for nothing"


RULES: tuple[Rule, ...] = (
    _scale_after_batch_norm,
    _global_statistics_in_training,
    _loss_without_gradient,
    _done_twice,
    _zero_weights,
    _linear_after_linear,
    _computed_for_nothing,
)
