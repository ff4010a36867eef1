"""`ml.inspect`: what a file, a release, or a model holds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from medlocker.api.provenancefacts import provenance_facts
from medlocker.api.releasefacts import STATEMENT, release_facts
from medlocker.arguments import checked_arguments
from medlocker.classifiers import Classifier, has_gradients, is_feature_extractor, load_classifier
from medlocker.errors import InputError
from medlocker.files import mapped
from medlocker.formats import glance_image, read_image, release
from medlocker.images import LIMITS, content_digest
from medlocker.logo import LEARNED_FILE, LearnedLogo, load_learned
from medlocker.preparedveil import PreparedVeil, is_prepared_veil, load_prepared_veil
from medlocker.regions import Segmenter, is_segmenter, load_segmenter
from medlocker.release import FOLDER

_NOT_TRIED = "whether torch can rebuild it for gradients is not tested here: `protect` tests it"
_MOST_BYTES, _MOST_FRAMES = 75_000_000, 2_000
_NOT_DECODED = f"not worked out for more than {_MOST_BYTES // 1_000_000} MB or {_MOST_FRAMES} frames"
_MODEL_SUFFIXES = (".onnx", ".safetensors", ".pt", ".pth")


@checked_arguments
def inspect(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Tell what an image, a release, or a model contains, without changing or trusting it.

    Args:
        path: A file or a folder; what it is, is told by its content.

    Returns:
        What `medlocker inspect --json` prints: ``what`` it is, and facts in words of its kind. Of a release
        what its statement says, **its signature not checked**.

    Raises:
        InputError: If it is missing, damaged, or nothing that is known.
        ModelError: If it is a model that cannot be opened.
    """
    path = Path(path)
    if path.is_dir() or path.suffix.lower() in _MODEL_SUFFIXES:
        return _folder_facts(path)
    return _image_facts(path)


def _folder_facts(path: Path) -> dict[str, Any]:
    """Return the facts of what is a folder, or in a model's file."""
    if (path / STATEMENT).is_file():
        return release_facts(path)
    if (path / FOLDER).is_dir():
        return {
            "what": "unfinished release",
            "next": "repeat the `protect` command that made it to finish it",
        }
    if (path / LEARNED_FILE).is_file():
        return _learned_facts(load_learned(path))
    if is_prepared_veil(path):
        return _veil_facts(load_prepared_veil(path))
    if is_segmenter(path):
        return _segmenter_facts(load_segmenter(path))
    return _model_facts(load_classifier(path, features=True))


def _image_facts(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise InputError(f"{path.name}: no such file or folder", subject=path.name)
    content = mapped(path, max_bytes=LIMITS.max_file_bytes, what="image")
    seen = glance_image(content, name=path.name)
    size = len(content)
    if max(seen.pixel_bytes, size) > _MOST_BYTES or seen.frames > _MOST_FRAMES:
        return {
            "what": f"{seen.format} image",
            "width": seen.width,
            "height": seen.height,
            "bytes": size,
            "pixel digest": _NOT_DECODED,
            **seen.facts,
        }
    data = content[:]
    release(content)
    image = read_image(data, name=path.name)
    return {
        "what": f"{image.format} image",
        "width": image.width,
        "height": image.height,
        "bytes": len(data),
        "pixel digest": content_digest(image),
        **image.facts,
        **provenance_facts(image, path),
    }


def _model_facts(model: Classifier) -> dict[str, Any]:
    features = is_feature_extractor(model)
    answers = {"features": len(model.classes)} if features else {"classes": list(model.classes)}
    return {
        "what": "feature extractor" if features else "classifier",
        "name": model.name,
        "sha256": model.fingerprint,
        "input": f"{model.width} x {model.height}, {model.channels} channels",
        **answers,
        # not tried: rebuilding a model in torch takes seconds and much memory
        "gradients": has_gradients(model) or None,
        "notes": list(model.notes) if has_gradients(model) else [*model.notes, _NOT_TRIED],
    }


def _learned_facts(learned: LearnedLogo) -> dict[str, Any]:
    return {
        "what": "learned logo",
        "sha256": learned.digest,
        "made for": "grey images" if learned.grey else "coloured images",
        "levels": learned.levels,
        "classes": sorted(learned.textures),
        **learned.facts,
    }


def _veil_facts(prepared: PreparedVeil) -> dict[str, Any]:
    return {
        "what": "prepared veil",
        "sha256": prepared.digest,
        "made for": "grey images" if prepared.grey else "coloured images",
        "style": prepared.style.to_json(),
        "aim class": prepared.aim_class,
        **prepared.facts,
    }


def _segmenter_facts(segmenter: Segmenter) -> dict[str, Any]:
    return {"what": "lesion segmenter", "source": segmenter.source}
