"""Caffe's messages, under Caffe's names."""

import sys

from protonet.schema import caffe_pb2

# so that `import caffe.proto.caffe_pb2` finds it as well as `from caffe.proto import caffe_pb2`
sys.modules[f"{__name__}.caffe_pb2"] = caffe_pb2

__all__ = ["caffe_pb2"]
