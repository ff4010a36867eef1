"""`medlocker protect`: mark a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medlocker.cli._console import print_json
from medlocker.cli._dicomweb import (
    AuthOption,
    CaOption,
    PartialOption,
    PushAuthOption,
    PushOption,
    Transfers,
)
from medlocker.cli._interrupts import interruptible_imports
from medlocker.cli._options import (
    Anatomy,
    AsJson,
    Batch,
    Decoys,
    ImageColumn,
    LabelColumn,
    Margin,
    MaxArea,
    MaxMarks,
    Objective,
    TextureBound,
)
from medlocker.cli._panels import CERTIFICATE, INPUT, KEEP_OUT, MARKS, RUN, SEARCH
from medlocker.cli._progress import Telling
from medlocker.errors import InputError, WriteError
from medlocker.options import (
    LEAST_PSNR_DB,
    EngineName,
    MissingRegions,
    Placement,
    Preset,
    ProvenanceName,
    StyleName,
)

EXAMPLES = """
[bold]Examples[/bold]

medlocker key new --out hospital
medlocker protect fundus/ --model dr.onnx --regions lesions.csv --owner hospital --out release
medlocker protect fundus/ --lesions fundus --owner hospital --out release --preview 12
medlocker protect fundus/ --model surrogate --segmenter segmenter --owner hospital --out release
medlocker protect fundus/ --lesions fundus --owner hospital --out release
medlocker protect dicomweb:https://pacs/dicom-web/studies/1.2.3 --model ct.onnx --owner hospital --out r

