"""The compiled schema against the recorded facts, its drift from the source, its private pool."""

import importlib.util
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from google.protobuf.descriptor import FieldDescriptor
from places import REFERENCE, ROOT

from protonet.schema import caffe_pb2 as pb

FACTS = json.loads((REFERENCE / "schema.json").read_text())
TYPES = {
    getattr(FieldDescriptor, f"TYPE_{name.upper()}"): name
    for name in ("double", "float", "int64", "int32", "uint32", "bool", "string", "bytes")
}


def field_facts(field):
    """Return a field the way schema.json writes it."""
    label = "required" if field.is_required else "repeated" if field.is_repeated else "optional"
    named = field.message_type or field.enum_type
    kind = named.full_name.removeprefix("caffe.") if named else TYPES[field.type]
    facts = {"name": field.name, "number": field.number, "label": label, "type": kind}
    if field.has_default_value:
        value = field.default_value
        if kind == "float":
            value = float(np.float32(value))  # protobuf's Python implementation keeps a double
        facts["default"] = (
            field.enum_type.values_by_number[value].name if field.enum_type else value
        )
    if field.is_packed:
        facts["packed"] = True
    return facts


def enum_facts(enum):
    return {value.name: value.number for value in enum.values}


def test_package_and_messages():
    assert pb.DESCRIPTOR.package == FACTS["package"]
    assert FACTS["syntax"] == "proto2"
    assert len(FACTS["messages"]) == 63
    assert set(pb.DESCRIPTOR.message_types_by_name) == set(FACTS["messages"])
    enums = {name: enum_facts(e) for name, e in pb.DESCRIPTOR.enum_types_by_name.items()}
    assert enums == FACTS["enums"]


@pytest.mark.parametrize("name", FACTS["messages"])
def test_message(name):
    facts = FACTS["messages"][name]
    descriptor = pb.DESCRIPTOR.message_types_by_name[name]
    assert set(facts) <= {"fields", "enums"}
    assert [field_facts(f) for f in descriptor.fields] == facts["fields"]
    enums = {enum.name: enum_facts(enum) for enum in descriptor.enum_types}
    assert enums == facts.get("enums", {})
    assert not descriptor.nested_types


def generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "tools/generate_schema.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_source_has_not_changed_since_generation():
    assert generator().digest() == pb.SOURCE_SHA256


def test_generation_again_gives_the_same_module():
    pytest.importorskip("grpc_tools", exc_type=ImportError)
    program = "import generate_schema; print(generate_schema.generate(), end='')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT / "tools",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == (ROOT / "protonet/schema/caffe_pb2.py").read_text()


def test_module_level_names():
    assert (pb.TRAIN, pb.TEST) == (0, 1)
    assert pb.V1LayerParameter.CONVOLUTION == 4
    assert pb.PoolingParameter.AVE == 1
    assert pb.Phase.Name(1) == "TEST"


def test_messages_can_be_pickled():
    net = pb.NetParameter(name="n", layer=[pb.LayerParameter(name="l", phase=pb.TEST)])
    assert pickle.loads(pickle.dumps(net)) == net


OURS = """
from protonet.schema.read import parse_net
def ours():
    net = parse_net('layer { name: "i" type: "Input" input_param { shape { dim: 3 } } }').message
    assert list(net.layer[0].input_param.shape[0].dim) == [3]
"""
THEIRS = """
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
def theirs():
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    message = file.message_type.add(name="BlobShape")
    message.field.add(name="other", number=1, type=9, label=1)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    theirs = message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.BlobShape"))
    assert theirs(other="x").other == "x"
"""
ORDERS = {
    "ours_first": OURS + "ours()" + THEIRS + "theirs()\nours()",
    "theirs_first": THEIRS + "theirs()" + OURS + "ours()\n",
}


@pytest.mark.parametrize("program", ORDERS.values(), ids=ORDERS)
def test_another_caffe_blob_shape_in_the_process(program):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
