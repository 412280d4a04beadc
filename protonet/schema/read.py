"""Read nets, solvers and weights: text or binary, of any generation, into current messages.

What a file holds is told from its content, never from its name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from protonet.errors import PrototxtError, SnapshotError, did_you_mean
from protonet.schema import caffe_pb2 as pb
from protonet.schema import extra
from protonet.schema.binary import decode, decode_weights
from protonet.schema.fields import fields_of
from protonet.schema.text import Positions, parse
from protonet.schema.tokens import Tokens
from protonet.schema.upgrade import EntryError, upgrade_net, upgrade_solver

PathLike = str | os.PathLike[str]

PIECE = 2**24  # bytes read at a time
MAX_TEXT = 2**23  # bytes of a prototxt: far more than any net; tokens take a hundred times that
MAX_BINARY = 2**31 - 1  # what protobuf can read
HEAD = 8192  # bytes that tell text from binary
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")  # bytes that text does not contain
_UTF16 = (b"\xff\xfe", b"\xfe\xff")  # the marks that it starts with
_HDF5 = b"\x89HDF\r\n"

NET, SOLVER = "net", "solver"
_MESSAGES = {NET: pb.NetParameter, SOLVER: pb.SolverParameter}


@dataclass
class NetSource:
    """A net in the current form.

    Attributes:
        message: the NetParameter, upgraded.
        path: the file it came from, "" for one in memory.
        lines: for each layer of the message its line in the file, from 1; 0 where there is none.
        binary: whether the file was a binary one.
    """

    message: Any
    path: str = ""
    lines: list[int] = field(default_factory=list)
    binary: bool = False

    @classmethod
    def of(cls, message: Any) -> NetSource:
        """Return a source of a NetParameter in memory, of any generation; a copy is upgraded.

        Raises:
            PrototxtError: it has no layers, or no current form.
        """
        return _net(message, Positions(), "", owned=False)

    def notes(self) -> list[str]:
        """Return a line for each kind of field that only a fork knows, all of which are kept."""
        return extra.notes(self.message, self.path)


@dataclass
class SolverSource:
    """A solver in the current form.

    Attributes:
        message: the SolverParameter, upgraded.
        path: the file it came from, "" for one in memory.
        field_lines: for each field given, the line of its first entry in the file, from 1.
    """

    message: Any
    path: str = ""
    field_lines: dict[str, int] = field(default_factory=dict)
    _nets: dict[str, list[NetSource]] = field(default_factory=dict)

    @classmethod
    def of(cls, message: Any) -> SolverSource:
        """Return a source of a SolverParameter in memory; a copy is upgraded.

        Raises:
            PrototxtError: it has no current form.
        """
        return _solver(message, Positions(), "")

    def notes(self) -> list[str]:
        """Return a line for each kind of field that only a fork knows, all of which are kept."""
        return extra.notes(self.message, self.path)

    def refuse_unknown(self) -> None:
        """Refuse fields that no solver of ours knows; those of nets within are the nets' own.

        Raises:
            PrototxtError: ``path:line:column: `` and what may have been meant.
        """
        solver = type(self.message)()
        solver.CopyFrom(self.message)
        for name in self._nets:
            solver.ClearField(name)
        extra.refuse(solver, self.path)

    def inline_net(self, name: str, index: int = 0) -> NetSource:
        """Return the net within the solver: ``net_param``, ``train_net_param``, or the
        ``test_net_param`` of this index, with the lines of its layers in the solver's file."""
        return self._nets[name][index]


Source = NetSource | SolverSource


def read_net(source: PathLike) -> NetSource:
    """Read a net, text or binary, of any generation.

    Raises:
        PrototxtError: ``path:line:column: `` and what is wrong there; no such file; the file is no
            net; a net that has no current form.
    """
    return _read(source, NET)  # type: ignore[return-value]


def read_solver(source: PathLike) -> SolverSource:
    """Read a solver, text or binary.

    Raises:
        PrototxtError: as :func:`read_net`.
    """
    return _read(source, SOLVER)  # type: ignore[return-value]


def read_any(source: PathLike) -> Source:
    """Read a net or a solver, whichever the file holds.

    Raises:
        PrototxtError: as :func:`read_net`; the file is neither.
    """
    return _read(source, "")


def parse_net(text: str, path: str = "") -> NetSource:
    """Read a net from text; ``path`` is for errors.

    Raises:
        PrototxtError: as :func:`read_net`.
    """
    return _from_text(text, path, NET)  # type: ignore[return-value]


def parse_solver(text: str, path: str = "") -> SolverSource:
    """Read a solver from text; ``path`` is for errors.

    Raises:
        PrototxtError: as :func:`read_net`.
    """
    return _from_text(text, path, SOLVER)  # type: ignore[return-value]


