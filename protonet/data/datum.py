"""Datums: the records of Caffe's image databases, decoded one at a time and with every check.

A Datum is a protobuf message with a shape, a label, and either bytes (one a value), floats, or
an encoded image (PNG, JPEG, ...). :mod:`protonet.data.batch` reads whole batches of the common
kinds faster; what it cannot read, or what is broken, comes here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from protonet.data.images import decode_image
from protonet.errors import DataError

Image = np.ndarray[Any, np.dtype[Any]]


def decode_datum(
    value: bytes, describe: Callable[[], str], color: bool | None = None
) -> tuple[Image, int]:
    """Decode one record.

    Args:
        value: the bytes of a Datum.
        describe: returns how messages name the record.
        color: for encoded images: True for three channels, False for grey, None for as they are.

    Returns:
        The image (C, H, W), uint8 or float32, colour as blue, green, red; and the label.

    Raises:
        DataError: not a Datum, or one that holds less than its shape says, or an image that
            cannot be decoded.
    """
    from google.protobuf.message import DecodeError

    from protonet.schema import caffe_pb2 as pb

    datum = pb.Datum()
    try:
        datum.ParseFromString(value)
    except DecodeError as error:
        raise DataError(f"{describe()} is not a Datum: its {len(value)} bytes do not parse") from (
            error
        )
    if datum.encoded:
        return decode_image(datum.data, lambda: f"{describe()}, encoded", color), datum.label
    shape = (datum.channels, datum.height, datum.width)
    if min(shape) < 1:
        raise DataError(
            f"{describe()} is not a Datum that Caffe could use: channels, height, width are {shape}"
        )
    image = (
        np.frombuffer(datum.data, np.uint8)
        if datum.data
        else np.array(datum.float_data, np.float32)
    )
    count = math.prod(shape)
    if image.size < count:
        raise DataError(
            f"{describe()} says that it has channels, height, width {shape}, {count} values, "
            f"but holds {image.size}"
        )
    return image[:count].reshape(shape), datum.label
