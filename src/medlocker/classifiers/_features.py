"""Feature extractors as classifiers: for users without labels and without a model of the diagnosis.

A model whose card says ``"output": "features"`` opens as one whose "classes" are the numbers of its
embedding; :func:`with_prototypes` puts clusters of the user's own images in their place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from medlocker.classifiers._batch import in_batches
from medlocker.classifiers._prototypes import find_prototypes
from medlocker.classifiers.abilities import is_feature_extractor
from medlocker.classifiers.protocol import Canvas, Classifier
from medlocker.errors import ModelError

SAMPLE_IMAGES = 64
"""Images that prototypes are made of, at most."""
_BLUR = 1 / 16
"""Standard deviation / shorter side: colours and layout are left, no lesion is."""


def with_prototypes(model: Classifier, canvases: Iterable[Canvas], *, batch: int = 16) -> Classifier:
    """Turn a feature extractor into a classifier whose classes are clusters of the given images.

    The margin against the cluster of the clean image is above 0 where an embedding has come nearer to
    another cluster than to its own. Deterministic. One image alone is set against its own blur: what is left
    of it without details.

    Args:
        model: See :func:`is_feature_extractor`; a classifier is returned as it is.
        canvases: A sample of the user's images as the model sees them, best ``SAMPLE_IMAGES``.
        batch: Most canvases in memory at once.

    Raises:
        ModelError: If there is no canvas, or the model answers NaN or the same for all of them.
    """
    if not is_feature_extractor(model):
        return model
    # what decides the clusters, not their float values: those differ in the last bit between machines
    decided = hashlib.sha256(model.fingerprint.encode("ascii"))
    parts: list[NDArray[np.float32]] = []
    last: Canvas | None = None
    for some in in_batches(canvases, batch):
        for canvas in some:
            decided.update(np.ascontiguousarray(canvas).tobytes())
        parts.append(model.logits(np.stack(some)))
        last = some[-1]
    if last is None:
        raise ModelError(
            f"model {model.name}: expected images to make clusters of, got none", subject=model.name
        )
    alone = sum(map(len, parts)) == 1
    if alone:
        parts.append(model.logits(_blurred(last)[None]))
    found = find_prototypes(np.concatenate(parts), name=model.name)
    decided.update(found.logits(np.concatenate(parts)).argmax(axis=1).astype("<i8").tobytes())
    found = replace(found, digest=decided.hexdigest())
    size, count = len(model.classes), len(found.directions)
    against = "one image against its blur" if alone else f"{count} clusters of {found.sample} images"
    note = f"model {model.name}: a feature extractor of {size} numbers; its classes are {against}"
    return model.clustered(found, note=note)


def _blurred(canvas: Canvas) -> Canvas:
    blur = cv2.GaussianBlur(canvas, (0, 0), sigmaX=max(min(canvas.shape[:2]) * _BLUR, 1.0))
    return np.asarray(blur.reshape(canvas.shape), dtype=np.float32)