def parse_weights(source: PathLike | bytes) -> Any:
    """Read a .caffemodel, of any generation, as a current NetParameter with its blobs.

    Args:
        source: a path, or the bytes of the file.

    Raises:
        SnapshotError: the file cannot be read, is cut off, or holds no layers.
    """
    if isinstance(source, bytes):
        path, data = "weights", source
    else:
        path, data = os.fspath(source), _bytes(source, SnapshotError)

    def fail(found: str) -> NoReturn:
        raise SnapshotError(f"{path}: expected the binary weights of a net, found {found}")

    if not data:
        fail("an empty file")
    if data.startswith(_HDF5):
        fail("an HDF5 file")
    try:
        net = _decode_net(data)
    except UnicodeError:
        fail("strings that are not UTF-8")
    except DecodeError:
        if not _looks_binary(data):
            fail("text")
        if _is_state(data):
            fail("the state of a solver")
        fail(f"{len(data)} bytes that are cut off, or something else")
    del data
    if not net.layer and not net.layers:
        fail("no layers")
    try:
        return upgrade_net(net, owned=True)[0]
    except EntryError as error:
        raise SnapshotError(f"{path}: {error}") from None


def _decode_net(data: bytes) -> Any:
    """Decode weights; those that have other messages in place of Caffe's, by structure alone."""
    try:
        return decode(pb.NetParameter, data)
    except (DecodeError, UnicodeError) as why:
        try:
            net = decode_weights(data)
        except DecodeError:
            raise why from None
        if not any(layer.blobs for layer in (*net.layer, *net.layers)):
            raise why
        return net


def _is_state(data: bytes) -> bool:
    try:
        return bool(pb.SolverState.FromString(data).HasField("iter"))
    except (DecodeError, UnicodeError):
        return False


# --- files -----------------------------------------------------------------------------------
def _bytes(source: PathLike, error: type[PrototxtError] | type[SnapshotError]) -> bytes:
    path = Path(source)
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            limit = MAX_BINARY if _looks_binary(head) else MAX_TEXT
            parts = [head]
            held = len(head)
            # piece by piece: Python takes the memory that a read might need before it reads
            while held <= limit and (part := file.read(PIECE)):
                parts.append(part)
                held += len(part)
            data = b"".join(parts) if len(parts) > 1 else head
            del parts
    except FileNotFoundError:
        raise error(f"{source}: no such file{_sibling(path)}") from None
    except (OSError, ValueError) as why:
        reason = getattr(why, "strerror", None) or why
        raise error(f"{source}: cannot be read: {reason}") from None
    if len(data) > limit:
        raise error(f"{source}: cannot be read: larger than {limit} bytes")
    return data


def _sibling(path: Path) -> str:
    """Return a suggestion if the folder holds a file of a similar name."""
    try:
        return did_you_mean(path.name, [p.name for p in path.parent.iterdir() if p.is_file()])
    except OSError:
        return ""


def _looks_binary(data: bytes) -> bool:
    return bool(_CONTROL.search(data[:HEAD]))


def _read(source: PathLike, wanted: str) -> Source:
    path = os.fspath(source)
    data = _bytes(source, PrototxtError)
    if data[:2] in _UTF16:
        _wrong_kind(path, "file in UTF-8", "UTF-16")
    if _looks_binary(data):
        found = _from_binary(data, path, wanted)
        if found:
            return found
    return _from_text(data.decode("utf-8", "surrogateescape"), path, wanted)


def _wrong_kind(path: str, wanted: str, found: str) -> NoReturn:
    raise PrototxtError(f"{path}: expected a {wanted}, found {found}")


def _from_binary(data: bytes, path: str, wanted: str) -> Source | None:
    """Return what the bytes encode, or None if they are rather text with a stray byte."""
    found = "an HDF5 file" if data.startswith(_HDF5) else "other binary data"
    for kind, is_one in ((NET, _is_net), (SOLVER, _is_solver)):
        try:
            message = decode(_MESSAGES[kind], data)
        except UnicodeError:
            found = "binary strings that are not UTF-8"
            continue
        except DecodeError:
            continue
        if not is_one(message):
            continue
        if wanted not in ("", kind):
            _wrong_kind(path, wanted, f"a binary {kind}")
        missing = message.FindInitializationErrors()
        if missing:
            raise PrototxtError(f"{path}: the binary {kind} lacks the field {missing[0]}")
        source = _current(kind, message, Positions(), path)
        if isinstance(source, NetSource):
            source.binary = True
        return source
    head = data[:HEAD]
    if len(_CONTROL.findall(head)) > 1 + len(head) // 100:
        _wrong_kind(path, wanted or "net or solver", found)
    return None


