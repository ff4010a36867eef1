"""Diagnostic models: the protocol, model cards, and one adapter per library."""

from medlocker.classifiers._base import BaseClassifier
from medlocker.classifiers._batch import BATCH, answers_of, batch_for, in_batches, logits_of
from medlocker.classifiers._converted import with_gradients
from medlocker.classifiers._features import SAMPLE_IMAGES, with_prototypes
from medlocker.classifiers._load import is_named, load_classifier
from medlocker.classifiers._onnx import OnnxClassifier, load_onnx
from medlocker.classifiers._prototypes import Prototypes
from medlocker.classifiers._users import CheckedClassifier, checked_classifier, find_classifier
from medlocker.classifiers.abilities import (
    Features,
    features_of,
    has_gradients,
    is_feature_extractor,
    prototypes_of,
    runs_on_gpu,
    torch_form,
    without_gradients,
)
from medlocker.classifiers.card import Card, InputSpec, card_path, load_card, parse_card
from medlocker.classifiers.protocol import (
    Canvas,
    Classifier,
    Gradients,
    WithDevice,
    WithFeatures,
    WithGradients,
)
from medlocker.classifiers.resize import LinearResize, linear_resize, resize_canvas

__all__ = [
    "BATCH",
    "SAMPLE_IMAGES",
    "BaseClassifier",
    "Canvas",
    "Card",
    "CheckedClassifier",
    "Classifier",
    "Features",
    "Gradients",
    "InputSpec",
    "LinearResize",
    "OnnxClassifier",
    "Prototypes",
    "WithDevice",
    "WithFeatures",
    "WithGradients",
    "answers_of",
    "batch_for",
    "card_path",
    "checked_classifier",
    "features_of",
    "find_classifier",
    "has_gradients",
    "in_batches",
    "is_feature_extractor",
    "is_named",
    "linear_resize",
    "load_card",
    "load_classifier",
    "load_onnx",
    "logits_of",
    "parse_card",
    "prototypes_of",
    "resize_canvas",
    "runs_on_gpu",
    "torch_form",
    "with_gradients",
    "with_prototypes",
    "without_gradients",
]
