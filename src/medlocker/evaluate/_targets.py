"""The models that are asked: opened, named, and made to understand the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from medlocker.classifiers import Classifier, find_classifier, is_named, load_classifier
from medlocker.errors import Failure, InputError, MedlockerError, ModelError
from medlocker.evaluate._pairs import different_names
from medlocker.files import sha256_of
from medlocker.labels import Labels, class_indices
from medlocker.modelfiles.onnxdata import model_digest, model_files
from medlocker.plugins import type_name

_WEIGHTS = frozenset({".onnx", ".safetensors", ".pt", ".pth"})


@dataclass(frozen=True, eq=False)
class Target:
    """One model to judge on.

    Args:
        name: Different for every target of an evaluation.
        indices: From label text to class index.
        fingerprints: SHA-256 of every file that holds its weights: ``train`` writes two.
        path: Where it was opened; a folder of ``train`` also holds a form with gradients.
    """

    model: Classifier
    name: str
    indices: Mapping[str, int]
    fingerprints: frozenset[str]
    notes: tuple[str, ...] = ()
    path: Path | None = None

    def is_one_of(self, surrogates: Sequence[tuple[str, str]]) -> bool:
        """Tell whether a release was searched on this model."""
        return any(sha256 in self.fingerprints for _, sha256 in surrogates)


def open_targets(
    models: Sequence[Path | Classifier], labels: Labels
) -> tuple[tuple[Target, ...], tuple[Failure, ...]]:
    """Open all models that can be opened.

    Args:
        models: As for :func:`medlocker.classifiers.load_classifier`; or classifiers of the user's own.
        labels: What they will be compared with.

    Returns:
        The targets, and why the others cannot be used.

    Raises:
        ModelError: If none can be used.
    """
    opened: list[tuple[Path | None, Classifier, Mapping[str, int], tuple[str, ...]]] = []
    failed: list[Failure] = []
    hint = ""
    for given in models:
        path = given if isinstance(given, Path) else None
        called = path.name if path is not None else type_name(given)
        try:
            model = find_classifier(given) if not isinstance(given, Path) else _open(given)
            found = class_indices(labels, model.classes)
        except (ModelError, InputError) as error:
            reason = str(error) if error.subject == called else f"model {called}: {error}"
            failed.append(Failure(called, reason, error.code, called))
            hint = hint or error.hint
        else:
            opened.append((path, model, found.indices, (*model.notes, *found.notes)))
    if not opened:
        raise _none_of(failed, hint)
    names = different_names([model.name for _, model, _, _ in opened])
    targets = tuple(
        Target(model, name, indices, _fingerprints(path, model), notes, path)
        for name, (path, model, indices, notes) in zip(names, opened, strict=True)
    )
    return targets, tuple(failed)


def _none_of(failed: Sequence[Failure], hint: str) -> MedlockerError:
    if not failed:
        return ModelError("expected at least one target")
    text = failed[0].reason if len(failed) == 1 else f"no target can be used; the first: {failed[0].reason}"
    return ModelError(text, hint=hint)


def _open(path: Path) -> Classifier:
    """Open a model; of a folder made by ``train`` the ONNX file, because only answers are wanted."""
    onnx = path / "model.onnx"
    model = load_classifier(onnx if onnx.is_file() else path)
    if onnx.is_file():
        model.name = path.name
    return model


def _fingerprints(path: Path | None, model: Classifier) -> frozenset[str]:
    """Hash the model's own file and its siblings: a release may name another form of the same weights."""
    if path is None or is_named(path):
        return frozenset({model.fingerprint})
    folder, stem = (path, "model") if path.is_dir() else (path.parent, path.stem)
    found = {model.fingerprint}
    for suffix in sorted(_WEIGHTS):
        file = folder / f"{stem}{suffix}"
        if file.is_file():
            with suppress(ModelError):  # one that cannot be opened is no form of this model
                found.add(model_digest(model_files(file)) if suffix == ".onnx" else sha256_of(file))
    return frozenset(found)