def _is_net(net: Any) -> bool:
    return bool(net.layer or net.layers or net.input)


def _is_solver(solver: Any) -> bool:
    return bool(solver.ListFields()) and not len(UnknownFieldSet(solver))


# --- text ------------------------------------------------------------------------------------
def _from_text(text: str, path: str, wanted: str) -> Source:
    tokens = Tokens(text, path)
    kind = _kind(tokens, wanted)
    message = _MESSAGES[kind]()
    return _current(kind, message, parse(tokens, message, keep=True), path)


def _kind(tokens: Tokens, wanted: str) -> str:
    """Return NET or SOLVER by the names of the outermost fields.

    Raises:
        PrototxtError: the text is neither, or is not what is wanted.
    """
    given = tokens.top_level()
    if not given:
        if len(tokens.kinds) > 1:
            tokens.fail(0, f"expected a field's name, found {tokens.shown(0)}")
        nothing = "nothing but comments" if tokens.text.strip() else "an empty file"
        _wrong_kind(tokens.path or "<text>", wanted or "net or solver", nothing)
    net, solver = (set(fields_of(m.DESCRIPTOR)) for m in (pb.NetParameter, pb.SolverParameter))
    names = [tokens.texts[i] for i in given]
    votes = {
        NET: sum(name in net and name not in solver for name in names),
        SOLVER: sum(name in solver and name not in net for name in names),
    }
    if votes[NET] == votes[SOLVER]:
        if wanted:
            return wanted
        unknown = [i for i in given if tokens.texts[i] not in net | solver]
        at = (unknown or given)[0]
        hint = did_you_mean(tokens.texts[at], net | solver)
        tokens.fail(at, f"expected a net or a solver, found a field '{tokens.texts[at]}'{hint}")
    kind = NET if votes[NET] > votes[SOLVER] else SOLVER
    if wanted not in ("", kind) and not votes[wanted]:
        own = net if kind == NET else solver
        at = next(i for i in given if tokens.texts[i] in own)
        tokens.fail(at, f"expected a {wanted}, found a {kind} (field '{tokens.texts[at]}')")
    return wanted or kind


# --- messages --------------------------------------------------------------------------------
def _current(kind: str, message: Any, at: Positions, path: str) -> Source:
    if kind == NET:
        return _net(message, at, path, owned=True)
    return _solver(message, at, path)


def _net(message: Any, at: Positions, path: str, owned: bool) -> NetSource:
    _refuse_both_forms(message, at, path)
    entries = at.lines.get("layers") or at.lines.get("layer") or []
    inputs = at.lines.get("input") or [0]
    new, origin = _placed(lambda: upgrade_net(message, owned), at, path)
    if not new.layer:
        extra.refuse(new, path)
        found = "padding layers only" if entries else "none"
        raise PrototxtError(f"{_place(path, 0)}expected a net with layers, found {found}")
    if not entries:
        return NetSource(new, path, [inputs[0] if i < 0 else 0 for i in origin])
    return NetSource(new, path, [inputs[0] if i < 0 else entries[i] for i in origin])


def _refuse_both_forms(message: Any, at: Positions, path: str) -> None:
    if message.layer and message.layers and at.lines:
        new, old = at.lines["layer"][0], at.lines["layers"][0]
        raise PrototxtError(
            f"{_place(path, max(new, old))}expected layers of one form, got 'layer' in line {new} "
            f"and 'layers' in line {old}"
        )


def _solver(message: Any, at: Positions, path: str) -> SolverSource:
    nets: dict[str, list[NetSource]] = {}
    for name in ("net_param", "train_net_param", "test_net_param"):
        value = getattr(message, name)
        given = list(value) if name == "test_net_param" else [value] * message.HasField(name)
        inner = at.inner.get(name) or [Positions() for _ in given]
        nets[name] = [_net(n, p, path, owned=False) for n, p in zip(given, inner, strict=True)]
    new = _placed(lambda: upgrade_solver(message), at, path)
    return SolverSource(new, path, {k: v[0] for k, v in at.lines.items() if v}, nets)


def _placed(upgrade: Callable[[], Any], at: Positions, path: str) -> Any:
    """Run ``upgrade``, with the place of the entry to blame put before its errors."""
    try:
        return upgrade()
    except EntryError as error:
        lines = at.lines.get(error.field) or [0]
        line = lines[min(error.entry, len(lines) - 1)]
        raise PrototxtError(_place(path, line) + str(error)) from None


def _place(path: str, line: int) -> str:
    name = path or "<text>"
    if line:
        return f"{name}:{line}: "
    return f"{path}: " if path else ""
