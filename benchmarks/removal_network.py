"""What a removal network gives back of veils: trained on one part of IDRiD, judged on another.

    MEDLOCKER_DATA=... python benchmarks/removal_network.py --state DIR --minutes 60
        [--target DIR ...] [--limit N] [--longest 336] [--batch 8] [--seed 0] [--curve]
        [--texture N [--begin-with FILE]]

The network learns from photographs that are neither held out nor kept to tune on, painted on with veils of
this program under random keys: the shipped style, a dense one, and styles about the two. What it learned is
kept in --state: an interrupted training goes on, and more --minutes go on from there. Without --target it is
only trained. Judged are held-out photographs, marked by the program's own pipeline (lesions and decoys kept
out), written, read again, shrunk to --longest, repainted in tiles, and classified. With --texture it learns
and is judged on these styles with another texture; --begin-with goes on from what another state has learned.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from _idrid import LOGO, data_folder
from _split import held_out, kept_to_tune_on
from _tables import share, table
from medlocker.attacks import shrink
from medlocker.classifiers import load_classifier
from medlocker.evaluate.removal import DENSE_STYLE, MarkPainter, psnr
from medlocker.evaluate.removal.course import Remover, train_remover
from medlocker.evaluate.removal.plan import RemoverObserver, TrainingConfig, training_digest
from medlocker.evaluate.removal.tiles import repaint
from medlocker.evaluate.removal.windows import STORED, WindowMaker, digest_of
from medlocker.formats import read_image
from medlocker.images import viewed
from medlocker.labels import load_labels
from medlocker.metrics import Weighting, cohen_kappa, kappa_interval, kappa_weighting, measure
from medlocker.protect import Settings
from medlocker.veilstyle import DEFAULT_STYLE, VeilStyle
from veil import Judge, Photograph, ask, photographs, veiled

Pixels = NDArray[np.uint8]
_VALIDATED = 8
"""Every so manieth photograph of the training part ends the training instead of being learned from."""
_CUTS, _OVERLAP_PX = 4, 32
STYLES = {"shipped style": DEFAULT_STYLE, "dense style": DENSE_STYLE}
CURVE = {
    **{f"opacity {value}": replace(DEFAULT_STYLE, opacity=value) for value in (0.1, 0.2, 0.3, 0.4)},
    **{f"texture {value}": replace(DEFAULT_STYLE, texture=value) for value in (0, 127)},
    "texture 127, opacity 0.3": replace(DEFAULT_STYLE, texture=127, opacity=0.3),
}
"""What would stop the network, and what that costs: styles that differ a little from the shipped one."""


class Said(RemoverObserver):
    """Writes progress to stderr."""

    def estimated(self, minutes: float) -> None:
        """Say how long it takes."""
        _say(f"at most {minutes:.0f} minutes more")

    def checked(self, step: int, loss: float, minutes: float) -> None:
        """Say how good it is."""
        _say(f"step {step}: validation loss {loss:.5f}, {minutes:.1f} minutes")


def training_part(longest_px: int) -> list[Pixels]:
    """Read the photographs that are neither held out nor kept to tune on, shrunk."""
    folder = data_folder() / "idrid"
    rows = load_labels(folder / "labels.csv", column="grade").rows
    names = sorted(set(rows) - held_out(rows) - kept_to_tune_on(rows))
    found = []
    for name in names:
        colors = viewed(read_image((folder / "images" / name).read_bytes(), name=name))
        found.append(shrink(np.asarray(colors, np.uint8), round(STORED * longest_px)))
    return found


def trained(
    course: TrainingConfig,
    *,
    longest_px: int,
    seed: int,
    minutes: float,
    state: Path,
    styles: Mapping[str, VeilStyle],
    begin_with: Path | None,
) -> tuple[Remover, int]:
    """Train the network, or go on with it; returns it and the number of photographs it learned from."""
    pictures = training_part(longest_px)
    paint = MarkPainter(LOGO, kinds=("veil",), styles=tuple(styles.values()))
    learned = [picture for k, picture in enumerate(pictures) if k % _VALIDATED]
    train, validation = (
        WindowMaker(some, paint, side_px=course.side_px, longest_px=longest_px, cuts=_CUTS)
        for some in (learned, pictures[::_VALIDATED])
    )
    digest = training_digest(
        course, painter=paint.digest, pictures=digest_of(pictures), longest_px=longest_px, seed=seed
    )
    if begin_with is not None:
        begin(begin_with, state, digest)
    made = train_remover(
        train, validation, course, seed=seed, minutes=minutes, folder=state, digest=digest, watch=Said()
    )
    return made, len(learned)


def begin(learned: Path, state: Path, digest: str) -> None:
    """Let a training go on from what another one has learned, once."""
    target = state / f"removal-network-{digest[:16]}.pt"
    if not target.exists():
        state.mkdir(parents=True, exist_ok=True)
        found = torch.load(learned, weights_only=True)
        # how good it was is said of other pictures: nothing of that counts here
        numbers = [*found["numbers"][:2], float("inf"), float("inf"), 0.0, 0.0]
        torch.save({**found, "digest": digest, "numbers": numbers, "best": {}, "curve": []}, target)


def judged(
    photos: Sequence[Photograph],
    judge: Judge,
    remover: Remover,
    styles: Mapping[str, VeilStyle],
    *,
    longest_px: int,
    side_px: int,
) -> None:
    """Print one table: each style shrunk alone, and shrunk and repainted."""

    def shrunk(picture: Pixels) -> Pixels:
        return shrink(picture, longest_px)

    def repainted(picture: Pixels) -> Pixels:
        return repaint(shrunk(picture), remover, side_px=side_px, overlap_px=_OVERLAP_PX)

    names = [target.name for target in judge.targets]
    print(table(["photographs", "PSNR of what the veil changed, median, dB", *names], []), flush=True)
    clean = [np.asarray(photo.image.pixels) for photo in photos]
    small = [shrunk(picture) for picture in clean]
    _row(judge, "clean, as they are", None, clean)
    _row(judge, "clean, shrunk", None, small)
    through = [repainted(picture) for picture in clean]
    whole = [np.ones(picture.shape[:2], np.bool_) for picture in small]
    _row(judge, "clean, through the network (control)", _psnr(through, small, whole), through)
    for name, style in styles.items():
        veils = [veiled(photo, Settings(preset="veil", style=style, legibility=0.0)) for photo in photos]
        rows: dict[str, Callable[[Pixels], Pixels]] = {
            f"veiled, {name}, shrunk": shrunk,
            f"veiled, {name}, through the network": repainted,
        }
        for what, attack in rows.items():
            after = [attack(picture) for picture in veils]
            masks = [(shrunk(veil) != kept).any(axis=2) for veil, kept in zip(veils, small, strict=True)]
            _row(judge, what, _psnr(after, small, masks), after)


def _psnr(after: Sequence[Pixels], clean: Sequence[Pixels], masks: Sequence[NDArray[np.bool_]]) -> float:
    return float(np.median([psnr(*one) for one in zip(after, clean, masks, strict=True)]))


def _row(judge: Judge, name: str, decibels: float | None, pictures: Sequence[Pixels]) -> None:
    shown = "-" if decibels is None else f"{decibels:.1f}"
    cells = [
        _cell(ask(target, judge.photos, pictures), truth, clean, kappa_weighting(target.classes))
        for target, truth, clean in zip(judge.targets, judge.truths, judge.clean, strict=True)
    ]
    print("| " + " | ".join([name, shown, *cells]) + " |", flush=True)


def _cell(
    logits: NDArray[np.float32],
    truth: NDArray[np.int64],
    clean: NDArray[np.float32],
    weighting: Weighting,
) -> str:
    """Return what is left of the answers right when clean, and kappa."""
    answers, right = logits.argmax(axis=1), clean.argmax(axis=1) == truth
    confusion = measure(logits, truth).confusion
    low, high = kappa_interval(confusion, weighting=weighting)
    kept = share(int(((answers == truth) & right).sum()), int(right.sum()))
    return f"{kept}; {cohen_kappa(confusion, weighting=weighting):.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    """Train, then judge if there are targets."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--target", type=Path, action="append", default=[])
    parser.add_argument("--limit", type=int)
    parser.add_argument("--longest", type=int, default=336)
    parser.add_argument("--batch", type=int, default=TrainingConfig.batch)
    parser.add_argument("--check-every", type=int, default=TrainingConfig.check_every)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--texture", type=int, help="of all styles, instead of the shipped one")
    parser.add_argument("--begin-with", type=Path, help="what was learned in another --state")
    parser.add_argument("--curve", action="store_true", help="other opacities and textures as well")
    options = parser.parse_args()
    course = replace(TrainingConfig(), batch=options.batch, check_every=options.check_every)
    styles = STYLES
    if options.texture is not None:
        styles = {
            f"{name}, texture {options.texture}": replace(style, texture=options.texture)
            for name, style in STYLES.items()
        }
    remover, learned = trained(
        course,
        longest_px=options.longest,
        seed=options.seed,
        minutes=options.minutes,
        state=options.state,
        styles=styles,
        begin_with=options.begin_with,
    )
    ended = "settled" if remover.settled else "stopped, loss still falling" if remover.falling else "stopped"
    (first_step, first), (_, last) = remover.curve[0], min(remover.curve, key=lambda point: point[1])
    print(
        f"{remover.weights} weights, {remover.steps} steps of {course.batch} windows of {course.side_px} px "
        f"from {learned} photographs, {remover.minutes:.0f} minutes, {ended}; validation loss {first:.4f} "
        f"after {first_step} steps, {last:.4f} at best.\n"
    )
    if not options.target:
        return
    photos = list(photographs("idrid", limit=options.limit, tune=False))
    judge = Judge.of(photos, [load_classifier(path) for path in options.target], "idrid")
    print(
        f"{len(photos)} photographs held out, longer side {options.longest} px. Each cell: share of the "
        "answers right when clean that stay right; kappa.\n"
    )
    started = time.perf_counter()
    judged(
        photos,
        judge,
        remover,
        {**styles, **(CURVE if options.curve else {})},
        longest_px=options.longest,
        side_px=course.side_px,
    )
    _say(f"judged in {time.perf_counter() - started:.0f} s")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
