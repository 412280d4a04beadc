"""Training a bare net: the classic LeNet recipe, and a test net made from the training net.

What is made here is written out as ordinary Caffe files, so that a run can be repeated and changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from protonet.errors import GraphError, PrototxtError, did_you_mean
from protonet.layer import TEST
from protonet.schema import caffe_pb2 as pb

# The recipe that Caffe's MNIST example made classic.
CLASSIC: dict[str, Any] = {
    "base_lr": 0.01,
    "momentum": 0.9,
    "weight_decay": 0.0005,
    "lr_policy": "inv",
    "gamma": 0.0001,
    "power": 0.75,
    "max_iter": 10000,
    "test_interval": 1000,
    "display": 100,
    "test_initialization": False,
}
TEST_BATCH = 100


def classic_solver() -> Any:
    """Return the recipe as a SolverParameter message, without nets."""
    return pb.SolverParameter(**CLASSIC)


def override(solver: Any, assignments: list[str]) -> None:
    """Set fields of a SolverParameter from ``key=value`` texts, values as a prototxt has them.

    Strings need no quotes. A repeated field takes values separated by commas.

    Raises:
        PrototxtError: no such field, or a value that is not of its type.
    """
    from google.protobuf import text_format

    fields = solver.DESCRIPTOR.fields_by_name
    for text in assignments:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals:
            raise PrototxtError(f"expected key=value, got '{text}'")
        if key not in fields:
            raise PrototxtError(
                f"{text}: a solver has no field '{key}'{did_you_mean(key, set(fields))}"
            )
        field = fields[key]
        if field.message_type is not None:
            raise PrototxtError(f"{text}: '{key}' holds a message and can only be set in a file")
        is_text = field.type == field.TYPE_STRING
        values = value.split(",") if field.is_repeated else [value]
        part = type(solver)()
        for one in values:
            one = one.strip()
            if is_text and not one.startswith(('"', "'")):
                one = '"' + one.replace("\\", "\\\\").replace('"', '\\"') + '"'
            try:
                text_format.Merge(f"{key}: {one}", part)
            except text_format.ParseError as error:
                reason = re.sub(r"^\d+:\d+ : ", "", str(error)).splitlines()[0]
                raise PrototxtError(f"{text}: {reason}") from None
        solver.ClearField(key)
        solver.MergeFrom(part)


def has_test_part(net: Any) -> bool:
    """Whether a net file has layers of its own for testing: then it is left as it is."""
    return any(
        rule.phase == TEST and rule.HasField("phase")
        for layer in net.layer
        for rule in layer.include
    ) or any(layer.type == "Accuracy" for layer in net.layer)


def sibling_test_source(source: str) -> str | None:
    """Return the source with its last ``train`` made ``test``, or None if it names none."""
    start = source.rfind("train")
    return source[:start] + "test" + source[start + len("train") :] if start >= 0 else None


@dataclass(frozen=True)
class DerivedTest:
    """A test net made from a training net.

    Attributes:
        message: the NetParameter.
        batches: how many make one pass over the source.
        records: how many records the source has.
    """

    message: Any
    batches: int
    records: int


def derive_test_net(source: Any) -> DerivedTest | None:
    """Make a test net: the same layers, reading the sibling source, every softmax head scored.

    Args:
        source: what ``schema.read_net`` returns, of a net without a TEST part.

    Returns:
        None when no data layer has a source with ``train`` in its name.

    Raises:
        DataError: the sibling source cannot be opened.
    """
    from protonet.data import paths
    from protonet.graph import build_graph
    from protonet.layers.data import Data
    from protonet.plan import build_plan
    from protonet.schema.read import NetSource

    test = type(source.message)()
    test.CopyFrom(source.message)
    data = [layer for layer in test.layer if layer.type == "Data"]
    if len(data) != 1:
        return None
    sibling = sibling_test_source(data[0].data_param.source)
    if sibling is None:
        return None
    # what is written into the run folder must find a source that lies beside the net file
    data[0].data_param.source = paths.find(sibling, f"{source.path}:1: ") or sibling
    data[0].data_param.ClearField("rand_skip")
    for rule in data[0].include:
        if rule.HasField("phase"):
            rule.phase = TEST
    plan = build_plan(build_graph(NetSource(test, source.path, source.lines), TEST))
    records = next(s.layer.records() for s in plan.steps if isinstance(s.layer, Data))
    batch = largest_divisor(records, TEST_BATCH)
    data[0].data_param.batch_size = batch
    for head in list(test.layer):
        if head.type == "SoftmaxWithLoss":
            _score(test, head)
    return DerivedTest(test, -(-records // batch), records)


def largest_divisor(count: int, most: int) -> int:
    """Return the largest divisor of ``count`` up to ``most``, so that batches cover it evenly.

    Where that is small (a count with large prime factors) ``most`` itself: then the last batch
    wraps around to the first records, as Caffe's test_iter does.
    """
    best = max(d for d in range(1, min(count, most) + 1) if count % d == 0)
    return best if best * 4 >= min(count, most) else most


def _score(net: Any, head: Any) -> None:
    """Append an Accuracy layer that scores a softmax head by itself."""
    name = f"{head.name}_accuracy"
    taken = {layer.name for layer in net.layer}
    if name in taken:
        raise GraphError(f"layer '{head.name}': cannot add '{name}', the net has one already")
    layer = net.layer.add(name=name, type="Accuracy", top=[name])
    layer.bottom.extend(head.bottom[:2])
    if head.HasField("loss_param") and head.loss_param.HasField("ignore_label"):
        layer.accuracy_param.ignore_label = head.loss_param.ignore_label
    if head.HasField("softmax_param") and head.softmax_param.HasField("axis"):
        layer.accuracy_param.axis = head.softmax_param.axis
