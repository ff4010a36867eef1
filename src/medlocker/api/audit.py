"""`ml.audit`: was this model trained on the marked files of this release?"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medlocker.api.listener import Callback, Listener, as_listener
from medlocker.api.models import Model, as_classifiers
from medlocker.api.trust import load_access
from medlocker.arguments import AtLeastOne, AtLeastZero, checked_arguments
from medlocker.audit import Comparison, Marker, Sample, ask, choose, compare_with_others
from medlocker.certificates import Access, load_owner, load_verify_key, open_release, owner_access
from medlocker.classifiers import Classifier, batch_for, checked_classifier
from medlocker.errors import InputError, ModelError
from medlocker.labels import class_indices, load_labels
from medlocker.options import AUDITED_IMAGES, MOST_OTHERS, OTHER_MARKS, SIGNIFICANCE

LEAST_GROUPS = 10
"""Fewer images with marks of their own are too few to tell anything."""
_Path = str | os.PathLike[str]


@dataclass(frozen=True)
class Audited:
    """What a model's answers tell about what it was trained on.

    Args:
        release: Id of the release.
        model: Name of the model.
        comparison: Own marks against others.
        exact: Whether the p-value is exact. It is not where models may have chosen the marks; then it proves
            nothing, however small.
        alpha: Largest p-value that counts as evidence.
        images: How many images were asked about.
        groups: How many of them, or series of them, have marks of their own.
        others: With how many other marks each was compared.
        labelled: Whether labels said which answer is right.
        evaluations: Pictures through the model.
        failed: Images left out because they could not be restored or marked.
        seed: Of the sample and of the other marks.
        notes: What a reader should know.
    """

    release: str
    model: str
    comparison: Comparison
    exact: bool
    alpha: float
    images: int
    groups: int
    others: int
    labelled: bool
    evaluations: int
    failed: int
    seed: int
    notes: tuple[str, ...] = ()

    @property
    def found(self) -> bool:
        """Whether there is evidence that the model was trained on the marked files: an exact p-value."""
        return self.exact and self.comparison.p_value < self.alpha

    @property
    def facts(self) -> dict[str, Any]:
        """All that was found out, as `medlocker audit --json` prints it."""
        values = asdict(self)
        compared = values.pop("comparison")
        return {"found": self.found, **compared, **values, "notes": list(self.notes)}


@checked_arguments
def audit(
    model: Model,
    *,
    release: _Path,
    owner: _Path,
    identity: _Path | None = None,
    grant: _Path | None = None,
    labels: _Path | None = None,
    label_column: str | None = None,
    image_column: str | None = None,
    images: AtLeastOne = AUDITED_IMAGES,
    others: AtLeastOne = OTHER_MARKS,
    alpha: float = SIGNIFICANCE,
    seed: AtLeastZero = 0,
    workers: AtLeastOne = 2,
    batch: AtLeastOne | None = None,
    progress: Callback | Listener | None = None,
) -> Audited:
    """Tell whether a model was trained on the marked files of a release.

    Images are restored in memory and marked again: with their own marks, and with others of the same kind
    whose keys are new. A model that never saw the marked files cannot know which are the own ones.

    Args:
        model: A classifier, or the path of one.
        release: Its folder.
        owner: NAME of the owner's keys; with ``identity`` the owner's ``NAME.sign.pub``.
        identity: A private key that opens sealed records; None: the owner's.
        grant: What the owner granted to that key.
        labels: CSV file of the truth: finds more. None: the model's own answers.
        label_column: Of the labels, where it is not told by its name.
        image_column: Of the file names in the labels, likewise.
        images: Ask about at most so many images, drawn by chance.
        others: Compare each with so many other marks.
        alpha: Largest p-value that counts as evidence, above 0, below 1.
        seed: Of the sample and of the other marks.
        workers: Threads that mark.
        batch: Most pictures in one call of the model.
        progress: Called with what is counted, how many are done, and how many there are.

    Raises:
        InputError: If something given cannot be used, or there are too few images.
        ModelError: If the model cannot be read, or answers no numbers.
        CertificateError: If the owner did not sign the release, or the key does not open it.
    """
    if not 0 < alpha < 1:
        raise InputError(f"expected a significance above 0 and below 1, got {alpha:g}")
    if others > MOST_OTHERS:
        raise InputError(f"expected at most {MOST_OTHERS} other marks, got {others}")
    models = as_classifiers(model)
    if len(models) != 1:
        raise InputError(f"expected one model, got {len(models)}", hint="audit models one after the other")
    listener = as_listener(progress)
    access = _access(Path(release), Path(owner), identity, grant, listener=listener)
    classifier = checked_classifier(models[0])
    if len(classifier.classes) < 2:
        raise ModelError(
            f"{classifier.name}: expected a model of at least 2 classes", subject=classifier.name
        )
    for text in classifier.notes:
        listener.note(text)
    truth = _truth(classifier, labels, label_column, image_column, listener=listener)
    with listener.steps("record") as advance:
        sample = choose(
            access,
            lambda name: truth is None or truth(name) is not None,
            images=images,
            seed=seed,
            progress=lambda total: advance("opening records", 1, total),
        )
    _refuse_few(len(sample.members), access, sample)
    marker = Marker(access, access.release.logo(), (classifier,), others, seed, sample.faintness)
    with listener.steps() as advance:
        answers = ask(
            marker,
            sample.members,
            (truth or _unknown,),
            batch=batch or batch_for((classifier,)),
            workers=workers,
            progress=lambda: advance("asking the model", 1, len(sample.members)),
        )
    for failure in answers.failures:
        listener.note(f"failed: {failure}")
    scores = answers.scores[0]
    _refuse_few(len(scores), access, sample)
    for text in _notes(access, sample, answers.not_as_filed):
        listener.note(text)
    if (scores == scores[:, :1]).all():
        listener.warn("the model answers the same whatever the mark: nothing can be told")
    compared = compare_with_others(scores, seed=seed)
    return Audited(
        release=access.release.statement.release,
        model=classifier.name,
        comparison=compared,
        exact=sample.exact,
        alpha=alpha,
        images=answers.images,
        groups=len(scores),
        others=others,
        labelled=truth is not None,
        evaluations=answers.evaluations,
        failed=len(answers.failures),
        seed=seed,
        notes=tuple(listener.notes),
    )


def _access(
    release: Path, owner: Path, identity: _Path | None, grant: _Path | None, *, listener: Listener
) -> Access:
    if identity is not None:
        opened = open_release(release, load_verify_key(owner))
        return load_access(opened, Path(identity), None if grant is None else Path(grant), listener=listener)
    if grant is not None or owner.name.endswith(".pub"):
        raise InputError(
            f"{owner.name}: expected a private key: the marks are sealed",
            hint="give NAME of the owner's keys, or --identity KEY and --grant GRANT_DIR",
            subject=owner.name,
        )
    keys = load_owner(owner)
    return owner_access(open_release(release, keys.signing.public), keys.identity())


def _unknown(name: str) -> None:
    """Know no truth."""


def _truth(
    model: Classifier,
    labels: _Path | None,
    label_column: str | None,
    image_column: str | None,
    *,
    listener: Listener,
) -> Callable[[str], int | None] | None:
    """Return what tells the class of an original by its name."""
    if labels is None:
        return None
    table = load_labels(Path(labels), column=label_column, image_column=image_column)
    known = class_indices(table, model.classes)
    for text in known.notes:
        listener.note(text)

    def truth(name: str) -> int | None:
        label = table.for_name(name)
        return None if label is None else known.indices[label]

    return truth


def _refuse_few(count: int, access: Access, sample: Sample) -> None:
    if count >= LEAST_GROUPS:
        return
    name = access.release.path.name
    raise InputError(
        f"release {name}: expected at least {LEAST_GROUPS} images with marks of their own, got {count}",
        hint="; ".join(_left_out(sample)) or "fewer tell nothing of a model; ask about more with --images",
        subject=name,
    )


def _left_out(sample: Sample) -> list[str]:
    return [f"{count} images are left out: {why}" for why, count in sample.passed_over.items()]


def _notes(access: Access, sample: Sample, not_as_filed: int) -> list[str]:
    notes = _left_out(sample)
    if not sample.exact:
        notes.append(
            "models may have chosen these marks: the p-value is not exact, and alone it proves nothing; "
            "an exact one needs marks drawn by key alone (protect --preset veil)"
        )
    if not_as_filed:
        notes.append(f"{not_as_filed} images: this machine marks them a little differently from their files")
    return notes
