"""OpenCV's way to run Caffe's nets, for those whose OpenCV no longer reads them.

The names are those of ``cv2.dnn``, which read Caffe's files up to version 4::

    from protonet import dnn

    net = dnn.readNetFromCaffe("deploy.prototxt", "net.caffemodel")
    net.setInput(dnn.blobFromImage(image, 1.0, (227, 227), (104, 117, 123)))
    scores = net.forward()
"""

from protonet.dnn.images import blobFromImage, blobFromImages, imagesFromBlob
from protonet.dnn.net import (
    DNN_BACKEND_CUDA,
    DNN_BACKEND_DEFAULT,
    DNN_BACKEND_INFERENCE_ENGINE,
    DNN_BACKEND_OPENCV,
    DNN_TARGET_CPU,
    DNN_TARGET_CUDA,
    DNN_TARGET_CUDA_FP16,
    DNN_TARGET_OPENCL,
    DNN_TARGET_OPENCL_FP16,
    Layer,
    Net,
    readNet,
    readNetFromCaffe,
)

__all__ = [
    "DNN_BACKEND_CUDA",
    "DNN_BACKEND_DEFAULT",
    "DNN_BACKEND_INFERENCE_ENGINE",
    "DNN_BACKEND_OPENCV",
    "DNN_TARGET_CPU",
    "DNN_TARGET_CUDA",
    "DNN_TARGET_CUDA_FP16",
    "DNN_TARGET_OPENCL",
    "DNN_TARGET_OPENCL_FP16",
    "Layer",
    "Net",
    "blobFromImage",
    "blobFromImages",
    "imagesFromBlob",
    "readNet",
    "readNetFromCaffe",
]
