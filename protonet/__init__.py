"""protonet: an interpreter for Caffe's files."""

__version__ = "0.1.0"
