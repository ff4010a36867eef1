"""Labels: which class each image shows, from a CSV file, and how that text becomes a model's class index."""

from medlocker.labels._classes import ClassIndices, class_indices
from medlocker.labels._labels import Labels, order_classes
from medlocker.labels._read import LABEL_COLUMNS, MAX_LABEL_BYTES, load_labels

__all__ = [
    "LABEL_COLUMNS",
    "MAX_LABEL_BYTES",
    "ClassIndices",
    "Labels",
    "class_indices",
    "load_labels",
    "order_classes",
]
