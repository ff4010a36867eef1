"""From settings and pictures in memory to what was found: the pipeline of files, without files."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from medlocker.api.arrays import Array, Form, to_image
from medlocker.api.found import Found
from medlocker.api.logos import GivenLogo, as_logo
from medlocker.api.models import Models, as_classifiers
from medlocker.arguments import checked_arguments
from medlocker.classifiers import Classifier, batch_for
from medlocker.engines import make_search
from medlocker.errors import InputError
from medlocker.geometry import Box
from medlocker.images import Pixels
from medlocker.logo import Logo
from medlocker.protect import Job, Marked, Outcome, Protector, Settings, seeded
from medlocker.regions import regions_of
from medlocker.search import BatchScheduler

Label = int | str | None
"""The right class: its number, its name, or None for what the model itself answers on the original."""
_AT_ONCE = 8


class MarkStyle:
    """Settings of marks; calling it finds them for a picture.

    Args:
        settings: Checked.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @checked_arguments
    def __call__(
        self,
        models: Models,
        array: Array,
        *,
        keep_out: Sequence[Box] | None = None,
        label: Label = None,
        logo: GivenLogo = None,
        seed: int | None = None,
    ) -> Found:
        """Find the marks of one picture.

        Args:
            models: One model, several, or None where models are not needed.
            array: uint8 or uint16 with black 0: numpy (H, W), (H, W, 1) or (H, W, 3); torch (H, W), (1, H, W)
                or (3, H, W). It is not changed.
            keep_out: What no mark may touch; None where it is not known what must be kept out, which is not
                the same as an empty list.
            label: The right class, by number or name; None takes each model's answer on the original.
            logo: (H, W, 3 or 4) uint8, the path of a picture, or None for the built-in padlock.
            seed: 0 to 2**64 - 1; the same picture, settings and seed give the same marks. None draws them
                from the system's randomness, so that nobody can repeat them.

        Raises:
            InputError: If something given cannot be used, or the picture cannot be marked so.
            NoRoomError: If regions leave no room.
            ModelError: If a model cannot be used.
        """
        boxes = None if keep_out is None else [keep_out]
        return self.each(models, [array], keep_out=boxes, labels=[label], logo=logo, seed=seed)[0]

    @checked_arguments
    def each(
        self,
        models: Models,
        arrays: Any,
        *,
        keep_out: Sequence[Sequence[Box]] | None = None,
        labels: Sequence[Label] | None = None,
        logo: GivenLogo = None,
        seed: int | None = None,
    ) -> list[Found]:
        """Find the marks of several pictures, whose questions to the models share batches.

        Args:
            models: As for one picture.
            arrays: Pictures of any sizes, or one array or tensor (N, ...) of them.
            keep_out: By picture.
            labels: By picture.
            logo: As for one picture.
            seed: As for one picture.

        Returns:
            In the order of ``arrays``; the same as one call for each.

        Raises:
            InputError: As for one picture; the first that cannot be marked ends it.
        """
        count = len(arrays)
        for what, given in (("keep_out", keep_out), ("labels", labels)):
            if given is not None and len(given) != count:
                raise InputError(f"{what}: expected one entry for each of {count} pictures, got {len(given)}")
        classifiers = as_classifiers(models)
        if not classifiers and self.settings.preset != "veil":
            raise InputError("expected at least one model", hint="only ml.Veil does without a model")
        images, forms = zip(*map(to_image, arrays), strict=True) if count else ((), ())
        names = [f"picture {k}" for k in range(count)]
        found: dict[int, Found] = {}
        logo = as_logo(logo)

        def keep(marked: Marked, outcome: Outcome) -> None:
            k = outcome.index
            found[k] = _found(marked, outcome, logo=logo, form=forms[k], pixels=images[k].pixels)

        protector = Protector(
            classifiers=classifiers,
            logo=logo,
            settings=self.settings,
            search=make_search(self.settings, classifiers),
            regions=None if keep_out is None else regions_of(dict(zip(names, keep_out, strict=True))),
            randomness=partial(_random, secrets.token_bytes(32)) if seed is None else partial(seeded, seed),
            admit=_admit,
            commit=keep,
        )
        jobs = (
            Job(k, name, Path(name), name, Path(name), _indices(label, classifiers), image=image)
            for k, (name, label, image) in enumerate(
                zip(names, labels or [None] * count, images, strict=True)
            )
        )
        driver = BatchScheduler(classifiers, batch=batch_for(classifiers), in_flight=_AT_ONCE)
        for _ in driver.run(map(protector.steps, jobs)):
            pass
        return [found[k] for k in range(count)]


def _found(marked: Marked, outcome: Outcome, *, logo: Logo, form: Form, pixels: Pixels) -> Found:
    return Found(
        marks=marked.marks,
        logo=logo,
        fooled_by_model=outcome.fooled,
        correct_by_model=outcome.clean_correct,
        evaluations=outcome.evaluations,
        psnr=outcome.psnr or 0.0,
        shape=pixels.shape,
        dtype=str(pixels.dtype),
        _form=form,
        _residual=marked.residual,
        _original=marked.original_pixels,
        _marked=marked.marked_pixels,
    )


def _indices(label: Label, classifiers: Sequence[Classifier]) -> tuple[int | None, ...]:
    return tuple(_index(label, model) for model in classifiers)


def _index(label: Label, model: Classifier) -> int | None:
    if label is None:
        return None
    if isinstance(label, str):
        if label not in model.classes:
            raise InputError(f"label: expected a class of {model.name}, got {label!r:.40}")
        return model.classes.index(label)
    if not 0 <= label < len(model.classes):
        raise InputError(f"label: expected 0 to {len(model.classes) - 1} for {model.name}, got {label}")
    return int(label)


def _random(secret: bytes, purpose: str, original_digest: str) -> bytes:
    return hashlib.sha256(secret + f"{purpose} {original_digest}".encode("ascii")).digest()


def _admit(original_digest: str) -> None:
    """Admit every picture: a ledger is only for releases."""
