"""What can go wrong, as one tree of exceptions.

::

    ProtonetError
    ├── PrototxtError    a net or solver file that cannot be read: syntax, field names, values
    ├── GraphError       layers that do not form a net: bottoms, tops, phases, unknown types
    ├── ShapeError       blobs or parameters whose shapes do not fit
    ├── DataError        sources, records, labels, means
    ├── SnapshotError    weights and solver states that cannot be read, or do not fit the net
    ├── OutputError      a file or folder that cannot be written
    └── NotFiniteError   a loss, gradient or weight became infinite or not a number

Every message is one line that a user can act on: where it happened (file, line, layer), what
was expected, and what came. The command line prints it and exits with code 2.
"""


class ProtonetError(Exception):
    """Base of all errors that protonet raises on purpose."""


class PrototxtError(ProtonetError):
    """A net or solver file cannot be read."""


class GraphError(ProtonetError):
    """The layers of a file do not form a net."""


class ShapeError(ProtonetError):
    """Shapes of blobs or parameters do not fit."""


class DataError(ProtonetError):
    """A source is missing, broken, or holds what the net cannot use."""


class SnapshotError(ProtonetError):
    """A weights file or solver state cannot be read or does not fit the net."""


class LabelError(DataError):
    """A label that no class has.

    Attributes:
        sample: which one of the batch it belongs to.
    """

    def __init__(self, message: str, sample: int = 0) -> None:
        super().__init__(message)
        self.sample = sample


class NotFiniteError(ProtonetError):
    """A loss, gradient or weight became infinite or not a number."""


class OutputError(ProtonetError):
    """A file or folder cannot be written."""


def did_you_mean(word: str, known: "list[str] | tuple[str, ...] | set[str]") -> str:
    """Return ``"; did you mean 'x'?"`` for the known word closest to ``word``, or ``""``."""
    import difflib

    lowered = {k.lower(): k for k in sorted(known)}
    close = difflib.get_close_matches(word.lower(), list(lowered), n=1, cutoff=0.6)
    return f"; did you mean '{lowered[close[0]]}'?" if close else ""
