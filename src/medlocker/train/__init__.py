"""Train surrogates to search against, and lesion segmenters. Needs the extra ``torch``, or ``segment``."""

from medlocker.errors import MissingExtraError

try:
    import safetensors  # noqa: F401
    import timm  # noqa: F401
    import torch  # noqa: F401
except ImportError as error:
    raise MissingExtraError(error.name or "torch", "torch") from error

from medlocker.metrics import Metrics, measure
from medlocker.train._classifier import TrainObserver, TrainOptions, TrainResult, train_classifier
from medlocker.train._samples import Found, Sample, read_names
from medlocker.train._segmenter import (
    SegmenterObserver,
    SegmenterOptions,
    SegmenterResult,
    train_segmenter,
)
from medlocker.train._segmenter_data import MaskedFolder
from medlocker.train._segmenter_network import SegmentationNetwork
from medlocker.train.backbone import Backbone, Weights

__all__ = [
    "Backbone",
    "Found",
    "MaskedFolder",
    "Metrics",
    "Sample",
    "SegmentationNetwork",
    "SegmenterObserver",
    "SegmenterOptions",
    "SegmenterResult",
    "TrainObserver",
    "TrainOptions",
    "TrainResult",
    "Weights",
    "measure",
    "read_names",
    "train_classifier",
    "train_segmenter",
]
