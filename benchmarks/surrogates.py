"""Train the surrogates that the benchmarks search against, on three quarters of each data set.

    python benchmarks/surrogates.py --data DATA --sets idrid --backbones efficientnet_lite0 mobilenetv2_100

DATA holds one folder per data set, with ``images/`` and ``labels.csv``; the environment variable
MEDLOCKER_DATA is its default. Surrogates are written to ``.cache/surrogates/SET-BACKBONE``, the names of the
images that they never see (kept to judge or to tune on) to ``SET.held-out.txt``, what they are worth on those
to judge on to ``SET-BACKBONE.held-out.json``. Weights to start from are those of ImageNet, else those that
``targets.py pretrain`` made, else random.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from _pretrained import starting_weights
from _split import held_out, kept_to_tune_on
from medlocker.classifiers import load_classifier
from medlocker.errors import MedlockerError
from medlocker.files import make_folder, write_atomic
from medlocker.formats import read_image
from medlocker.images import viewed
from medlocker.labels import Labels, class_indices, load_labels
from medlocker.train import Metrics, measure


@dataclass(frozen=True)
class DataSet:
    """Where a data set lies and what is learned from it.

    Args:
        column: Of labels.csv.
        referable: Lowest grade that counts as ill, for the two-class accuracy; None: not graded.
    """

    column: str
    referable: int | None = None


SETS = {"idrid": DataSet("grade", referable=2), "isic2017": DataSet("melanoma")}
ARCHITECTURES = {
    "efficientnet_lite0": "tf_efficientnet_lite0",
    "efficientnet_lite1": "tf_efficientnet_lite1",
}
"""Other names are timm's own."""
HEAD = (
    "| surrogate | n | accuracy | balanced accuracy | quadratic kappa | AUC | referable |\n"
    "|---|---|---|---|---|---|---|"
)


def main() -> int:
    """Train and judge; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("MEDLOCKER_DATA"))
    parser.add_argument("--out", type=Path, default=Path(".cache/surrogates"))
    parser.add_argument("--sets", nargs="+", choices=sorted(SETS), default=["idrid"])
    parser.add_argument("--backbones", nargs="+", default=["efficientnet_lite0", "mobilenetv2_100"])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=32, help="less from random weights: more steps")
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="train also what is there already")
    options = parser.parse_args()
    if options.data is None:
        parser.error("expected --data or the environment variable MEDLOCKER_DATA")
    print(HEAD, flush=True)
    try:
        for name in options.sets:
            _one_set(name, options)
    except MedlockerError as error:
        print(f"error: {error} {error.hint}", file=sys.stderr)
        return error.exit_code
    return 0


def _one_set(name: str, options: argparse.Namespace) -> None:
    folder: Path = options.data / name
    labels = load_labels(folder / "labels.csv", column=SETS[name].column)
    kept = sorted(held_out(labels.rows))
    held_out_list = list_unseen(name, labels, options.out)
    for backbone in options.backbones:
        out: Path = options.out / f"{name}-{backbone}"
        if options.again or not (out / "model.card.json").is_file():
            _train(folder, name, backbone, out, held_out_list, options)
        judge_and_report(folder, labels, kept, out, SETS[name])


def list_unseen(name: str, labels: Labels, out: Path) -> Path:
    """Write the names of the images that no model may see, those to judge and to tune on."""
    make_folder(out)
    unseen = sorted({*held_out(labels.rows), *kept_to_tune_on(labels.rows)})
    path = out / f"{name}.held-out.txt"
    write_atomic(path, ("\n".join(unseen) + "\n").encode("utf-8"), overwrite=True)
    return path


def judge_and_report(
    folder: Path,
    labels: Labels,
    kept: list[str],
    out: Path,
    data: DataSet,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Judge a surrogate, print its row and write ``NAME.held-out.json`` beside it.

    Args:
        folder: Of the data set.
        labels: All of them.
        kept: Names of the images to judge on.
        out: The surrogate.
        data: What it learned.
        more: Fields to add to the JSON.
    """
    metrics, referable = _judge(folder, labels, kept, out, data)
    confusion = metrics.confusion.tolist()
    value = {**metrics.to_json(), "referable": referable, "confusion": confusion, **(more or {})}
    text = json.dumps(value, indent=1) + "\n"
    write_atomic(out.with_name(f"{out.name}.held-out.json"), text.encode("utf-8"), overwrite=True)
    numbers = [metrics.accuracy, metrics.balanced_accuracy, metrics.qwk, metrics.auc, referable]
    cells = ["-" if number is None else f"{number:.3f}" for number in numbers]
    print(f"| {out.name} | {metrics.n} | {' | '.join(cells)} |", flush=True)


def _train(
    folder: Path, name: str, backbone: str, out: Path, held_out_list: Path, options: argparse.Namespace
) -> None:
    """Call the program's own command."""
    architecture = ARCHITECTURES.get(backbone, backbone)
    weights = starting_weights(architecture, options.out)
    command = [
        *(sys.executable, "-c", "from medlocker.cli import main; main()"),
        *("train", "classifier", str(folder / "images"), "--labels", str(folder / "labels.csv")),
        *("--label-column", SETS[name].column, "--backbone", architecture),
        *("--weights", str(weights or "none"), "--exclude", str(held_out_list), "--out", str(out)),
        *("--epochs", str(options.epochs), "--size", str(options.size), "--seed", str(options.seed)),
        *("--patience", str(options.epochs), "--batch-size", str(options.batch_size)),
        *("--lr", str(options.lr), "--overwrite"),
    ]
    done = subprocess.run(command, stdout=sys.stderr, check=False)
    if done.returncode:
        raise MedlockerError(f"training {out.name} failed with exit code {done.returncode}")


def _judge(
    folder: Path, labels: Labels, kept: list[str], out: Path, data: DataSet
) -> tuple[Metrics, float | None]:
    """Classify the images kept apart, read from disk as a user would."""
    model = load_classifier(out)
    indices = class_indices(labels, model.classes).indices
    logits, truth = [], []
    for name in kept:
        path = folder / "images" / name
        canvas = model.canvas(viewed(read_image(path.read_bytes(), name=path.name)))
        logits.append(model.logits(canvas[None])[0])
        truth.append(indices[labels.rows[name]])
    answers, right = np.stack(logits), np.array(truth, np.int64)
    referable = None
    if data.referable is not None:
        ill = answers.argmax(axis=1) >= data.referable
        referable = float((ill == (right >= data.referable)).mean())
    return measure(answers, right), referable


if __name__ == "__main__":
    sys.exit(main())
