"""Fields of forks that say what a field of Caffe's says, in other words.

Only those with a single meaning: whatever else a fork adds is kept unread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from protonet.schema import caffe_pb2 as pb

# Enums that choose among implementations of the same maths: any value will do.
HARMLESS = frozenset({"engine"})

_BOOLS = {"true": True, "True": True, "t": True, "1": True}
_BOOLS |= {"false": False, "False": False, "f": False, "0": False}


def respell(message: Any, name: str, value: Any) -> bool:
    """Set the field of Caffe's that means the same as ``name: value``; whether there is one."""
    spelling = _SPELLINGS.get((message.DESCRIPTOR.name, name))
    return spelling is not None and spelling(message, value)


def _ceil_mode(message: Any, value: Any) -> bool:
    """Rounding of a pooling's output size, as NVIDIA's and others' forks write it."""
    rounds_up = _BOOLS.get(value) if isinstance(value, str) else None
    if rounds_up is None or message.HasField("round_mode"):
        return False
    modes = pb.PoolingParameter
    message.round_mode = modes.CEIL if rounds_up else modes.FLOOR
    return True


_SPELLINGS: dict[tuple[str, str], Callable[[Any, Any], bool]] = {
    ("PoolingParameter", "ceil_mode"): _ceil_mode,
}
