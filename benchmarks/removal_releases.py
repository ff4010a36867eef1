"""The standard battery on real releases of every preset, made and judged by the commands themselves.

    MEDLOCKER_DATA=... python benchmarks/removal_releases.py FOLDER --target DIR [--target DIR ...]
        --surrogate DIR [--side 224] [--limit N] [--only veil,strong] [--removal standard|full]
        [--removal-minutes M]

Held-out photographs, shrunk and stored as PNG, lesion boxes kept out. `paper` and `strong` are searched on
the surrogate, which is no target; veils ask no model. What FOLDER holds already is not made again.
Each cell: left (interval, count); its control, the same attack on clean images; information left in points.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from _idrid import data_folder
from _tables import table
from veil import photographs
from veil_removal import stored

PRESETS: dict[str, tuple[str, ...]] = {
    "veil": ("--preset", "veil"),
    "veil, hardened": ("--preset", "veil", "--harden"),
    "strong": ("--preset", "strong"),
    "paper": ("--preset", "paper"),
}
COMMAND = (sys.executable, "-c", "from medlocker.cli import main; main()")


def prepare_images(folder: Path, *, side: int, limit: int | None) -> None:
    """Write the photographs with their labels and boxes, once."""
    if (folder / "boxes.csv").exists():
        return
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows, boxes = [["image", "grade"]], [["image", "region", "x", "y", "width", "height"]]
    for photo in photographs("idrid", limit=limit, tune=False):
        small = stored(photo, side, as_jpeg=False)
        name = f"{Path(photo.name).stem}.png"
        pixels = np.ascontiguousarray(np.asarray(small.image.pixels)[..., ::-1])
        cv2.imwrite(str(folder / "images" / name), pixels)
        rows.append([name, photo.label])
        boxes += [[name, "lesion", *map(str, (b.x, b.y, b.width, b.height))] for b in small.boxes]
    for file, content in (("labels.csv", rows), ("boxes.csv", boxes)):
        with (folder / file).open("w", newline="") as stream:
            csv.writer(stream).writerows(content)


def run(*arguments: object) -> dict[str, Any]:
    done = subprocess.run([*COMMAND, *map(str, arguments), "--json"], stdout=subprocess.PIPE, text=True)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{arguments[0]} ended with {done.returncode}")
    return dict(json.loads(done.stdout))


def protect(folder: Path, name: str, surrogate: Path) -> Path:
    release = folder / name.replace(", ", "-")
    if not (release / "certificate" / "statement.dsse.json").exists():
        if not (folder / "owner.sign.key").exists():
            subprocess.run([*COMMAND, "key", "new", "--out", str(folder / "owner")], check=True)
        models = ("--model", surrogate, "--labels", folder / "labels.csv") if "veil" not in name else ()
        told = run(
            *("protect", folder / "images", *PRESETS[name], *models),
            *("--regions", folder / "boxes.csv", "--owner", folder / "owner", "--out", release),
            "--no-ledger",
        )
        (folder / f"{release.name}.protect.json").write_text(json.dumps(told))
    return release


def evaluate(folder: Path, release: Path, targets: list[Path], removal: list[object]) -> dict[str, Any]:
    report = folder / f"{release.name}-{removal[0]}"
    if not (report / "report.json").exists():
        run(
            *("evaluate", "--clean", folder / "images", "--release", release),
            *("--labels", folder / "labels.csv", "--regions", folder / "boxes.csv"),
            *(part for target in targets for part in ("--target", target)),
            *("--out", report, "--removal", *removal),
        )
    return dict(json.loads((report / "report.json").read_text()))


def cell(row: dict[str, Any]) -> str:
    if row["left"] is None:
        return "-"
    low, high = row["interval"]
    control = "-" if row["control"] is None else f"{row['control']:.0%}"
    told = row["information_left"]
    points = "-" if told is None else f"{100 * told:+.0f}"
    return (
        f"{row['left']:.0%} ({low:.0%} to {high:.0%}, {round(row['left'] * row['n'])}/{row['n']}); "
        f"{control}; {points}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--target", type=Path, action="append", required=True)
    parser.add_argument("--surrogate", type=Path, required=True)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--only", default=";".join(PRESETS), help="presets, parted by semicolons")
    parser.add_argument("--removal", choices=("standard", "full"), default="standard")
    parser.add_argument("--removal-minutes", type=float)
    options = parser.parse_args()
    data_folder()
    prepare_images(options.folder, side=options.side, limit=options.limit)
    removal: list[object] = [options.removal]
    if options.removal_minutes is not None:
        removal += ["--removal-minutes", options.removal_minutes]
    for name in options.only.split(";"):
        release = protect(options.folder, name, options.surrogate)
        report = evaluate(options.folder, release, options.target, removal)
        targets = [target["name"] for target in report["targets"]]
        print(f"\n### {name}: {report['removal_images']} images; {report['removal_verdict']}\n")
        rows: dict[str, dict[str, Any]] = {}
        for row in report["removal"]:
            rows.setdefault(f"{row['number']} {row['attack']}", {})[row["target"]] = row
        print(
            table(
                ["attack", *targets, "PSNR, dB"],
                [
                    [
                        attack,
                        *(cell(found[target]) if target in found else "-" for target in targets),
                        "-" if (db := next(iter(found.values()))["psnr_region"]) is None else f"{db:.1f}",
                    ]
                    for attack, found in rows.items()
                ],
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
