"""Bring nets and solvers of all generations into the current form.

The result of an upgrade is what BVLC Caffe 1.0 makes of the same file, message for message.
Nothing but these functions needs to know of older forms.
"""

from __future__ import annotations

from typing import Any

from protonet.errors import PrototxtError
from protonet.schema import caffe_pb2 as pb
from protonet.schema import extra, v0, v1

SOLVER_TYPES = {
    "SGD": "SGD",
    "NESTEROV": "Nesterov",
    "ADAGRAD": "AdaGrad",
    "RMSPROP": "RMSProp",
    "ADADELTA": "AdaDelta",
    "ADAM": "Adam",
}
INSERTED = -1  # origin of a layer that no entry of the file stands for
BATCH_NORM_BLOBS = 3  # mean, variance and their weight: statistics, which no solver may touch


class EntryError(PrototxtError):
    """A net that has no current form.

    Attributes:
        field, entry: the field of the net and the index in it that are to blame.
    """

    def __init__(self, message: str, field: str, entry: int = 0) -> None:
        super().__init__(message)
        self.field = field
        self.entry = entry


def upgrade_net(net: Any, owned: bool = False) -> tuple[Any, list[int]]:
    """Return a NetParameter in the current form, and where its layers come from.

    Args:
        net: a NetParameter of any generation. Unchanged, unless ``owned``.
        owned: the caller gives ``net`` away, so that weights need not be copied.

    Returns:
        The net without deprecated fields, and for each of its layers the index of the entry of
        ``net.layer`` or ``net.layers`` that it was, or ``INSERTED``.

    Raises:
        PrototxtError: layers of both forms, inputs without shapes, padding that belongs to no
            convolution or pooling.
    """
    if net.layers and net.layer:
        raise EntryError("expected layers of one form, got both 'layer' and 'layers'", "layers")
    if net.layers:
        new, origin = _from_layers(net)
    else:
        new, origin = net, list(range(len(net.layer)))
        if not owned:
            new = pb.NetParameter()
            new.CopyFrom(net)
    if new.input:
        _insert_inputs(new)
        origin.insert(0, INSERTED)
    for name in ("input", "input_dim", "input_shape"):
        new.ClearField(name)
    for layer in new.layer:
        if layer.type == "BatchNorm" and len(layer.param) == BATCH_NORM_BLOBS:
            for spec in layer.param:
                spec.lr_mult = spec.decay_mult = 0
    return new, origin


def upgrade_solver(solver: Any) -> Any:
    """Return a copy of a SolverParameter in the current form, nets within it included.

    Raises:
        PrototxtError: both ``solver_type`` and ``type``; a net that has no current form.
    """
    new = pb.SolverParameter()
    new.CopyFrom(solver)
    if new.HasField("solver_type"):
        if new.HasField("type"):
            raise EntryError("expected one of 'solver_type' (old) and 'type', got both", "type")
        new.type = SOLVER_TYPES[new.SolverType.Name(new.solver_type)]
        new.ClearField("solver_type")
    for name in ("net_param", "train_net_param"):
        if new.HasField(name):
            getattr(new, name).CopyFrom(upgrade_net(getattr(new, name))[0])
    for net in new.test_net_param:
        net.CopyFrom(upgrade_net(net)[0])
    return new


def _from_layers(net: Any) -> tuple[Any, list[int]]:
    """Return a new net whose ``layer`` says what ``layers`` of ``net`` say."""
    padding = v0.find_padding(net)
    for entry, why in padding.misplaced:
        raise EntryError(why, "layers", entry)
    new = pb.NetParameter()
    extra.carry(net, new)
    for field, value in net.ListFields():
        if field.name == "layers":
            continue
        if field.is_repeated:
            getattr(new, field.name).extend(value)
        elif field.message_type:
            getattr(new, field.name).CopyFrom(value)
        else:
            setattr(new, field.name, value)
    kept = [i for i in range(len(net.layers)) if i not in padding.gone]
    for i in kept:
        old = net.layers[i]
        layer = new.layer.add()
        v1.overlay(layer, old)
        v1.multipliers(layer, old)
        layer.blobs.extend(old.blobs)
        if old.HasField("layer"):
            v0.overlay(layer, old.layer)
            v1.multipliers(layer, old.layer)
            layer.blobs.extend(old.layer.blobs)
        if i in padding.given:
            layer.bottom[0], pad = padding.given[i]
            if layer.type == "Convolution":
                layer.convolution_param.pad[:] = [pad]
            else:
                layer.pooling_param.pad = pad
    return new, kept


def _insert_inputs(net: Any) -> None:
    """Put an Input layer that makes the blobs of ``input`` before all others."""
    layer = pb.LayerParameter(name="input", type="Input", top=net.input)
    count, dims = len(net.input), list(net.input_dim)
    if net.input_shape:
        if len(net.input_shape) != count:
            raise EntryError(
                f"expected an input_shape for each of the {count} inputs, got "
                f"{len(net.input_shape)}",
                "input_shape",
            )
        layer.input_param.shape.extend(net.input_shape)
    else:
        if len(dims) != 4 * count:
            raise EntryError(
                f"expected an input_shape, or 4 times input_dim, for each of the {count} inputs, "
                f"got {len(dims)} times input_dim",
                "input_dim" if dims else "input",
            )
        for i in range(count):
            layer.input_param.shape.add(dim=dims[4 * i : 4 * i + 4])
    net.layer.insert(0, layer)
