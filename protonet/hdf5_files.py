"""Opening HDF5 files that may be broken, or claim more than they hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from protonet.errors import ProtonetError

# What h5py raises, somewhere, for a file that is damaged.
_DAMAGED = (
    OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, OverflowError,
    IndexError, MemoryError,
)  # fmt: skip
_MOST_TIMES, _ALWAYS = 200, 2**26  # bytes in memory for one in the file, and for nothing

Kind = Callable[[str], ProtonetError]


@contextmanager
def opened(path: str | os.PathLike[str], broken: str, kind: Kind) -> Iterator[Any]:
    """Yield the h5py.File; whatever it raises while it is open becomes an error of ours.

    Args:
        broken: what the message says before what HDF5 says.
        kind: the error.

    Raises:
        kind: the file does not exist, is no HDF5, or is damaged.
    """
    import h5py

    name = os.fspath(path)
    try:
        with h5py.File(name, "r") as file:
            yield file
    except FileNotFoundError:
        raise kind(f"{name}: cannot be read: No such file or directory") from None
    except _DAMAGED as error:
        raise kind(f"{broken}: {str(error).splitlines()[0] if str(error) else error!r}") from None


def check_size(dataset: Any) -> None:
    """Raise ValueError when a dataset takes far more memory than the file holds of it.

    HDF5 lets a file of a few bytes claim any number of zeros.
    """
    held = dataset.id.get_storage_size()
    if dataset.nbytes > _MOST_TIMES * held + _ALWAYS:
        raise ValueError(
            f"dataset '{dataset.name}' of shape {dataset.shape} takes {dataset.nbytes} bytes, but "
            f"the file holds {held} of it"
        )
