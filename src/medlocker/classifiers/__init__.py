"""Diagnostic models: the protocol, model cards, and one adapter per library."""

from medlocker.classifiers._base import BaseClassifier
from medlocker.classifiers._batch import BATCH, answers_of, batch_for, in_batches, logits_of
from medlocker.classifiers._converted import with_gradients
from medlocker.classifiers._features import (
    SAMPLE_IMAGES,
    is_feature_extractor,
    prototypes_of,
    with_prototypes,
)
from medlocker.classifiers._load import load_classifier
from medlocker.classifiers._onnx import OnnxClassifier, load_onnx
from medlocker.classifiers._prototypes import Prototypes
from medlocker.classifiers.card import Card, InputSpec, card_path, load_card, parse_card
from medlocker.classifiers.protocol import Canvas, Classifier, Gradients
from medlocker.classifiers.resize import LinearResize, linear_resize, resize_canvas

__all__ = [
    "BATCH",
    "SAMPLE_IMAGES",
    "BaseClassifier",
    "Canvas",
    "Card",
    "Classifier",
    "Gradients",
    "InputSpec",
    "LinearResize",
    "OnnxClassifier",
    "Prototypes",
    "answers_of",
    "batch_for",
    "card_path",
    "in_batches",
    "is_feature_extractor",
    "linear_resize",
    "load_card",
    "load_classifier",
    "load_onnx",
    "logits_of",
    "parse_card",
    "prototypes_of",
    "resize_canvas",
    "with_gradients",
    "with_prototypes",
]
