"""Weights in the order in which a kernel takes them, from one call to the next."""

from __future__ import annotations

from protonet.blob import Array, aligned_zeros
from protonet.kernels import scratch


class Kept:
    """Memory for rearranged weights: shared scratch memory, or from the second call on its own.

    Weights that change before each call, as in training, are not worth memory of their own.
    """

    def __init__(self) -> None:
        self._version: int | None = None
        self._values: Array | None = None

    def take(self, version: int | None, count: int) -> tuple[Array, bool]:
        """Return ``count`` values, and whether they hold the weights of this version already.

        Args:
            version: equal ones mean equal weights; None: nobody can tell, keep nothing.
        """
        if self._values is not None and version == self._version:
            return self._values, True
        again = version is not None and version == self._version
        self._version, self._values = version, aligned_zeros(count) if again else None
        return (scratch.get("weights", count) if self._values is None else self._values), False
