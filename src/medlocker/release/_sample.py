"""Feature extractors of a run: clusters of its own images become their classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from medlocker.classifiers import SAMPLE_IMAGES, Canvas, Classifier, is_feature_extractor, with_prototypes
from medlocker.errors import InputError
from medlocker.files import read_limited
from medlocker.formats import read_image
from medlocker.images import LIMITS, viewed
from medlocker.release._inputs import Input, Inputs
from medlocker.search import file_threads


def cluster_features(
    classifiers: Sequence[Classifier],
    inputs: Inputs,
    *,
    workers: int = 2,
    batch: int = 16,
    progress: Callable[[], None] = lambda: None,
) -> list[Classifier]:
    """Return the models, every feature extractor among them made a classifier of clusters.

    The sample is spread evenly over the inputs in their order, so a resumed run finds the same clusters.

    Args:
        workers: Threads that read.
        batch: Most pictures in one call of a model.
        progress: Called after each image; :func:`images_to_sample` tells how often in all.

    Raises:
        InputError: If none of the sampled images can be read.
        ModelError: If an extractor fails or sees no difference between the images.
    """
    made = []
    for model in classifiers:
        if is_feature_extractor(model):
            canvases = _canvases(model, _sampled(inputs), workers=workers, progress=progress)
            model = with_prototypes(model, canvases, batch=batch)
        made.append(model)
    return made


def images_to_sample(classifiers: Sequence[Classifier], inputs: Inputs) -> int:
    """Return how many images :func:`cluster_features` will read."""
    return len(_sampled(inputs)) * sum(map(is_feature_extractor, classifiers))


def _sampled(inputs: Inputs) -> list[Input]:
    items = inputs.items
    count = min(len(items), SAMPLE_IMAGES)
    return [items[i * len(items) // count] for i in range(count)]


def _canvases(
    model: Classifier, items: Sequence[Input], *, workers: int, progress: Callable[[], None]
) -> Iterator[Canvas]:
    def read(item: Input) -> Canvas | None:
        try:
            data = read_limited(item.path, max_bytes=LIMITS.max_file_bytes, what="image")
            return model.canvas(viewed(read_image(data, name=item.name)))
        except InputError:
            return None  # the run itself will say so of this image

    found = 0
    with file_threads(workers) as threads:
        # only canvases are kept, never whole images
        for canvas in threads.map(read, items):
            progress()
            if canvas is not None:
                found += 1
                yield canvas
    if not found:
        raise InputError(f"none of the {len(items)} images looked at for model {model.name} can be read")
