"""`medlocker protect`: mark a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medlocker.certificates import Owner, load_owner
from medlocker.classifiers import batch_for, load_classifier, with_gradients
from medlocker.cli._choosing import FEWEST_IMAGES, StyleName, with_chosen_style
from medlocker.cli._chosenkept import keep_style, kept_style
from medlocker.cli._clusters import indices_or_own, with_clusters
from medlocker.cli._console import note, print_json, warn
from medlocker.cli._dicomweb import (
    AuthOption,
    CaOption,
    PartialOption,
    PushAuthOption,
    PushOption,
    Transfers,
)
from medlocker.cli._keepout import KeepOut
from medlocker.cli._labels import LabelColumn, labels_of
from medlocker.cli._logo import read_logo
from medlocker.cli._protectoptions import (
    EngineName,
    aim_of,
    attack_names,
    engine_maker,
    harden_of,
    open_ledger,
    prepared_of,
    veil_warnings,
)
from medlocker.cli._protecttold import run_with_progress, say_inputs, say_result, warn_of_nothing_found
from medlocker.engines import make_search, way_taken
from medlocker.errors import InputError, WriteError
from medlocker.logo import LearnedLogo
from medlocker.prepare import check_kind
from medlocker.preparedveil import PreparedVeil
from medlocker.protect import (
    LEAST_PSNR_DB,
    Aim,
    Lesions,
    Placement,
    Preset,
    SearchName,
    Settings,
)
from medlocker.release import Run, check_target, find_inputs, starting
from medlocker.veilstyle import DEFAULT_STYLE

_FILE_THREADS = 2
"""In each process; a search takes far longer than a file."""

_EXAMPLES = """
[bold]Examples[/bold]

  medlocker key new --out hospital
  medlocker protect fundus/ --model dr.onnx --regions lesions.csv --owner hospital --out release
  medlocker protect fundus/ --model surrogate --segmenter segmenter --owner hospital --out release
  medlocker protect fundus/ --model backbone.safetensors --owner hospital --out release
  medlocker protect fundus/ --preset veil --lesions fundus --owner hospital --out release
  medlocker protect eye.png --model dr.onnx --logo logo.png --owner hospital --out release --opacity 0.39 1
  medlocker protect dicomweb:https://pacs/dicom-web/studies/1.2.3 --model ct.onnx --owner hospital --out r

