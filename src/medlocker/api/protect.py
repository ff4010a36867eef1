"""`ml.protect`: mark a data set."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medlocker.api.choices import one_of
from medlocker.api.keepout import KeepOut
from medlocker.api.listener import Callback, Listener, as_listener
from medlocker.api.logos import GivenLogo
from medlocker.api.protection import Protected, Protection
from medlocker.api.protectoptions import labels_of, look_of, prepared_of
from medlocker.api.searching import MarkStyle
from medlocker.arguments import AtLeastOne, AtLeastZero, checked_arguments
from medlocker.options import EngineName, MissingRegions, Placement, Preset, ProvenanceName
from medlocker.preparedveil import PreparedVeil
from medlocker.protect import Lesions, Settings

_Path = str | os.PathLike[str]


@checked_arguments
def protect(
    images: _Path,
    *,
    owner: _Path,
    out: _Path,
    models: _Path | Sequence[_Path] = (),
    labels: _Path | None = None,
    label_column: str | None = None,
    image_column: str | None = None,
    regions: _Path | None = None,
    missing_regions: MissingRegions | None = None,
    margin_px: AtLeastZero = 0,
    segmenter: _Path | None = None,
    lesions: Lesions | None = None,
    anatomy: bool = False,
    logo: GivenLogo = None,
    preset: Preset | MarkStyle = "veil",
    seed: int | None = None,
    keep_original: bool = False,
    provenance: ProvenanceName = "standard",
    placement: Placement = "series",
    workers: AtLeastOne = 1,
    engine: EngineName = "local",
    batch: AtLeastOne | None = None,
    ledger: bool = True,
    same_mark: bool = False,
    needs_review: bool = False,
    redo: _Path | None = None,
    companions: bool = True,
    copies: _Path | Sequence[_Path] = (),
    progress: Callback | Listener | None = None,
) -> Protected:
    """Mark every image of a data set and write a release, as `medlocker protect` does.

    An interrupted run is finished by the same call.

    Args:
        images: A file, a folder, or a list file.
        owner: NAME of the owner's keys, made by `medlocker key new`.
        out: Folder of the release: new, empty, or an interrupted run of the same.
        models: Paths of the models to mislead; a veil needs none. Not objects: a run may open them elsewhere.
        labels: CSV file of right classes; else the models' own answers.
        label_column: Of the labels, where it is not told by its name.
        image_column: Of the file names in the labels, likewise.
        regions: What no mark may touch: a file or folder as for the command.
        missing_regions: What is done with images of which the regions say nothing: ``refuse`` to mark any
            image, ``none`` is kept out there, or ``candidates`` are. None: candidates, unless a segmenter or
            a finder of your own looks into every image.
        margin_px: Every region grows by this.
        segmenter: Finds regions too: made by `medlocker train segmenter`.
        lesions: Which candidates are kept out where there are neither; None: ``auto``, of ``paper`` none.
        anatomy: Keep optic disc and macula of fundus photographs clear too.
        logo: (H, W, 3 or 4) uint8, the path of a picture, a folder made by `medlocker prepare`, or None.
        preset: ``veil``, ``strong`` or ``paper``, or a :class:`Veil` or :class:`Marks` with settings of its
            own. The name ``veil`` with models and at least 8 images tries a few styles on a sample first.
        seed: Repeats the search; None draws it from the release's secret.
        keep_original: Seal the original files too: restored byte for byte.
        provenance: What marked files say of themselves: ``standard``, in their formats' own terms; ``c2pa``:
            with signed content credentials too; or ``none``.
        placement: ``series``: the slices of a series carry the same marks; ``image``: each its own.
        workers: Processes that search.
        engine: ``local`` or ``ray``.
        batch: Most pictures in one call of a model.
        ledger: Refuse what another release has marked; off only for experiments.
        same_mark: Mark it again if the mark comes out the same.
        needs_review: Let only images that :func:`review` has approved be granted or sent on.
        redo: A release whose review asked for other marks: only those images are marked, as was asked.
        companions: Let segmentations, structure sets, presentation states, key objects and reports of the
            input that are about marked images travel with them, their references re-pointed. **They tell
            findings.**
        copies: Files and folders, masks or tables for instance, that travel as they are.
        progress: Called with what is counted, how many are done, and how many there are.

    Returns:
        Counts; what goes wrong with one image is told there and costs only that image.

    Raises:
        MedlockerError: If something given cannot be used, or the run cannot go on.
    """
    own = preset if isinstance(preset, MarkStyle) else None
    named = preset if isinstance(preset, str) else preset.settings.preset
    name: Preset = one_of(named, Preset, what="preset")
    prepared = prepared_of(Path(logo), name) if isinstance(logo, str | os.PathLike) else None
    if own is None:
        settings = Settings(preset=name, **look_of(prepared, aim=None))
    else:
        settings = own.settings
        if isinstance(prepared, PreparedVeil):
            settings = replace(settings, style=prepared.style, aim_class=prepared.aim_class)
    missing = missing_regions and one_of(missing_regions, MissingRegions, what="missing_regions")
    return Protection(
        owner=Path(owner),
        out=Path(out),
        settings=replace(
            settings,
            seed=seed,
            keep_original=keep_original,
            provenance=one_of(provenance, ProvenanceName, what="provenance"),
            placement=placement,
        ),
        models=_paths(models),
        labels=labels_of(
            None if labels is None else Path(labels), column=label_column, image_column=image_column
        ),
        sources=() if labels is None else (Path(labels),),
        keep_out=KeepOut(_path(regions), margin_px, _path(segmenter), lesions, anatomy, missing),
        logo=logo,
        prepared=prepared,
        chooses_style=own is None,
        workers=workers,
        engine=one_of(engine, EngineName, what="engine"),
        batch=batch,
        ledger=ledger,
        same_mark=same_mark,
        needs_review=needs_review,
        redo=_path(redo),
        companions=companions,
        copies=_paths(copies),
        listener=as_listener(progress),
    ).run(Path(images))


def _paths(given: _Path | Sequence[_Path]) -> tuple[Path, ...]:
    return (Path(given),) if isinstance(given, str | os.PathLike) else tuple(map(Path, given))


def _path(given: _Path | None) -> Path | None:
    return None if given is None else Path(given)