[bold]What it promises[/bold]: a mark makes unauthorised analysis more expensive and proves origin. It is no
access control: removing marks by inpainting, or training on marked images, still works.
"""


def protect(
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT", help="Image, folder, text file with one path a line, or dicomweb:URL."
        ),
    ],
    owner: Annotated[
        Path, typer.Option(help="NAME of the owner's keys, from `medlocker key new --out NAME`.")
    ],
    out: Annotated[
        Path,
        typer.Option(help="Folder of the release: new or empty, or one that an interrupted run left."),
    ],
    model: Annotated[
        list[Path] | None,
        typer.Option(
            "--model",
            help="Classifier to mislead: .onnx, torch weights, or a folder from `train`. Repeatable. "
            "Preset veil works without. Or your own: package.module:Class.",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="CSV `image,<label>` of right answers; default the model's own answers."),
    ] = None,
    regions: Annotated[
        Path | None,
        typer.Option(
            help="Regions that stay free: masks, CSV, COCO, LabelMe or VIA JSON, YOLO, VOC, or DICOM SEG."
        ),
    ] = None,
    logo: Annotated[
        Path | None,
        typer.Option(
            help="Picture, best a PNG with transparency, or a folder from `prepare`; default a padlock."
        ),
    ] = None,
    preset: Annotated[
        Preset,
        typer.Option(
            help="veil: translucent lattice over the image; strong: a few textured logos; "
            "paper: one plain logo."
        ),
    ] = "veil",
    copies: Annotated[
        list[Path] | None,
        typer.Option(
            "--with",
            metavar="PATH",
            help="Copy this file or folder into the release as it is, for instance masks or tables; "
            "restoring writes it again. Repeatable. Originals of the images are refused.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    without_companions: Annotated[
        bool,
        typer.Option(
            "--without-companions",
            help="Leave out DICOM SEG, RTSTRUCT, presentation states, key objects and reports of INPUT. Else "
            "those about marked images are copied, with new references: they tell diagnoses to everybody who "
            "gets the release.",
            rich_help_panel=INPUT,
        ),
    ] = False,
    label_column: LabelColumn = None,
    image_column: ImageColumn = None,
    auth: AuthOption = None,
    ca: CaOption = None,
    partial: PartialOption = False,
    size: Annotated[
        float | None,
        typer.Option(
            help="Logo's longer side / image's shorter side; default 0.25. Veil: of one copy.",
            rich_help_panel=MARKS,
        ),
    ] = None,
    opacity: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="LOW HIGH",
            help="Range of the opacity, 0 to 1; default 0.39 0.8. Veil: HIGH, best at most 0.2.",
            rich_help_panel=MARKS,
        ),
    ] = None,
    legibility: Annotated[
        float,
        typer.Option(
            "--min-psnr",
            help="Veil: smallest PSNR of a marked image in dB; opacity is lowered to reach it.",
            rich_help_panel=MARKS,
        ),
    ] = LEAST_PSNR_DB,
    style: Annotated[
        StyleName,
        typer.Option(
            help="Veil: auto tries a few styles on a sample of at least 8 images; shipped uses the built-in "
            "style.",
            rich_help_panel=MARKS,
        ),
    ] = "auto",
    placement: Annotated[
        Placement,
        typer.Option(
            "--marks-per",
            help="series: all slices of a DICOM series get the same marks (safer); image: each gets its own.",
            rich_help_panel=MARKS,
        ),
    ] = "series",
    min_size: Annotated[
        float | None,
        typer.Option(
            help="Not veil: smallest size where there is little room; default 0.125.", rich_help_panel=MARKS
        ),
    ] = None,
    marks: MaxMarks = None,
    max_area: MaxArea = None,
    rotation: Annotated[
        int | None,
        typer.Option(
            "--max-rotation",
            help="Not veil: largest random rotation in degrees; default 15, paper 0.",
            rich_help_panel=MARKS,
        ),
    ] = None,
    levels: TextureBound = None,
    harden: Annotated[
        bool,
        typer.Option(
            "--harden",
            help="Secret warp and texture: somebody who knows the logo cannot subtract it.",
            rich_help_panel=MARKS,
        ),
    ] = False,
    warp: Annotated[
        float | None,
        typer.Option(
            "--harden-warp", help="Strength of that warp, share of the logo's size.", rich_help_panel=MARKS
        ),
    ] = None,
    texture: Annotated[
        int | None,
        typer.Option(
            "--harden-texture",
            help="Strength of that texture: standard deviation in grey levels.",
            rich_help_panel=MARKS,
        ),
    ] = None,
    opaque: Annotated[
        float | None,
        typer.Option(
            "--harden-opaque", help="Share of the logo made fully opaque, 0 to 1.", rich_help_panel=MARKS
        ),
    ] = None,
    missing_regions: Annotated[
        MissingRegions | None,
        typer.Option(
            help="Images of which --regions says nothing: keep candidates out there (as --lesions auto; the "
            "default, unless --segmenter or your own --lesions looks at them), none, or refuse the run.",
            rich_help_panel=KEEP_OUT,
        ),
    ] = None,
    margin_px: Margin = 0,
    segmenter: Annotated[
        Path | None,
        typer.Option(
            help="Network that finds lesions: a folder from `train segmenter`, or .onnx.",
            rich_help_panel=KEEP_OUT,
        ),
    ] = None,
    lesions: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Without --regions and --segmenter, find possible lesions: auto, fundus, skin, attention, "
            "none. Or a finder of your own, beside --regions too: package.module:Class.",
            rich_help_panel=KEEP_OUT,
        ),
    ] = None,
    anatomy: Anatomy = False,
    decoys: Decoys = True,
    search: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="auto (gradients if the model has them), random, evolution, bhe, screened, gradient, "
            "texture, square. Or your own: package.module:Class.",
            rich_help_panel=SEARCH,
        ),
    ] = "auto",
    budget: Annotated[
        int | None,
        typer.Option(
            help="Most model evaluations for one image; default 56 for each model, veil 1 for each, "
            "paper 128 in all.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(
            help="Logit margin by which the wrong class must win; default 3, paper 0.2.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    aim: Objective = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--robust-to",
            help="Changes that marks must survive, with commas: jpeg, blur, resize, crop, flip, denoise, "
            "inpaint. Or your own: package.module:Class.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    bear_shrinking: Annotated[
        bool,
        typer.Option(
            "--robust-to-downscaling",
            help="Small images must mislead after halving and enlarging too; doubles the cost.",
            rich_help_panel=SEARCH,
        ),
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(help="Repeat a search exactly; default secret random numbers.", rich_help_panel=SEARCH),
    ] = None,
    keep_original: Annotated[
        bool,
        typer.Option(
            "--keep-original",
            help="Store the original files too, encrypted: every file is restored byte for byte.",
            rich_help_panel=CERTIFICATE,
        ),
    ] = False,
    keep_metadata: Annotated[
        list[str] | None,
        typer.Option(
            "--keep-metadata",
            metavar="NAME",
            help="Publish metadata of this kind unchanged, although they may contain the original image: "
            "private, text, exif, xmp, profiles, overlays, waveforms, trailing, or all; repeatable. The "
            "certificate says so. What else is not known to be harmless is encrypted, and restored.",
            rich_help_panel=CERTIFICATE,
        ),
    ] = None,
    provenance: Annotated[
        ProvenanceName,
        typer.Option(
            help="What marked files say of themselves in their format's own terms. standard: the program and "
            "the release; c2pa: signed content credentials too. They say nothing of the originals.",
            rich_help_panel=CERTIFICATE,
        ),
    ] = "standard",
    ledger: Annotated[
        bool,
        typer.Option(
            "--ledger/--no-ledger",
            help="Refuse images that another release has marked: two different marks reveal the original.",
            rich_help_panel=CERTIFICATE,
        ),
    ] = True,
    same_mark: Annotated[
        bool,
        typer.Option(
            "--allow-identical-mark",
            help="Accept images of another release if they get exactly the same mark again.",
            rich_help_panel=CERTIFICATE,
        ),
    ] = False,
    give_up: Annotated[
        list[str] | None,
        typer.Option(
            "--abandon-run",
            metavar="ID",
            help="Free the images of a run that will never finish. Only if none of its files was given away.",
            rich_help_panel=CERTIFICATE,
        ),
    ] = None,
    needs_review: Annotated[
        bool,
        typer.Option(
            "--needs-review",
            help="Let `grant` and `push` refuse every image that nobody approved in `medlocker review`.",
            rich_help_panel=CERTIFICATE,
        ),
    ] = False,
    redo: Annotated[
        Path | None,
        typer.Option(
            "--redo",
            metavar="RELEASE",
            help="Mark only the images again for which the review of this earlier release asked for another "
            "mark. Needs the same INPUT; implies --needs-review.",
            rich_help_panel=CERTIFICATE,
        ),
    ] = None,
    preview: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=100,
            help="Try options: mark N images, evenly spread, for a private page OUT.preview.html. Nothing is "
            "claimed and no release is made.",
            rich_help_panel=RUN,
        ),
    ] = None,
    push: PushOption = None,
    push_auth: PushAuthOption = None,
    workers: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            max=1024,
            help="Processes that work at the same time; each loads the models. The result is the same.",
            rich_help_panel=RUN,
        ),
    ] = 1,
    engine: Annotated[
        EngineName,
        typer.Option(
            help="ray: use the Ray cluster in RAY_ADDRESS, or all cores here. The result is the same.",
            rich_help_panel=RUN,
        ),
    ] = "local",
    batch: Batch = None,
    json: AsJson = False,
) -> None:
    """Lay your logo over every image: people still read it, models read little of it."""
    with interruptible_imports():
        from medlocker.api.keepout import KeepOut
        from medlocker.api.protection import Protection
        from medlocker.api.protectoptions import labels_of, look_of, prepared_of
        from medlocker.cli._protectoptions import attack_names, harden_of
        from medlocker.cli._protectoutput import say_preview, say_result
        from medlocker.protect import Settings

    if push is not None and (needs_review or redo is not None):
        raise InputError("--push cannot be used with --needs-review: review first, then `medlocker push`")
    if preview is not None and push is not None:
        raise InputError("--preview cannot be used with --push: nothing is there to be sent")
    prepared = prepared_of(logo, preset)
    settings = Settings(
        preset=preset,
        size=size,
        min_size=min_size,
        opacity=opacity,
        legibility=legibility,
        decoys=decoys,
        search=search,
        budget=budget,
        margin=confidence,
        levels=levels,
        marks=marks,
        max_area=max_area,
        rotation=rotation,
        against=attack_names(against),
        bear_shrinking=bear_shrinking,
        placement=placement,
        seed=seed,
        harden=harden_of(harden, warp=warp, texture=texture, opaque=opaque),
        keep_original=keep_original,
        keep_metadata=tuple(dict.fromkeys(keep_metadata or ())),
        provenance=provenance,
        **look_of(prepared, aim=aim),
    )
    protection = Protection(
        owner=owner,
        out=out,
        settings=settings,
        models=model or [],
        labels=labels_of(labels, column=label_column, image_column=image_column),
        sources=(labels,) if labels else (),
        keep_out=KeepOut(regions, margin_px, segmenter, lesions, anatomy, missing_regions),
        logo=logo,
        prepared=prepared,
        chooses_style=style == "auto",
        workers=workers,
        engine=engine,
        batch=batch,
        ledger=ledger,
        same_mark=same_mark,
        give_up=give_up or (),
        needs_review=needs_review,
        redo=redo,
        companions=not without_companions,
        copies=copies or (),
        listener=Telling(),
    )
    public = protection.keys.signing.public
    transfers = Transfers(
        source,
        out,
        push=push,
        auth=auth,
        push_auth=push_auth,
        ca=ca,
        partial=partial,
        companions=not without_companions,
    )
    if transfers.resume_push(public, as_json=json):
        return
    images = transfers.fetch()
    if preview is not None:
        raise typer.Exit(say_preview(protection.preview(images, count=preview), as_json=json))
    try:
        done = protection.run(images)
    except WriteError as error:
        if json:
            print_json({"error": str(error), "code": error.code})
        raise WriteError(
            str(error),
            hint=error.hint or "solve this problem and repeat the command: it continues where it stopped",
        ) from error
    transfers.finish(public, done.result.json)
    say_result(done.result, done.run, as_json=json)
    transfers.close(done.result.exit_code, as_json=json)
