"""How often `medlocker audit` suspects models that never saw a release: by chance as rarely as it promises?

    python benchmarks/audit_calibration.py [--releases 10] [--models 40]

Small synthetic pictures are marked: with veils, with single marks at random places, and with such marks that
were searched for with one linear model. Every release is audited with many linear models that know nothing of
it, drawn anew for each. P-values of one release hang together: its own marks are the same for all of them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import medlocker as ml
from _tables import table
from medlocker.audit import Marker, ask, choose, compare_with_others
from medlocker.certificates import load_owner, new_owner, open_release, owner_access
from medlocker.testing import LinearClassifier

_IMAGES, _SIDE_PX, _DRAWS = 20, 64, 1999
_SURROGATE = "medlocker.testing:LinearClassifier"


def values(folder: Path, preset: Any, *, seed: int, models: int) -> list[float]:
    """Make one release and return the p-value of every model."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir()
    for number in range(_IMAGES):
        coarse = rng.integers(0, 256, (5, 5, 3)).astype(np.uint8)
        picture = cv2.resize(coarse, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / "images" / f"{number:02d}.png"), picture)
    new_owner(folder / "own")
    ml.protect(
        folder / "images",
        owner=folder / "own",
        out=folder / "release",
        preset=preset,
        models=() if preset == "veil" else _SURROGATE,
        lesions="none",
        seed=seed,
    )
    keys = load_owner(folder / "own")
    opened = open_release(folder / "release", keys.signing.public)
    access = owner_access(opened, keys.identity())
    sample = choose(access, lambda name: True, images=_IMAGES, seed=seed)
    first = 1 + seed * models
    asked = [LinearClassifier(size=24, seed=k) for k in range(first, first + models)]
    marker = Marker(access, opened.logo(), asked, 4, seed, sample.faintness)
    answers = ask(marker, sample.members, [lambda name: None] * models, batch=64, workers=1)
    return [compare_with_others(scores, draws=_DRAWS).p_value for scores in answers.scores]


def main() -> int:
    """Print one row for each way of marking."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--releases", type=int, default=10)
    parser.add_argument("--models", type=int, default=40)
    options = parser.parse_args()
    ways: dict[str, Any] = {
        "veil": "veil",
        "strong, at random": ml.Marks(preset="strong", search="random", budget=1),
        "paper, at random": ml.Marks(preset="paper", search="random", budget=1),
        "strong, searched": "strong",
        "paper, searched": "paper",
    }
    rows = []
    for name, preset in ways.items():
        found: list[float] = []
        for seed in range(options.releases):
            with tempfile.TemporaryDirectory() as folder:
                found += values(Path(folder), preset, seed=seed, models=options.models)
        some = np.array(found)
        shares = [f"{(some <= level).mean():.1%}" for level in (0.01, 0.05)]
        rows.append([name, f"{len(some)}", f"{np.median(some):.2f}", *shares])
    head = ("marks", "audits", "p-value, median", "at most 0.01", "at most 0.05")
    print(table(head, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
