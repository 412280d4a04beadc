"""Compile proto/caffe.proto into protonet/schema/caffe_pb2.py.

Run from the repository's root, with the ``dev`` extra installed::

    python tools/generate_schema.py

protoc (of grpcio-tools) checks the schema and serializes its descriptor; the module written
builds the message classes from it at import. Unlike protoc's own Python output it puts them in a
descriptor pool of their own under a file name of their own, so that another package's
``caffe.proto`` in the same process is no concern of ours, and it is not tied to the version of
the protobuf runtime.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "proto" / "caffe.proto"
TARGET = ROOT / "protonet" / "schema" / "caffe_pb2.py"
PRIVATE_NAME = "protonet/caffe.proto"
LINE = 88  # characters of one line of the descriptor

TEMPLATE = '''"""Caffe's messages. Generated from proto/caffe.proto: do not edit.

Written by ``python tools/generate_schema.py``. The messages live in a descriptor pool of their
own, so that they clash with no other ``caffe.proto`` in the process.
"""

from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.internal import enum_type_wrapper

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...  # messages and enum values are made at import


SOURCE_SHA256 = "{digest}"

POOL = descriptor_pool.DescriptorPool()
POOL.AddSerializedFile(
{descriptor}
)
DESCRIPTOR = POOL.FindFileByName("{name}")

for _name, _message in DESCRIPTOR.message_types_by_name.items():
    _class = message_factory.GetMessageClass(_message)
    _class.__module__ = __name__  # so that messages can be pickled
    globals()[_name] = _class
for _name, _enum in DESCRIPTOR.enum_types_by_name.items():
    globals()[_name] = enum_type_wrapper.EnumTypeWrapper(_enum)
    for _value in _enum.values:
        globals()[_value.name] = _value.number
'''


def digest(source: Path = SOURCE) -> str:
    """Return the SHA-256 of the schema's text, whatever the line ends of the checkout."""
    return hashlib.sha256(source.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def descriptor(source: Path) -> bytes:
    """Compile the schema and return its serialized FileDescriptorProto."""
    from google.protobuf import descriptor_pb2
    from grpc_tools import protoc

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "caffe.pb"
        arguments = ["protoc", f"-I{source.parent}", f"--descriptor_set_out={out}", str(source)]
        if protoc.main(arguments) != 0:
            sys.exit(f"{source}: protoc refused it")
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    (file,) = files.file
    file.name = PRIVATE_NAME
    return file.SerializeToString(deterministic=True)


def as_literals(data: bytes) -> str:
    """Return ``data`` as lines of adjacent bytes literals, indented, short enough to read."""
    lines, line = [], ""
    for byte in data:
        plain = 0x20 <= byte < 0x7F and byte not in b'"\\'
        piece = chr(byte) if plain else f"\\x{byte:02x}"
        if len(line) + len(piece) > LINE:
            lines.append(line)
            line = ""
        line += piece
    lines.append(line)
    return "\n".join(f'    b"{line}"' for line in lines)


def generate(source: Path = SOURCE) -> str:
    """Return the text of the module for the schema in ``source``."""
    return TEMPLATE.format(
        digest=digest(source), descriptor=as_literals(descriptor(source)), name=PRIVATE_NAME
    )


if __name__ == "__main__":
    TARGET.write_text(generate(), encoding="ascii")
    print(f"wrote {TARGET.relative_to(ROOT)}")
