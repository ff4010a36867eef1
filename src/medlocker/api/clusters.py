"""Feature extractors among the models of a run, and what labels mean to each model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medlocker.api.listener import Listener
from medlocker.classifiers import Classifier, is_feature_extractor, prototypes_of
from medlocker.labels import Labels, class_indices
from medlocker.release import Inputs, cluster_features, images_to_sample


def with_clusters(
    classifiers: Sequence[Classifier], inputs: Inputs, *, workers: int, batch: int, listener: Listener
) -> list[Classifier]:
    """Make classifiers of all feature extractors."""
    if not any(map(is_feature_extractor, classifiers)):
        return list(classifiers)
    total = images_to_sample(classifiers, inputs)
    with listener.steps() as advance:
        return cluster_features(
            classifiers,
            inputs,
            workers=workers,
            batch=batch,
            progress=lambda: advance("clustering", 1, total),
        )


def label_indices(
    labels: Labels | None, classifiers: Sequence[Classifier], *, listener: Listener
) -> tuple[Mapping[str, int], ...]:
    """Return, per model, from a label's text to the index of its class; tells what was assumed.

    Raises:
        InputError: If a label is no class of a model.
    """
    if labels is None:
        return ()
    found = [class_indices(labels, classifier.classes) for classifier in classifiers]
    for text in dict.fromkeys(text for indices in found for text in indices.notes):
        listener.note(text)
    return tuple(indices.indices for indices in found)


def indices_or_own(
    labels: Labels | None, classifiers: Sequence[Classifier], *, listener: Listener
) -> tuple[Mapping[str, int] | None, ...]:
    """Return, per model, from a label's text to the index of its class; None for a model of clusters.

    Labels name classes of the diagnosis, which clusters are not: there the image's own cluster counts.

    Raises:
        InputError: If a label is no class of a model.
    """
    if labels is None or not classifiers:
        return ()
    named = [model for model in classifiers if prototypes_of(model) is None]
    if not named:
        listener.warn(
            "the labels are not used: with a feature extractor, the class of an image is its own cluster"
        )
    found = iter(label_indices(labels, named, listener=listener))
    return tuple(next(found) if prototypes_of(model) is None else None for model in classifiers)
