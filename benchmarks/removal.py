"""What attackers get who try to remove marks, for releases that the program itself made.

    MEDLOCKER_DATA=... python benchmarks/removal.py --surrogate DIR [--surrogate DIR] --target DIR
        [--target DIR] [--presets paper,strong,strong-hardened] [--level standard|full] [--limit N]
        [--attack "blur 2" ...] [--state DIR]

Held-out photographs, lesion boxes kept out. A target that is also a surrogate is white box. With --state an
interrupted battery goes on; the releases are then kept there as well.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from _idrid import LOGO, data_folder, held_out_names, lesion_boxes
from _tables import share, table
from medlocker.certificates import load_owner, new_owner
from medlocker.classifiers import Classifier, load_classifier
from medlocker.evaluate.removal import BatteryObserver, BatteryResult, Item, Row, run_battery, verdict
from medlocker.formats import read_image
from medlocker.images import viewed
from medlocker.labels import Labels, class_indices, load_labels
from medlocker.protect import STANDARD_HARDENING, Settings
from medlocker.release import Input, Run, find_inputs, run_release

_HARDENED = Settings(preset="strong", harden=STANDARD_HARDENING)
_WIDE = replace(_HARDENED, size=0.35, max_area=0.3)
PRESETS = {
    "paper": Settings(preset="paper"),
    "strong": Settings(preset="strong"),
    "strong-hardened": _HARDENED,
    "against-transforms": replace(_HARDENED, against=("jpeg", "blur", "resize", "crop")),
    "against-crop": replace(_HARDENED, against=("crop",)),
    "against-blur-crop": replace(_HARDENED, against=("blur", "crop")),
    "against-denoise": replace(_HARDENED, against=("denoise",)),
    "against-inpaint": replace(_HARDENED, against=("inpaint",)),
    "opaque": replace(_HARDENED, harden=replace(STANDARD_HARDENING, opaque=0.3)),
    "wide": _WIDE,
    "wide-blur-crop": replace(_WIDE, against=("blur", "crop")),
    "wide-against-all": replace(_WIDE, against=("blur", "resize", "crop", "denoise", "inpaint")),
}
DEFAULT = "paper,strong,strong-hardened"
NOTE = """
Left: accuracy among the photographs that the model gets right when clean (95 % Wilson interval). Control: the
same of the clean photographs after the same treatment. PSNR and SSIM of the marked pixels: medians, and what
a tenth exceeds. Best attacker: right with any attempt whose control is right, retraining and second versions
left out: an upper bound. Luck: how often the same attempts reach any other given class.
"""


@dataclass(frozen=True, eq=False)
class Pairs:
    """The photographs of a release and their originals, read anew whenever they are gone through."""

    inputs: Sequence[Input]
    images: Path
    labels: Labels
    indices: Sequence[Mapping[str, int]]

    def __iter__(self) -> Iterator[Item]:
        """Yield one pair after the other; photographs without room for a mark are left out."""
        for one in self.inputs:
            marked = self.images / one.output_name
            if marked.is_file():
                label = self.labels.for_name(one.name) or ""
                pair = [viewed(read_image(p.read_bytes(), name=p.name)) for p in (one.path, marked)]
                yield Item(one.name, pair[0], pair[1], tuple(found[label] for found in self.indices))


class Watch(BatteryObserver):
    """Shows on stderr how far a battery is."""

    def __init__(self, name: str) -> None:
        self._name, self._done, self._started = name, 0, time.perf_counter()

    def attacked(self, name: str) -> None:
        """Count."""
        self._done += 1
        each = (time.perf_counter() - self._started) / self._done
        print(f"\r{self._name}: {self._done} photographs, {each:.1f} s each ", end="", file=sys.stderr)

    def learned(self, attack: str) -> None:
        """Name what was learned."""
        print(f"{self._name}: learned {attack}", file=sys.stderr)

    def retraining(self, target: str) -> None:
        """Name what is trained on."""
        print(f"\n{self._name}: retraining {target}", file=sys.stderr)


def release_of(
    names: Sequence[str], settings: Settings, surrogates: Sequence[Classifier], *, data: Path, out: Path
) -> Sequence[Input]:
    """Protect photographs as the command does; a release that exists is taken as it is."""
    listed = out.with_suffix(".txt")
    listed.write_text("\n".join(str((data / "idrid" / "images" / name).resolve()) for name in names))
    inputs = find_inputs(listed)
    labels = labels_of(data)
    if (out / "certificate" / "statement.dsse.json").exists():
        return inputs.items
    owner = out.with_name("owner")
    if not owner.with_name("owner.sign.key").exists():
        new_owner(owner)
    run_release(
        Run(
            inputs=inputs,
            release=out,
            classifiers=surrogates,
            logo=LOGO,
            owner=load_owner(owner),
            settings=settings,
            labels=labels,
            classes=tuple(class_indices(labels, model.classes).indices for model in surrogates),
            regions=lesion_boxes(data),
        )
    )
    return inputs.items


def labels_of(data: Path) -> Labels:
    """Read the grades."""
    return load_labels(data / "idrid" / "labels.csv", column="grade")


def tell(name: str, result: BatteryResult, *, white_box: set[str]) -> None:
    """Print one table a target, the best attacker, and the verdict."""
    for best in result.best:
        kind = "white box" if best.target in white_box else "never seen"
        print(f"\n### {name}, judged on {best.target} ({kind}): {result.images} photographs\n")
        rows = [row for row in result.rows if row.target == best.target]
        head = ["", "attack", "knows", "left", "control", "PSNR, dB", "SSIM", "s an image"]
        print(table(head, [cells(row) for row in rows]))
        print(
            f"\nBest attacker: at most {share(best.right, best.n)}; luck {best.luck:.0%}; "
            f"by one attack alone ({best.single}) {share(best.single_right, best.n)}."
        )
    print(f"\n{verdict(result)}")
    for note in result.notes:
        print(f"\n{note}")


def chosen(attacks: Sequence[str] | None) -> str:
    """Name a choice of attacks, for folders."""
    return "all" if attacks is None else sha256("\n".join(attacks).encode()).hexdigest()[:8]


def cells(row: Row) -> list[str]:
    """Return one line of the table."""
    decibels = "-"
    if row.psnr_region is not None and row.psnr_region_p90 is not None:
        decibels = f"{row.psnr_region:.1f} ({row.psnr_region_p90:.1f})"
    return [
        str(row.number),
        row.attack,
        row.knows,
        share(row.right, row.n),
        "-" if row.control is None else f"{row.control:.0%}",
        decibels,
        "-" if row.ssim_region is None else f"{row.ssim_region:.2f}",
        f"{row.seconds:.2f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--surrogate", type=Path, action="append", required=True)
    parser.add_argument("--target", type=Path, action="append", default=[])
    parser.add_argument("--presets", default=DEFAULT, help=f"of {', '.join(PRESETS)}")
    parser.add_argument("--level", choices=["standard", "full"], default="standard")
    parser.add_argument("--attack", action="append", help="a row of the table; default all of the level")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    data = data_folder()
    names = held_out_names(data)
    if arguments.limit is not None and arguments.limit < len(names):
        names = [names[i * len(names) // arguments.limit] for i in range(arguments.limit)]
    surrogates = [load_classifier(path) for path in arguments.surrogate]
    targets = [*surrogates, *(load_classifier(path) for path in arguments.target)]
    labels = labels_of(data)
    indices = [class_indices(labels, model.classes).indices for model in targets]
    print(f"## Removal attacks, level {arguments.level}\n{NOTE}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.state or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for preset in arguments.presets.split(","):
            release = folder / f"release-{preset}"
            began = time.perf_counter()
            inputs = release_of(names, PRESETS[preset], surrogates, data=data, out=release)
            result = run_battery(
                Pairs(inputs, release / "images", labels, indices),
                targets,
                logo=LOGO,
                level=arguments.level,
                names=arguments.attack,
                state_dir=folder / f"battery-{preset}-{arguments.level}-{chosen(arguments.attack)}",
                observer=Watch(preset),
                workers=arguments.workers,
            )
            print(file=sys.stderr)
            marking = time.perf_counter() - began - result.seconds
            tell(preset, result, white_box={model.name for model in surrogates})
            print(
                f"\n{result.seconds / max(result.images, 1):.1f} s a photograph with {len(targets)} targets; "
                f"marking took {marking / max(result.images, 1):.1f} s each."
            )


if __name__ == "__main__":
    main()
