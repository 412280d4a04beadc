"""The one seeded source of randomness: fillers, dropout, crops, shuffles.

As in Caffe there is one generator a process, set by ``random_seed``. A part that draws in a
thread of its own takes a child generator with :func:`spawn` while the net is built, so that what
it draws does not depend on timing or on the number of threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

_generator = np.random.Generator(np.random.PCG64())


def set_random_seed(seed: int) -> None:
    """Restart the generator: the same seed and the same calls give the same draws."""
    global _generator
    _generator = np.random.Generator(np.random.PCG64(seed))


def generator() -> np.random.Generator:
    """Return the process's generator."""
    return _generator


def frozen(rng: np.random.Generator) -> dict[str, Any]:
    """Return what a generator will draw, as numbers and strings."""
    return dict(rng.bit_generator.state)


def thawed(state: Mapping[str, Any]) -> np.random.Generator:
    """Return a generator that draws what a frozen one would have drawn.

    Raises:
        KeyError, TypeError, ValueError: that is no frozen generator.
    """
    rng = np.random.Generator(np.random.PCG64(0))
    rng.bit_generator.state = dict(state)
    return rng


def spawn() -> np.random.Generator:
    """Return a new generator whose draws follow from the seed and the number of earlier spawns."""
    return _generator.spawn(1)[0]
