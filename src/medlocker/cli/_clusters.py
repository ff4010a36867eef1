"""Feature extractors among the models of a command: their classes are clusters of the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medlocker.classifiers import Classifier, is_feature_extractor, prototypes_of
from medlocker.cli._console import warn
from medlocker.cli._labels import label_indices
from medlocker.cli._progress import image_progress
from medlocker.labels import Labels
from medlocker.release import Inputs, cluster_features, images_to_sample


def with_clusters(
    classifiers: Sequence[Classifier], inputs: Inputs, *, workers: int, batch: int
) -> list[Classifier]:
    """Make classifiers of all feature extractors, with a progress bar if there are any."""
    if not any(map(is_feature_extractor, classifiers)):
        return list(classifiers)
    with image_progress("clustering", images_to_sample(classifiers, inputs)) as bar:
        return cluster_features(classifiers, inputs, workers=workers, batch=batch, progress=bar.advance)


def indices_or_own(
    labels: Labels | None, classifiers: Sequence[Classifier]
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
        warn("the labels are not used: with a feature extractor, the class of an image is its own cluster")
    found = iter(label_indices(labels, named))
    return tuple(next(found) if prototypes_of(model) is None else None for model in classifiers)


def outcome_line(model: Classifier, *, correct: int, fooled: int) -> str:
    """Return what a run did to one model, as a sentence for the user."""
    if prototypes_of(model) is None:
        return f"{model.name}: right on {correct} originals, wrong on {fooled} of those once marked"
    return (
        f"{model.name}: cluster changed on {fooled} of {correct} images; "
        "whether that misleads a diagnosis only `evaluate` tells"
    )
