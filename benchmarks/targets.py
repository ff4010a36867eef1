"""Make the classifiers that releases are judged on, beside those of ``surrogates.py``.

    python benchmarks/targets.py pretrain resnet18 pvt_v2_b0
    python benchmarks/surrogates.py --backbones resnet18 pvt_v2_b0 --epochs 30 --batch-size 16
    python benchmarks/targets.py prepare --sets idrid isic2017 --painter ordinary
    python benchmarks/targets.py prepare --sets idrid --painter MODULE:FUNCTION --name veiled

``pretrain`` teaches networks on synthetic photographs and keeps their weights in
``.cache/surrogates/synthetic``, where ``surrogates.py`` finds them. ``prepare`` trains the target of somebody
who expects marks: training images are painted on by a function ``paint(pixels, rng)``, (H, W, 3) uint8 in and
out, in rounds, until the answers on images painted on at random get no better. The curve is in
``training.json``. Data and results lie where ``surrogates.py`` has them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from _preparing import Preparation, load_pictures, prepare_target
from _pretrained import starting_weights
from _pretraining import Settings, pretrain
from _split import held_out, kept_to_tune_on
from _spoiling import Painter, ordinary
from _synthetic import photographs
from medlocker.classifiers import load_classifier
from medlocker.errors import MedlockerError
from medlocker.evaluate.removal.prepared import painted
from medlocker.labels import load_labels, order_classes
from medlocker.train import Metrics, measure
from surrogates import ARCHITECTURES, HEAD, SETS, judge_and_report

_JUDGED = 300
_PREPARATIONS = {
    "idrid": Preparation(size=224, shorter_px=336, copies=4),
    "isic2017": Preparation(size=160, shorter_px=240, copies=1, draws=1, most_rounds=8),
}


def main() -> int:
    """Do what the command says; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path(".cache/surrogates"))
    parser.add_argument("--seed", type=int, default=0)
    pause = "of training before a pause; the same command goes on"
    parser.add_argument("--seconds", type=float, default=float("inf"), help=pause)
    commands = parser.add_subparsers(required=True)
    learn = commands.add_parser("pretrain", help="on synthetic photographs")
    learn.add_argument("backbones", nargs="+")
    learn.add_argument("--photographs", type=int, default=5000)
    learn.add_argument("--steps", type=int, default=Settings.steps)
    learn.set_defaults(run=_pretrain)
    expect = commands.add_parser("prepare", help="on images painted on")
    expect.add_argument("--data", type=Path, default=os.environ.get("MEDLOCKER_DATA"))
    expect.add_argument("--sets", nargs="+", choices=sorted(SETS), default=["idrid"])
    expect.add_argument("--backbone", default="mobilenetv2_100")
    expect.add_argument("--painter", default="ordinary", help="ordinary augmentation, or MODULE:FUNCTION")
    expect.add_argument("--name", help="of the target: SET-BACKBONE-NAME; default the painter's")
    expect.add_argument("--rounds", type=int, help="at most")
    expect.set_defaults(run=_prepare)
    options = parser.parse_args()
    try:
        return int(options.run(options))
    except MedlockerError as error:
        print(f"error: {error} {error.hint}", file=sys.stderr)
        return error.exit_code


def _pretrain(options: argparse.Namespace) -> int:
    out: Path = options.out / "synthetic"
    seen = photographs(options.photographs, seed=options.seed, cache=out / "photographs")
    unseen = photographs(_JUDGED, seed=options.seed + 1, cache=out / "photographs")
    for backbone in options.backbones:
        settings = Settings(steps=options.steps, seed=options.seed)
        report = pretrain(backbone, seen, unseen, settings, out=out, seconds=options.seconds, say=_say)
        if report is not None:
            print(json.dumps({"backbone": backbone, **report["judged"]}), flush=True)
    return 0


def _prepare(options: argparse.Namespace) -> int:
    if options.data is None:
        _say("expected --data or the environment variable MEDLOCKER_DATA")
        return 2
    paint = _painter(options.painter)
    print(HEAD, flush=True)
    for name in options.sets:
        called = options.name or options.painter.rpartition(":")[2]
        settings = replace(_PREPARATIONS[name], seed=options.seed)
        settings = replace(settings, most_rounds=options.rounds or settings.most_rounds)
        prepare_one_set(
            options.data / name,
            name,
            paint,
            backbone=options.backbone,
            out=options.out / f"{name}-{options.backbone}-{called}",
            settings=settings,
            seconds=options.seconds,
        )
    return 0


def prepare_one_set(
    folder: Path,
    name: str,
    paint: Painter,
    *,
    backbone: str,
    out: Path,
    settings: Preparation,
    seconds: float = float("inf"),
) -> None:
    """Train one prepared target, judge it clean and painted on, and write its folder and its JSON.

    Args:
        folder: ``images/`` and ``labels.csv``.
        name: Of the data set.
        paint: Puts random marks on a picture in its own shape, shrunk to ``settings.shorter_px``.
        backbone: As ``surrogates.py`` names them.
        out: Of the target.
        settings: See there.
        seconds: Pause after so many; the next call goes on.
    """
    labels = load_labels(folder / "labels.csv", column=SETS[name].column)
    judged, tuned = held_out(labels.rows), kept_to_tune_on(labels.rows)
    train, validation, test = (
        load_pictures(folder / "images", sorted(names), labels.rows, settings.shorter_px)
        for names in (set(labels.rows) - judged - tuned, tuned, judged)
    )
    architecture = ARCHITECTURES.get(backbone, backbone)
    report = prepare_target(
        train,
        validation,
        order_classes(set(labels.rows.values())),
        paint,
        backbone=architecture,
        weights=starting_weights(architecture, out.parent) or "none",
        out=out,
        settings=settings,
        seconds=seconds,
        say=lambda text: _say(f"{out.name}: {text}"),
    )
    if report is None:
        return
    canvases = painted(test.colors, paint, side=settings.size, seed=(settings.seed, 1 << 20))
    answers = load_classifier(out).logits(canvases.astype("float32"))
    on_painted: Metrics = measure(answers, test.labels)
    more = {
        "painted": {**on_painted.to_json(), "confusion": on_painted.confusion.tolist()},
        "rounds": len(report["curve"]),
        "settled": report["settled"],
    }
    judge_and_report(folder, labels, sorted(judged), out, SETS[name], more)
    numbers = (on_painted.accuracy, on_painted.balanced_accuracy, on_painted.qwk, on_painted.auc)
    cells = ["-" if number is None else f"{number:.3f}" for number in numbers]
    print(f"| {out.name}, painted on | {on_painted.n} | {' | '.join(cells)} | - |", flush=True)


def _painter(name: str) -> Painter:
    """Return the painter of a name, ``ordinary`` or ``MODULE:FUNCTION``."""
    if name == "ordinary":
        return ordinary
    module, _, function = name.partition(":")
    paint: Painter = getattr(importlib.import_module(module), function)
    return paint


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