[bold]What it promises[/bold]: a mark raises the cost of unauthorised analysis and proves origin. It is not
access control: it cannot stop mask-and-inpaint or retraining, nor protect images whose originals are public.
"""


def protect(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="Image, folder, list file (one path a line), or dicomweb:URL of a study or series.",
        ),
    ],
    owner: Annotated[Path, typer.Option(help="NAME of the owner's keys, see `medlocker key new`.")],
    out: Annotated[
        Path, typer.Option(help="Folder of the release; new, empty, or an interrupted run of the same.")
    ],
    model: Annotated[
        list[Path] | None,
        typer.Option(
            "--model",
            help="Model to mislead: .onnx, torch weights, or a folder made by `train`; or a feature "
            'extractor, whose card says "output": "features". Repeatable. Preset veil needs none, but cannot '
            "say what it does without.",
        ),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="CSV `image,<label>`; else the model's own answer.")
    ] = None,
    label_column: LabelColumn = None,
    regions: Annotated[
        Path | None,
        typer.Option(help="Keep-out: folder of masks, CSV, COCO JSON, folder of YOLO text, or DICOM SEG."),
    ] = None,
    margin_px: Annotated[
        int, typer.Option("--margin", min=0, help="Grow every region by this many pixels.")
    ] = 0,
    segmenter: Annotated[
        Path | None,
        typer.Option(help="Finds regions too: folder made by `train segmenter`, or its .onnx file."),
    ] = None,
    lesions: Annotated[
        Lesions | None,
        typer.Option(
            help="Without --regions and --segmenter, keep out candidates, which are not a clinician's: of a "
            "fundus photograph, of a dermoscopy image, or what the model looks at. "
            "Default auto, for preset paper none."
        ),
    ] = None,
    anatomy: Annotated[
        bool,
        typer.Option(
            "--anatomy",
            help="Keep optic disc and macula of fundus photographs clear too, where classical means find "
            "them, not a clinician's.",
        ),
    ] = False,
    logo: Annotated[
        Path | None,
        typer.Option(
            help="Picture, best a PNG with alpha, or a folder made by `medlocker prepare`; default a padlock."
        ),
    ] = None,
    preset: Annotated[
        Preset,
        typer.Option(
            help="veil: the logo as a translucent lattice over all that is free; strong: up to three "
            "textured marks, searched for each image; paper: place and opacity of one plain logo."
        ),
    ] = "veil",
    size: Annotated[
        float | None,
        typer.Option(
            help="Longer side of the logo / shorter side of the image; of a veil, of one copy, then the "
            "same for all images. Default 0.25; of a veil what was prepared or ships with the program, "
            "where every image may have copies of another size."
        ),
    ] = None,
    min_size: Annotated[
        float | None,
        typer.Option(help="Shrink down to this where regions leave no room; default 0.125. Not for veils."),
    ] = None,
    opacity: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="LOW HIGH",
            help="Range of the opacity, 0 to 1; default 0.39 0.8. A veil has HIGH (at most 0.2 is advised), "
            "less, down to LOW, only where --legibility asks for it.",
        ),
    ] = None,
    style: Annotated[
        StyleName,
        typer.Option(
            help="How a veil looks where no prepared one is given. auto: with models and at least 8 images, "
            "a few styles are tried on a sample first, which takes some seconds; shipped: the one that comes "
            "with the program."
        ),
    ] = "auto",
    legibility: Annotated[
        float,
        typer.Option(
            help="Least PSNR of a veiled image, dB: a veil that would leave less becomes more transparent."
        ),
    ] = LEAST_PSNR_DB,
    aim: Annotated[
        Aim | None,
        typer.Option(
            help="What a veil is chosen for where --budget draws several: that all images get the same "
            "answer, one drawn by key for each, or a wrong one. Default what was prepared, else same. With "
            "two classes, a model that is always wrong is turned round by anybody."
        ),
    ] = None,
    decoys: Annotated[
        bool,
        typer.Option(
            "--decoys/--no-decoys",
            help="Keep a veil out of boxes by chance too, so that its holes do not tell where lesions are.",
        ),
    ] = True,
    search: Annotated[
        SearchName, typer.Option(help="Strategy; auto takes gradients where there are any.")
    ] = "auto",
    budget: Annotated[
        int | None,
        typer.Option(
            help="Most evaluations of one image's search; looking at original and result comes on top. "
            "Default 56 for each model, preset paper 128 in all; of a veil, looks at written files: default "
            "one for each model."
        ),
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(
            help="Logits by which the wrong class should win; more survives other resizing code. "
            "Default 3, preset paper 0.2."
        ),
    ] = None,
    levels: Annotated[
        int | None, typer.Option(help="Bound of the searched texture, grey levels; default 32, paper 0.")
    ] = None,
    marks: Annotated[
        int | None, typer.Option(help="Most separate marks on one image, 1 to 3; default 3, paper 1.")
    ] = None,
    max_area: Annotated[
        float | None,
        typer.Option(
            help="Further marks only while all together cover at most this share; default 0.12. "
            "Not for veils."
        ),
    ] = None,
    rotation: Annotated[
        int | None, typer.Option(help="Turn marks by up to so many degrees, by chance; default 15, paper 0.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="Attacks that the marks shall withstand, with commas: jpeg, blur, resize, crop, flip, "
            "denoise, inpaint. Each costs the search once more."
        ),
    ] = None,
    bear_shrinking: Annotated[
        bool,
        typer.Option(
            "--bear-shrinking",
            help="Images not much finer than a model must mislead when halved and enlarged too; costs twice.",
        ),
    ] = False,
    placement: Annotated[
        Placement,
        typer.Option(
            help="series: all slices of a DICOM series carry the same marks, as two differently marked near "
            "copies give each other away; image: each has its own."
        ),
    ] = "series",
    seed: Annotated[
        int | None, typer.Option(help="Repeat a search exactly; default secret randomness.")
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            min=1,
            max=1024,
            help="Images searched side by side, in processes that share the cores; same result. Each takes "
            "the memory of its models.",
        ),
    ] = 1,
    engine: Annotated[
        EngineName,
        typer.Option(
            help="ray: work on the Ray cluster that RAY_ADDRESS names, else on all cores here; same result."
        ),
    ] = "local",
    batch: Annotated[
        int | None,
        typer.Option(min=1, max=1024, help="Pictures in one call of the model; default what suits it."),
    ] = None,
    harden: Annotated[
        bool,
        typer.Option("--harden", help="Keyed warp and texture: who knows the logo cannot undo the blend."),
    ] = False,
    warp: Annotated[float | None, typer.Option(help="Keyed warp, share of the logo's size.")] = None,
    texture: Annotated[int | None, typer.Option(help="Keyed texture, deviation in grey levels.")] = None,
    opaque: Annotated[float | None, typer.Option(help="Share of fully opaque strokes, 0 to 1.")] = None,
    same_mark: Annotated[
        bool,
        typer.Option(
            "--same-mark", help="Mark again what another release has, if the mark comes out the same."
        ),
    ] = False,
    ledger: Annotated[
        bool,
        typer.Option(
            "--ledger/--no-ledger",
            help="Refuse originals that another release has marked. Off only for experiments: "
            "two different marks of one image give the original back.",
        ),
    ] = True,
    give_up: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="Let images be marked anew that a run claims which never finished; it can then never be "
            "finished. Only if none of its marked files was ever handed out.",
        ),
    ] = None,
    keep_original: Annotated[
        bool, typer.Option("--keep-original", help="Seal the original files too: restored byte for byte.")
    ] = False,
    push: PushOption = None,
    auth: AuthOption = None,
    push_auth: PushAuthOption = None,
    ca: CaOption = None,
    partial: PartialOption = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Lay your logo over every image: people still read it, models read little of it."""
    models = model or []
    if not models and preset != "veil":
        raise InputError(
            f"preset {preset}: expected at least one --model", hint="only --preset veil does without a model"
        )
    prepared = prepared_of(logo, preset)
    veil = prepared if isinstance(prepared, PreparedVeil) else None
    settings = Settings(
        preset=preset,
        size=size,
        min_size=min_size,
        opacity=opacity,
        style=DEFAULT_STYLE if veil is None else veil.style,
        aim=aim or aim_of(veil),
        aim_class=None if veil is None else veil.aim_class,
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
    )
    keep_out = KeepOut(regions, margin_px, segmenter, lesions, anatomy)
    candidates = keep_out.candidates(preset)
    maker = engine_maker(engine, workers=workers, models=models, segmenter=segmenter, lesions=candidates)
    transfers = Transfers(source, out, push=push, auth=auth, push_auth=push_auth, ca=ca, partial=partial)
    owner_keys = _owner(owner)
    if transfers.resume_push(owner_keys.signing.public, as_json=json):
        return
    inputs = find_inputs(transfers.fetch())
    check_target(out, inputs)
    context.with_resource(starting(out))
    picture = prepared.logo if prepared is not None else read_logo(logo)
    if prepared is not None:
        check_kind(prepared, inputs)
    known_labels = labels_of(labels, column=label_column)
    known_regions = keep_out.known(inputs)
    classifiers = [load_classifier(path, features=True) for path in models]
    if settings.wants_gradients:
        classifiers = [with_gradients(one, path) for one, path in zip(classifiers, models, strict=True)]
    weaker = way_taken(settings, classifiers)
    if weaker:
        warn(weaker)
    for text in veil_warnings(settings, classifiers):
        warn(text)
    make_search(settings, classifiers)  # refuses what cannot work before anything is written
    batch = batch or batch_for(classifiers)
    classifiers = with_clusters(classifiers, inputs, workers=_FILE_THREADS, batch=batch)
    for classifier in classifiers:
        for text in classifier.notes:
            note(text)
    finder = keep_out.finder(preset, classifiers)
    say_inputs(inputs, known_labels, known_regions, finder)
    asked, is_left_open = settings, preset == "veil" and style == "auto" and veil is None
    is_chosen = is_left_open and bool(classifiers) and len(inputs.items) >= FEWEST_IMAGES
    if is_chosen:
        settings = kept_style(out, asked) or with_chosen_style(
            asked, inputs, classifiers, logo=picture, regions=known_regions, finder=finder
        )
    run = Run(
        inputs=inputs,
        release=out,
        classifiers=classifiers,
        logo=picture,
        owner=owner_keys,
        settings=settings,
        labels=known_labels,
        classes=indices_or_own(known_labels, classifiers),
        regions=known_regions,
        finder=finder,
        sources=tuple(path for path in (labels, regions) if path),
        learned=prepared if isinstance(prepared, LearnedLogo) else None,
        ledger=open_ledger(owner_keys, use=ledger, given_up=give_up or ()),
        same_mark=same_mark,
        workers=_FILE_THREADS,
        batch=batch,
        engine=maker,
    )
    if is_chosen:
        keep_style(out, asked, settings)
    try:
        result = run_with_progress(run)
    except WriteError as error:
        if json:
            print_json({"error": str(error)})
        raise WriteError(
            str(error),
            hint=error.hint or "mend that and repeat the command: it goes on where it stopped",
        ) from error
    warn_of_nothing_found(run, result)
    transfers.finish(owner_keys.signing.public, result.json)
    say_result(result, run, as_json=json)
    transfers.close(result.exit_code, as_json=json)


protect.__doc__ = f"{protect.__doc__}\n\n{_EXAMPLES}"


def _owner(name: Path) -> Owner:
    owner = load_owner(name)
    for text in owner.signing.notes:
        warn(text)
    return owner
