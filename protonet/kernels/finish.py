"""What a kernel does to each sum before it writes it, instead of a pass over all of them later."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Values = np.ndarray[Any, np.dtype[np.floating[Any]]]

# An empty array: these values are not wanted.
NONE = np.empty(0, np.float32)


class Finish(NamedTuple):
    """y = z if z > 0 else slope · z, where z = sum · factor + shift for each channel.

    Attributes:
        factor, shift: (channels,), float32 for kernels, or both empty for z = sum.
        slope: 1 for y = z, 0 for a plain ReLU.
    """

    factor: Values = NONE
    shift: Values = NONE
    slope: float = 1.0


PLAIN = Finish()
