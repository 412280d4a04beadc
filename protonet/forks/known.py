"""Which fork of Caffe has a layer type that Caffe itself has not."""

from __future__ import annotations

_SSD = "SSD (weiliu89/caffe)"
_FAST = "Fast R-CNN (rbgirshick/caffe-fast-rcnn)"
_DEEPLAB = "DeepLab (deeplab-public-ver2)"
_SEGNET = "SegNet (alexgkendall/caffe-segnet)"
_FLOWNET = "FlowNet (lmb-freiburg/flownet2)"
_OPENPOSE = "OpenPose (CMU-Perceptual-Computing-Lab/caffe)"
_NVIDIA = "NVIDIA Caffe (NVIDIA/caffe)"
_PSPNET = "PSPNet (hszhao/PSPNet)"
_INTEL = "Intel's Caffe (intel/caffe)"

_TYPES = {
    _SSD: (
        "AnnotatedData DetectionEvaluate DetectionOutput MultiBoxLoss Normalize Permute PriorBox "
        "SmoothL1Loss VideoData"
    ),
    _FAST: "ROIPooling",
    "R-FCN (daijifeng001/caffe-rfcn)": "PSROIPooling BoxAnnotatorOHEM SmoothL1LossOHEM",
    "Faster R-CNN with C++ proposals (intel/caffe, Microsoft's caffe)": "Proposal",
    "Deformable R-FCN for Caffe": "DeformableConvolution DeformablePSROIPooling",
    "Mask R-CNN ports for Caffe": "ROIAlign ROIAlignment",
    _DEEPLAB: "ImageSegData SegAccuracy MatRead MatWrite DenseCRF DomainTransform UniqueLabel",
    _PSPNET: "Interp BNLayer",
    _SEGNET: "Upsample DenseImageData BN",
    _FLOWNET: (
        "Correlation Correlation1D FlowWarp ChannelNorm L1Loss Downsample Resample "
        "DataAugmentation GenerateAugmentationParameters FlowAugmentation CustomData Mean LpqLoss"
    ),
    _OPENPOSE: "ImResize Nms CPMData",
    _NVIDIA: "DetectNetTransformation DetectNetTransform L1LossGPU",
    _INTEL: "MnBatchNorm MultiNormalize",
    "SENet (hujie-frank/SENet)": "Axpy",
    "ShuffleNet ports (farmingyard/ShuffleNet)": "ShuffleChannel",
    "SphereFace (wy1iu/sphereface)": "MarginInnerProduct",
    "the centre loss for faces (ydwen/caffe-face)": "CenterLoss",
    "AM-Softmax and NormFace (happynear/caffe-windows)": "LabelSpecificAdd NormalizeFace Flip",
    "YOLO ports for Caffe": "Reorg Region YoloDetectionOutput Yolov3DetectionOutput Mish",
    "action recognition (yjxiong/caffe)": "SegmentedConsensus",
    "C3D (facebookarchive/C3D)": "Convolution3D Pooling3D VolumeData",
    "spatial transformer ports (daerduoCarey/SpatialTransformerLayer)": "SpatialTransformer",
    "ENet (TimoSaemann/caffe-enet)": "SpatialDropout PoolingIndices",
    "HED (s9xie/hed)": "AutoCrop ImageLabelmapData",
    "ICNet and GAN forks": "InstanceNorm GroupNorm",
    "triplet networks": "TripletLoss",
}
FORKS = {name: fork for fork, names in _TYPES.items() for name in names.split()}


def known_by(type_name: str) -> str:
    """Return ``", a layer of SSD (weiliu89/caffe)"`` for a type that a fork has, else ""."""
    fork = FORKS.get(type_name)
    return f", a layer of {fork}" if fork else ""


def like(old: str) -> str:
    """Return today's name of a type that a fork's second-generation file calls ``ROI_POOLING``."""
    bare = old.replace("_", "").lower()
    for name in FORKS:
        if name.lower() == bare:
            return name
    return old.title().replace("_", "")
