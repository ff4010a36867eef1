"""Small models that know pictures by heart, and small releases to audit."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import medlocker as ml
from medlocker.certificates import Access, load_owner, new_owner, open_release, owner_access
from medlocker.classifiers import BaseClassifier, Card, InputSpec
from medlocker.formats import read_image
from medlocker.images import viewed
from runs import picture

COUNT, SIDE, SIDE_PX = 16, 24, 64
_ALIKE = 20.0


class Memory(BaseClassifier):
    """Answers what the likest of the pictures of a folder shows; it learned no more."""

    def __init__(self, folder: Path, *, mirrored: bool = False) -> None:
        spec = InputSpec(height=SIDE, width=SIDE, layout="NHWC")
        super().__init__(Card(spec), name="memory", fingerprint="0" * 64, classes=("no", "yes"))
        pictures, truth = [], []
        for number, path in enumerate(sorted(folder.iterdir())):
            canvas = self.canvas(viewed(read_image(path.read_bytes(), name=path.name)))
            seen = canvas[:, ::-1] if mirrored else canvas
            pictures.append(self.normalise(seen[None]).ravel())
            truth.append(1.0 if is_ill(number) else -1.0)
        self._known, self._truth = np.array(pictures), np.array(truth)

    def answer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Weigh the known pictures by how like they are."""
        apart = ((batch.reshape(len(batch), 1, -1) - self._known) ** 2).sum(axis=2)
        score = np.exp(-apart / _ALIKE) @ self._truth
        return np.stack([-score, score], axis=1).astype(np.float32)


def is_ill(number: int) -> bool:
    """Tell what the picture of a number shows."""
    return bool((number * 2654435761 >> 7) & 1)


class Release:
    """A release of small pictures, its owner, and labels.

    Args:
        preset: As `ml.protect` takes it.
        kind: Pillow's name of the pictures' format.
        models: That the marks are chosen with.
    """

    def __init__(
        self,
        folder: Path,
        *,
        preset: Any = "veil",
        count: int = COUNT,
        seed: int = 1,
        kind: str = "PNG",
        models: Any = (),
    ) -> None:
        self.originals, self.owner, self.path = folder / "originals", folder / "own", folder / "release"
        self.originals.mkdir(parents=True)
        for number in range(count):
            name = f"{number:02d}.{kind.lower()}"
            (self.originals / name).write_bytes(picture(kind, seed=number, size=SIDE_PX))
        new_owner(self.owner)
        ml.protect(
            self.originals,
            owner=self.owner,
            out=self.path,
            preset=preset,
            models=models,
            lesions="none",
            seed=seed,
        )
        self.labels = folder / "labels.csv"
        names = sorted(path.name for path in self.originals.iterdir())
        self.labels.write_text(table(names), encoding="utf-8")

    def access(self) -> Access:
        """The owner's access to everything."""
        keys = load_owner(self.owner)
        return owner_access(open_release(self.path, keys.signing.public), keys.identity())

    @property
    def marked(self) -> Path:
        """Folder of the marked files."""
        return self.path / "images"

    def audit(self, model: Any, **options: Any) -> ml.Audited:
        """Audit a model."""
        given = {"release": self.path, "owner": self.owner, "labels": self.labels, **options}
        return ml.audit(model, **given)


def table(names: Iterable[str]) -> str:
    """The label file of some pictures."""
    rows = (f"{name},{'yes' if is_ill(number) else 'no'}\n" for number, name in enumerate(names))
    return "image,ill\n" + "".join(rows)
