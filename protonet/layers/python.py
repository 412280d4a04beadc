"""Python: a layer that the user wrote, a class with setup, reshape, forward and backward.

As in BVLC Caffe 1.0 and pycaffe: ``module`` is imported (from the module path, or from the current
folder), its class ``layer``, derived from ``Layer``, is made with the LayerParameter message, and
is given ``param_str`` and ``phase``. Before each forward pass its ``reshape`` is called again, so
that a layer that reads data may change the shape of its tops.
"""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType
from typing import Any

from protonet.blob import Blob
from protonet.errors import GraphError, did_you_mean
from protonet.layer import TEST, Layer, register

# A net file names code to run here. Where only the file is looked at, this is switched off.
ALLOW = True


@register("Python")
class Python(Layer):
    """python_param: module, layer, param_str (""), share_in_parallel (without effect).

    Whatever the user's class keeps as an attribute can be read from this layer too.

    Attributes:
        user: the object of the user's class; its ``blobs`` are this layer's.
    """

    bottoms = (0, None)
    tops = (0, None)
    in_place = True

    def __init__(self, param: Any, phase: int = TEST, where: str = "") -> None:
        super().__init__(param, phase, where)
        p = param.python_param
        self._label = f"{where}layer '{self.name}' (Python, {p.module}.{p.layer})"
        if not ALLOW:
            raise self.error(
                f"class {p.layer} of module {p.module} is code, which is not run here unless "
                "--allow-python-layers says so",
                GraphError,
            )
        if not p.module or not p.layer:
            raise self.error("expected python_param with module and layer", GraphError)
        user_class = self._find_class(p.module, p.layer)
        self.user: Any = self._call(user_class, param)
        self.user.param_str = self.user.param_str_ = p.param_str  # two generations of pycaffe's
        self.user.phase = phase
        if not self.user.type:
            self.user.type = self.type
        self.blobs = self.user.blobs
        self.fillers = self.user.fillers

    def _find_class(self, module: str, name: str) -> Any:
        loaded = self._call(self._load, module)
        found = getattr(loaded, name, None)
        if found is None:
            classes = {key for key, value in vars(loaded).items() if isinstance(value, type)}
            raise self.error(
                f"module {module} has no class {name}{did_you_mean(name, classes)}", GraphError
            )
        if not (isinstance(found, type) and issubclass(found, Layer)):
            raise self.error(
                f"expected {module}.{name} to be a class derived from Layer", GraphError
            )
        return found

    def _load(self, module: str) -> ModuleType:
        """Import a module, from the current folder when it lies nowhere else.

        What it imports as ``caffe`` is protonet's, unless the user has another.
        """
        from protonet.caffe.alias import offer

        offer()
        here = os.getcwd()
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module.partition(".")[0]:
                raise  # it is there, and itself lacks something
        sys.path.insert(0, here)
        try:
            importlib.invalidate_caches()
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module.partition(".")[0]:
                raise
            raise self.error(
                f"no module {module} in {here} or on the module path; PYTHONPATH can name its "
                "folder",
                GraphError,
            ) from None
        finally:
            sys.path.remove(here)

    def _call(self, function: Any, *args: Any) -> Any:
        """Call the user's code; what it raises goes on as it is, with the layer's name added."""
        try:
            return function(*args)
        except Exception as error:
            if sys.version_info >= (3, 11):
                error.add_note(f"in {self._label}")
            else:
                error.args = (*error.args, f"in {self._label}")
            raise

    def __getattr__(self, name: str) -> Any:
        if name == "user":  # not made yet
            raise AttributeError(name)
        return getattr(self.user, name)

    def resume_state(self) -> dict[str, Any]:
        return dict(self._call(self.user.resume_state))

    def resume_from(self, state: dict[str, Any]) -> None:
        self._call(self.user.resume_from, state)

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        self._call(self.user.setup, bottom, top)

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        self._call(self.user.reshape, bottom, top)

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        self.reshape(bottom, top)
        self._call(self.user.forward, bottom, top)

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        self.user.param_propagate_down = self.param_propagate_down
        self._call(self.user.backward, top, propagate_down, bottom)
