"""What a layer is: the interface that built-in layers and a user's Python layers share.

A layer lives through ``setup`` (once: parameters read, weights declared), ``reshape`` (tops get
their shapes; no data needed), then ``forward`` and ``backward``. All four take lists of blobs,
as in Caffe's Python layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

from protonet.blob import Blob, Shape
from protonet.errors import ProtonetError, ShapeError
from protonet.kernels.finish import Finish
from protonet.schema.extra import Fields

# Caffe's phases, as numbers in its files.
TRAIN, TEST = 0, 1

Count = int | tuple[int, int | None]


class BlobList(list[Blob]):
    """The parameters of a layer, in Caffe's order. ``add_blob`` is pycaffe's way to append one."""

    def add_blob(self, *shape: int) -> Blob:
        blob = Blob(shape)
        self.append(blob)
        return blob


class Layer:
    """Base of every layer.

    Class attributes, overridden where a layer differs:

    Attributes:
        type: Caffe's name of the type, set by :func:`register`.
        bottoms, tops: how many blobs it takes: a number, or (least, most) with None for no limit.
        equal_counts: as many tops as bottoms.
        in_place: whether a top may use the storage of the bottom of the same name. Where not, the
            plan gives the top storage of its own; users see one blob under the name.
        is_loss: its first top counts in the loss with weight 1 unless `loss_weight` says otherwise.
        auto_tops: tops missing in the file are added without a name, as Caffe does for losses.
        not_differentiable: bottoms, by index, into which no gradient can flow (labels).
        learned: whether a solver changes its parameters; statistics it keeps itself are not.
        is_data: it produces what it reads from a source, and has no bottoms.

    Instance attributes:
        param: the LayerParameter message, upgraded.
        phase: TRAIN or TEST.
        where: ``file:line: `` of the layer, or ``""``.
        blobs: the parameters. Appended in ``setup`` by :meth:`add_param`.
        param_propagate_down: for each parameter, whether its gradient is wanted. Set by the plan.
        spare: keep nothing that only a backward pass would need, or that only saves time.
    """

    type: ClassVar[str] = ""
    bottoms: ClassVar[Count] = 1
    tops: ClassVar[Count] = 1
    equal_counts: ClassVar[bool] = False
    in_place: ClassVar[bool] = False
    is_loss: ClassVar[bool] = False
    auto_tops: ClassVar[bool] = False
    is_data: ClassVar[bool] = False
    learned: ClassVar[bool] = True
    not_differentiable: ClassVar[frozenset[int]] = frozenset()

    def __init__(self, param: Any, phase: int = TEST, where: str = "") -> None:
        self.param = param
        self.phase = phase
        self.where = where
        self.name: str = param.name
        self.blobs = BlobList()
        self.fillers: list[Any] = []
        self.param_propagate_down: list[bool] = []
        self.loss_weights: list[float] = []
        self.spare = False

    # --- the four steps --------------------------------------------------------------------
    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Read the parameters and declare weights. Bottoms have shapes, but no data yet."""

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Give each top its shape (``top[0].reshape(...)``) from the shapes of the bottoms.

        Called again whenever a bottom's shape has changed.

        Raises:
            ShapeError: the bottoms do not fit the layer (by ``raise self.error(...)``).
        """
        raise NotImplementedError

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Write ``top[i].data`` from ``bottom[i].data`` and the parameters."""
        raise NotImplementedError

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        """Overwrite ``bottom[i].diff`` where asked, and add to the diffs of the parameters."""
        raise NotImplementedError

    # --- running as one with the layer before ------------------------------------------------
    def maps_channels(self, bottom: list[Blob]) -> str:
        """Tell whether the forward pass is no more than :meth:`channel_map` says.

        Returns:
            "affine" for a factor and a shift for each channel (axis 1), "slope" for a slope of
            negative values only, "" for anything else.
        """
        return ""

    def channel_map(self) -> Finish:
        """Return what the layer does to each value of a channel; see :meth:`maps_channels`."""
        raise NotImplementedError

    def can_finish(self, bottom: list[Blob], kind: str) -> bool:
        """Tell whether :meth:`forward_finished` is there for a finish of that kind.

        Args:
            kind: what :meth:`maps_channels` returns, "pool" for :meth:`forward_pooled`, or
                "backward" for :meth:`backward_finished`.
        """
        return False

    def forward_finished(self, bottom: list[Blob], top: list[Blob], finish: Finish) -> None:
        """Write what ``finish`` makes of what :meth:`forward` would have written."""
        raise NotImplementedError

    def rewrite(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Write what :meth:`forward` would have in the last forward pass, and change nothing else.

        For tops that :meth:`forward_finished` went without and that somebody needs after all.
        """
        self.forward(bottom, top)

    def backward_finished(self, top: list[Blob], bottom: list[Blob], finish: Finish) -> Any:
        """Overwrite the gradient of the bottom, from that of a top by :meth:`forward_finished`.

        That of the top becomes the one of values before the slope, as the layer with the slope
        leaves it in place.

        Returns:
            the gradients of the factor and the shift of ``finish``, (channels,) float64 each.
        """
        raise NotImplementedError

    def add_map_gradients(self, factor: Any, shift: Any) -> None:
        """Add to the gradients of the parameters those of what :meth:`channel_map` returned.

        Args:
            factor, shift: (channels,) float64 each.
        """

    def pools_squares(self, bottom: list[Blob]) -> bool:
        """Tell whether the layer keeps the largest values of windows of 2 x 2 side by side."""
        return False

    def mask(self, shape: Shape) -> Any:
        """Return where the values of a pooled top of this shape lie, int32, to read or write."""
        raise NotImplementedError

    def can_pool(self) -> bool:
        """Tell whether :meth:`forward_pooled` is there for the shapes of now."""
        return False

    def forward_pooled(
        self, bottom: list[Blob], top: list[Blob], finish: Finish, mask: Any
    ) -> None:
        """Write what pooling makes of what :meth:`forward_finished` would have written.

        The largest value of windows of 2 x 2 side by side; where it lies is written to the mask.
        """
        raise NotImplementedError

    def complete(self, bottom: list[Blob], top: list[Blob], finish: Finish) -> None:
        """Write what the last :meth:`forward_pooled` would have without pooling.

        By the parameters of then: they may have changed meanwhile.
        """
        raise NotImplementedError

    def can_spread(self) -> bool:
        """Tell whether :meth:`backward_pooled` is there for the shapes of now."""
        return False

    def backward_pooled(self, top: list[Blob], bottom: list[Blob], mask: Any) -> None:
        """Add to the gradients of the parameters, from that of a top that was pooled."""
        raise NotImplementedError

    def shares_values(self, bottom: list[Blob]) -> bool:
        """Tell whether its tops are made to hold the values of bottom 0 themselves, no copies."""
        return False

    def gathers(self, bottom: list[Blob]) -> int | None:
        """Return the axis along which top 0 is the bottoms one after the other, None if it is not.

        Where a bottom has its place in the top already, :meth:`forward` leaves it alone.
        """
        return None

    def can_write_apart(self, bottom: list[Blob]) -> bool:
        """Tell whether :meth:`forward` and :meth:`forward_finished` can write a top whose images
        lie apart, each contiguous.
        """
        return False

    # --- going on from a snapshot ------------------------------------------------------------
    def resume_state(self) -> dict[str, Any]:
        """Return what the coming passes depend on beside parameters and bottoms, if anything.

        A position in a source, what a generator will draw, a state carried over: numbers,
        strings, float32 arrays, lists and dictionaries by string of them.
        """
        return {}

    def resume_from(self, state: dict[str, Any]) -> None:
        """Go on as the layer would have that returned this ``resume_state``."""

    # --- what layers use -------------------------------------------------------------------
    @property
    def extra(self) -> Fields:
        """What the file gives this layer beyond Caffe's schema: a layer registered under a name
        of its own finds ``my_layer_param { alpha: 2 }`` as ``self.extra.my_layer_param.alpha``.
        """
        return Fields.of(self.param)

    def add_param(self, shape: Sequence[int], filler: Any) -> Blob:
        """Declare a parameter to be filled as the FillerParameter message ``filler`` says."""
        blob = self.blobs.add_blob(*shape)
        self.fillers.append(filler)
        return blob

    def error(
        self, message: str, kind: Callable[[str], ProtonetError] = ShapeError
    ) -> ProtonetError:
        """Return an error that names file, line, layer and type before ``message``."""
        return kind(f"{self.where}layer '{self.name}' ({self.type}): {message}")

    def canonical_axis(self, axis: int, shape: Sequence[int], field: str = "axis") -> int:
        """Return ``axis`` counted from the front; negative ones count from the back.

        Raises:
            ShapeError: no such axis.
        """
        if not -len(shape) <= axis < len(shape):
            raise self.error(
                f"{field} {axis} is out of range for a bottom of {len(shape)} axes, "
                f"shape {tuple(shape)}"
            )
        return axis % len(shape)

    def multiply_adds(self, bottom: list[Blob], top: list[Blob]) -> int:
        """Return the multiply-adds of one forward pass, for summaries. 0 where there are none."""
        return 0

    def backward_multiply_adds(
        self, bottom: list[Blob], top: list[Blob], propagate_down: list[bool]
    ) -> int:
        """Return the multiply-adds of one backward pass, for the gradients that are computed.

        By default as many as forward for those of the bottoms, and as many for the weights'.
        """
        passes = any(propagate_down) + any(self.param_propagate_down[:1])
        return passes * self.multiply_adds(bottom, top)


LayerClass = TypeVar("LayerClass", bound=type[Layer])

REGISTRY: dict[str, type[Layer]] = {}


def register(type_name: str) -> Callable[[LayerClass], LayerClass]:
    """Class decorator: make a layer known under Caffe's name of its type."""

    def add(cls: LayerClass) -> LayerClass:
        cls.type = type_name
        REGISTRY[type_name] = cls
        return cls

    return add
