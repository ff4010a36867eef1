"""How fast `protect --preset veil` is, beside reading, classifying twice and writing alone; and file sizes.

    MEDLOCKER_DATA=... python benchmarks/veil_speed.py --model MODEL.onnx [--small 200] [--large 36]

The bare loop reads each image, asks the model about it twice, in full batches, and writes it, in one process
with as many threads for the model as `protect` has. Small images are 224 px PNG and JPEG of the photographs,
large ones the 12-megapixel JPEG files, repeated. Every number is a ratio within one run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from _idrid import data_folder
from _tables import table
from medlocker.classifiers import Classifier, load_classifier
from medlocker.formats import read_image
from medlocker.images import viewed

_BATCH = 16


def bare(folder: Path, out: Path, model: Classifier) -> float:
    """Return images a second of reading, classifying twice and writing."""
    started, count, waiting = time.perf_counter(), 0, []
    for path in sorted(folder.iterdir()):
        image = read_image(path.read_bytes(), name=path.name)
        colors = viewed(image)
        waiting.append(model.canvas(colors))
        done = cv2.imencode(path.suffix, np.ascontiguousarray(colors[..., ::-1]))[1]
        (out / path.name).write_bytes(done.tobytes())
        count += 1
        if len(waiting) == _BATCH:
            model.logits(np.stack(waiting))
            model.logits(np.stack(waiting))
            waiting = []
    if waiting:
        model.logits(np.stack(waiting))
        model.logits(np.stack(waiting))
    return count / (time.perf_counter() - started)


def protect(folder: Path, out: Path, model: Path, workers: int, owner: Path) -> dict[str, float]:
    """Return what the command reports."""
    done = subprocess.run(
        [
            *(sys.executable, "-c", "from medlocker.cli import main; main()", "protect", str(folder)),
            *("--preset", "veil", "--model", str(model), "--owner", str(owner), "--out", str(out)),
            *("--no-ledger", "--lesions", "none", "--workers", str(workers), "--json"),
        ],
        capture_output=True,
        check=True,
        text=True,
    )
    value: dict[str, float] = json.loads(done.stdout)
    return value


def make_small(folder: Path, suffix: str, count: int) -> None:
    names = sorted((data_folder() / "idrid" / "images").iterdir())
    folder.mkdir()
    for number in range(count):
        pixels = cv2.imread(str(names[number % len(names)]))
        if pixels is None:
            raise SystemExit(f"{names[number % len(names)].name} cannot be read")
        small = cv2.resize(pixels, (337, 224), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / f"{number:04}{suffix}"), small, [cv2.IMWRITE_JPEG_QUALITY, 90])


def make_large(folder: Path, count: int) -> None:
    names = sorted((data_folder() / "idrid" / "full").iterdir())
    folder.mkdir()
    for number in range(count):
        source = names[number % len(names)]
        (folder / f"{number:04}.jpg").write_bytes(source.read_bytes())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--small", type=int, default=200)
    parser.add_argument("--large", type=int, default=36)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    model = load_classifier(options.model)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        subprocess.run(
            [
                sys.executable,
                *("-c", "from medlocker.cli import main; main()", "key", "new", "--out", str(place / "o")),
            ],
            check=True,
            capture_output=True,
        )
        make_small(place / "224 px PNG", ".png", options.small)
        make_small(place / "224 px JPEG", ".jpg", options.small)
        make_large(place / "12 megapixels JPEG", options.large)
        print(table(["images", "bare, images/s", "1 worker", "2 workers", "evaluations", "larger"], []))
        for folder in [place / "224 px PNG", place / "224 px JPEG", place / "12 megapixels JPEG"]:
            out = place / "bare"
            out.mkdir(exist_ok=True)
            rates: dict[str, list[float]] = {"bare": [], "1": [], "2": []}
            for turn in range(options.rounds):
                rates["bare"].append(bare(folder, out, model))
                for workers in (1, 2):
                    release = place / f"r {folder.name} {workers} {turn}"
                    value = protect(folder, release, options.model, workers, place / "o")
                    rates[str(workers)].append(value["images_per_second"])
            sizes = [
                (release / "images" / path.name).stat().st_size / path.stat().st_size
                for path in folder.iterdir()
            ]
            base = float(np.median(rates["bare"]))
            ratios = [f"{np.median(rates[key]) / base:.2f}" for key in ("1", "2")]
            evaluations = value["evaluations"] / max(value["marked"], 1)
            cells = [folder.name, f"{base:.1f}", *ratios, f"{evaluations:.1f}", f"{np.median(sizes):.2f}"]
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
