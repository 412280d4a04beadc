"""Nets written in Python: ``n.conv1 = L.Convolution(n.data, kernel_size=5, num_output=20)``.

``layers`` makes layers, ``params`` names the values of enums, and a ``NetSpec`` names blobs and
layers after the attributes they are assigned to. Where nothing is assigned, names are made from
types: Convolution1, Convolution2, ...
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

from protonet.schema import caffe_pb2

Names = dict[Any, str]


def param_name_dict() -> dict[str, str]:
    """Return, by type, where its options are: ``{"Convolution": "convolution", ...}``."""
    fields = caffe_pb2.LayerParameter.DESCRIPTOR.fields
    options = [f for f in fields if f.message_type and f.name.endswith("_param")]
    return {
        f.message_type.name.removesuffix("Parameter"): f.name.removesuffix("_param")
        for f in options
    }


def to_proto(*tops: Top) -> Any:
    """Return a NetParameter of all layers that these tops need, in order."""
    layers: OrderedDict[Function, Any] = OrderedDict()
    autonames: Counter[str] = Counter()
    for top in tops:
        top.fn._to_proto(layers, {}, autonames)
    return caffe_pb2.NetParameter(layer=layers.values())


def assign_proto(proto: Any, name: str, val: Any) -> None:
    """Set a field of a message from a value: a dict sets the fields of a message, a list a
    repeated field, which takes a single value too."""
    repeated = hasattr(getattr(proto, name), "extend")
    if repeated and not isinstance(val, list):
        val = [val]
    if isinstance(val, list):
        if val and isinstance(val[0], dict):
            for item in val:
                entry = getattr(proto, name).add()
                for key, inner in item.items():
                    assign_proto(entry, key, inner)
        else:
            getattr(proto, name).extend(val)
    elif isinstance(val, dict):
        target = getattr(proto, name)
        target.SetInParent()
        for key, inner in val.items():
            assign_proto(target, key, inner)
    else:
        setattr(proto, name, val)


class Top:
    """One blob that a layer makes: number ``n`` of the function ``fn``."""

    def __init__(self, fn: Function, n: int) -> None:
        self.fn = fn
        self.n = n

    def to_proto(self) -> Any:
        """Return a NetParameter of all layers that this blob needs."""
        return to_proto(self)

    def _update(self, params: dict[str, Any]) -> None:
        self.fn._update(params)

    def _to_proto(self, layers: Any, names: Names, autonames: Counter[str]) -> None:
        self.fn._to_proto(layers, names, autonames)


class Function:
    """A layer: its type, the blobs it reads, its options.

    Options go into the message of its type, unless they end in ``param`` or that message has no
    such field: then they are the layer's. ``ntop`` (1) is the number of its tops, ``in_place``
    makes them its bottoms.

    Raises:
        TypeError: an input that is no blob.
    """

    def __init__(self, type_name: str, inputs: tuple[Any, ...], params: dict[str, Any]) -> None:
        for i, given in enumerate(inputs):
            if not isinstance(given, Top):
                raise TypeError(
                    f"{type_name}: expected blobs as inputs, got {type(given).__name__} as "
                    f"input {i}"
                )
        self.type_name = type_name
        self.inputs = inputs
        self.params = params
        self.ntop = params.pop("ntop", 1)
        self.in_place = params.pop("in_place", False)
        self.tops = tuple(Top(self, n) for n in range(self.ntop))

    def _get_name(self, names: Names, autonames: Counter[str]) -> str:
        if self not in names:
            if self.ntop > 0:
                names[self] = self._get_top_name(self.tops[0], names, autonames)
            else:
                names[self] = self._new_name(autonames)
        return names[self]

    def _get_top_name(self, top: Top, names: Names, autonames: Counter[str]) -> str:
        if top not in names:
            names[top] = self._new_name(autonames)
        return names[top]

    def _new_name(self, autonames: Counter[str]) -> str:
        autonames[self.type_name] += 1
        return f"{self.type_name}{autonames[self.type_name]}"

    def _update(self, params: dict[str, Any]) -> None:
        self.params.update(params)

    def _to_proto(self, layers: Any, names: Names, autonames: Counter[str]) -> None:
        if self in layers:
            return
        bottoms = []
        for given in self.inputs:
            given._to_proto(layers, names, autonames)
            bottoms.append(layers[given.fn].top[given.n])
        layer = caffe_pb2.LayerParameter(type=self.type_name, bottom=bottoms)
        if self.in_place:
            layer.top.extend(layer.bottom)
        else:
            layer.top.extend(self._get_top_name(top, names, autonames) for top in self.tops)
        layer.name = self._get_name(names, autonames)
        own = _PARAM_NAMES.get(self.type_name)
        options = f"{own}_param" if own else ""
        known = _fields(getattr(layer, options)) if options else ()
        for key, value in self.params.items():
            inside = key in known and not key.endswith("param")
            assign_proto(getattr(layer, options) if inside else layer, key, value)
        layers[self] = layer


def _fields(message: Any) -> set[str]:
    return {field.name for field in message.DESCRIPTOR.fields}


class NetSpec:
    """Blobs by name: ``n = NetSpec(); n.data = L.Input(...)``, also ``n["data"]``."""

    tops: OrderedDict[str, Top]

    def __init__(self) -> None:
        super().__setattr__("tops", OrderedDict())

    def __setattr__(self, name: str, value: Top) -> None:
        self.tops[name] = value

    def __getattr__(self, name: str) -> Top:
        if name == "tops" or name not in self.tops:
            raise AttributeError(f"no blob '{name}' has been assigned")
        return self.tops[name]

    def __delattr__(self, name: str) -> None:
        del self.tops[name]

    def __setitem__(self, key: str, value: Top) -> None:
        self.tops[key] = value

    def __getitem__(self, item: str) -> Top:
        return self.tops[item]

    def __delitem__(self, item: str) -> None:
        del self.tops[item]

    def keys(self) -> list[str]:
        """Return the names."""
        return list(self.tops)

    def vals(self) -> list[Top]:
        """Return the blobs."""
        return list(self.tops.values())

    def update(self, name: str, params: dict[str, Any]) -> None:
        """Set more options of the layer that makes the blob ``name``."""
        self.tops[name]._update(params)

    def to_proto(self) -> Any:
        """Return a NetParameter of all layers that the named blobs need."""
        names: Names = {top: name for name, top in self.tops.items()}
        autonames: Counter[str] = Counter()
        layers: OrderedDict[Function, Any] = OrderedDict()
        for top in self.tops.values():
            top._to_proto(layers, names, autonames)
        return caffe_pb2.NetParameter(layer=layers.values())


class Layers:
    """``layers.Convolution(bottom, num_output=3)`` is the blob that such a layer makes; a tuple of
    blobs for several, the function itself for none."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)

        def make(*inputs: Any, **params: Any) -> Any:
            fn = Function(name, inputs, params)
            if fn.ntop == 0:
                return fn
            return fn.tops[0] if fn.ntop == 1 else fn.tops

        return make


class Parameters:
    """``params.Pooling.MAX`` is the value of that name in PoolingParameter's enums."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(caffe_pb2, name + "Parameter")


_PARAM_NAMES = param_name_dict()
layers = Layers()
params = Parameters()
