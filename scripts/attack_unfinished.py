"""Somebody else can write into an unfinished release: a thousand things that he may do there, one by one.

    python scripts/attack_unfinished.py [--attacks 1000] [--seed 1]

After each the owner repeats the command. It must refuse, and sign nothing, or end with the owner's own
release: its id, readable with its secret alone, every image restored to its original, and nothing outside
touched.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from medlocker.certificates import (
    Access,
    Ledger,
    Owner,
    ReleaseSecret,
    load_owner,
    new_owner,
    open_release,
    owner_access,
    verify_release,
)
from medlocker.errors import MedlockerError
from medlocker.formats import read_image
from medlocker.images import content_digest
from medlocker.logo import builtin_logo
from medlocker.protect import Outcome, Settings
from medlocker.release import FOLDER, Run, find_inputs, run_release
from medlocker.release._journal import Journal
from medlocker.restore import restore_release
from medlocker.testing import LinearClassifier

IMAGES = 5
_SETTINGS = Settings(preset="paper", budget=2, margin=0.0)


class _StoppedError(Exception):
    """Ends a run early."""


@dataclass(frozen=True)
class Bench:
    """What an attack is tried on.

    Args:
        folder: Holds all of it.
        owner: Keys.
        secrets: Of the attacked release and of another one with the same inputs and options.
        states: Copies of the attacked release, from early to late; the last one is attacked.
        other: A copy of the other release.
    """

    folder: Path
    owner: Owner
    secrets: tuple[ReleaseSecret, ReleaseSecret]
    states: tuple[Path, ...]
    other: Path

    @property
    def out(self) -> Path:
        """The unfinished release that the owner goes on with."""
        return self.folder / "out"

    def run(self, out: Path, ledger: Path, **options: object) -> None:
        """Give the owner's command."""
        with Ledger(ledger, self.owner.signing) as remembered:
            run = Run(
                inputs=find_inputs(self.folder / "in"),
                release=out,
                classifiers=(LinearClassifier(size=16),),
                logo=builtin_logo(),
                owner=self.owner,
                settings=_SETTINGS,
                ledger=remembered,
                workers=1,
            )
            run_release(run, **options)  # type: ignore[arg-type]


def make_bench(folder: Path) -> Bench:
    """Begin two releases, and stop them."""
    rng = np.random.default_rng(1)
    (folder / "in" / "sub").mkdir(parents=True)
    for k in range(IMAGES):
        pixels = rng.integers(0, 256, (6, 6, 3)).astype(np.uint8)
        name = f"sub/{k}.png" if k % 2 else f"{k}.png"
        Pillow.fromarray(pixels).resize((32, 32), Pillow.Resampling.BICUBIC).save(folder / "in" / name)
    new_owner(folder / "owner")
    bench = Bench(folder, load_owner(folder / "owner"), (ReleaseSecret.new(),) * 2, (), folder / "other")
    states = []
    for count in range(1, IMAGES):
        _stop_after(bench, count, bench.out, folder / "ledger")
        shutil.copytree(bench.out, folder / f"state{count}", symlinks=True)
        states.append(folder / f"state{count}")
    _stop_after(bench, IMAGES - 1, folder / "elsewhere" / "out", folder / "second")
    shutil.copytree(folder / "elsewhere" / "out", bench.other)
    secrets = (_secret(bench, bench.out), _secret(bench, folder / "elsewhere" / "out"))
    return Bench(folder, bench.owner, secrets, tuple(states), bench.other)


def _stop_after(bench: Bench, count: int, out: Path, ledger: Path) -> None:
    seen = 0

    def stop(outcome: Outcome) -> None:
        nonlocal seen
        seen += 1
        if seen == count:
            raise _StoppedError

    try:
        bench.run(out, ledger, progress=stop)
    except _StoppedError:
        return
    raise SystemExit("the run ended too early")


def _secret(bench: Bench, out: Path) -> ReleaseSecret:
    head = json.loads((out / FOLDER / "journal").read_bytes().splitlines()[0][65:])
    journal = Journal(out, run=head["run"], owner=bench.owner, ledger=True)
    journal.close()
    return journal.secret


Attack = Callable[[Bench, random.Random], None]


def _victim(bench: Bench, rng: random.Random) -> Path:
    """Return some file of the release, of the run's own folder most often."""
    files = sorted(path for path in bench.out.rglob("*") if path.is_file())
    own = [path for path in files if FOLDER in path.parts]
    return rng.choice(own if rng.random() < 0.8 else files)


def _flip(bench: Bench, rng: random.Random) -> None:
    path = _victim(bench, rng)
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 1, 8))):
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def _truncate(bench: Bench, rng: random.Random) -> None:
    path = _victim(bench, rng)
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data) + 1)])


def _scramble(bench: Bench, rng: random.Random) -> None:
    path = _victim(bench, rng)
    data = path.read_bytes()
    start = rng.randrange(len(data) + 1)
    junk = rng.choice((rng.randbytes(40), b"\0" * 40, b"\n", b"{}\n", b"[]\n"))
    path.write_bytes(data[:start] + junk + data[start + rng.choice((0, len(junk))) :])


def _take_from(source: Path, path: Path, bench: Bench) -> None:
    found = source / path.relative_to(bench.out)
    if found.is_file():
        shutil.copyfile(found, path)


def _swap(bench: Bench, rng: random.Random) -> None:
    """One file, or a part of one, of the other release."""
    path = _victim(bench, rng)
    if rng.random() < 0.5:
        _take_from(bench.other, path, bench)
        return
    found = bench.other / path.relative_to(bench.out)
    if found.is_file():
        start, other = rng.randrange(path.stat().st_size + 1), found.read_bytes()
        path.write_bytes(path.read_bytes()[:start] + other[start:])


def _swap_all(bench: Bench, rng: random.Random) -> None:
    """Everything of the other release, or all that its run keeps."""
    part = rng.choice((".", FOLDER, "images"))
    shutil.rmtree(bench.out / part)
    shutil.copytree(bench.other / part, bench.out / part)


def _replay(bench: Bench, rng: random.Random) -> None:
    """An earlier state, of one file or of all."""
    state = rng.choice(bench.states)
    if rng.random() < 0.3:
        shutil.rmtree(bench.out)
        shutil.copytree(state, bench.out)
    else:
        _take_from(state, _victim(bench, rng), bench)


def _move_lines(bench: Bench, rng: random.Random) -> None:
    path = bench.out / FOLDER / "journal"
    lines = path.read_bytes().splitlines(keepends=True)
    other = (bench.other / FOLDER / "journal").read_bytes().splitlines(keepends=True)
    for _ in range(rng.randrange(1, 4)):
        how = rng.choice(("swap", "drop", "twice", "other"))
        place = rng.randrange(len(lines))
        if how == "swap":
            second = rng.randrange(len(lines))
            lines[place], lines[second] = lines[second], lines[place]
        elif how == "drop" and len(lines) > 1:
            del lines[place]
        elif how == "twice":
            lines.insert(rng.randrange(len(lines) + 1), lines[place])
        else:
            lines[place] = rng.choice(other)
    path.write_bytes(b"".join(lines))


def _edit_line(bench: Bench, rng: random.Random) -> None:
    """What a line says, an unmarked original with its digest for instance; the code stays."""
    path = bench.out / FOLDER / "journal"
    lines = path.read_bytes().splitlines(keepends=True)
    place = rng.randrange(len(lines))
    value = json.loads(lines[place][65:])
    if value.get("entry") and rng.random() < 0.7:
        image = bench.out / "images" / value["entry"]["name"]
        shutil.copyfile(bench.folder / "in" / value["outcome"]["name"], image)
        value["entry"]["file"] = hashlib.sha256(image.read_bytes()).hexdigest()
        value["entry"]["pixels"] = read_image(image.read_bytes(), name="x").pixels.tobytes().hex()[:64]
    elif value.get("entry"):
        value["entry"]["name"] = rng.choice(("../../precious/file", "/etc/hosts", "0.png"))
    else:
        value[rng.choice(list(value))] = rng.choice((None, [], {}, "x", -1, 10**30))
    lines[place] = lines[place][:65] + json.dumps(value).encode() + b"\n"
    path.write_bytes(b"".join(lines))


def _link(bench: Bench, rng: random.Random) -> None:
    """A link out of the release, to where somebody's files lie under the same names."""
    name = rng.choice(
        ("images", "images/sub", FOLDER, f"{FOLDER}/journal", f"{FOLDER}/journal.blobs", "images/0.png")
    )
    path = bench.out / name
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.symlink_to(bench.folder / "precious" / (name if name != "images/0.png" else "images/file"))


def _remove(bench: Bench, rng: random.Random) -> None:
    _victim(bench, rng).unlink()


ATTACKS: dict[str, Attack] = {
    "bits flipped": _flip,
    "cut": _truncate,
    "overwritten": _scramble,
    "from another release": _swap,
    "all from another release": _swap_all,
    "earlier state": _replay,
    "lines moved": _move_lines,
    "line edited": _edit_line,
    "link": _link,
    "removed": _remove,
}


def _precious(bench: Bench) -> dict[str, bytes]:
    folder = bench.folder / "precious"
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def _make_precious(bench: Bench) -> None:
    """Files outside that have the names of files inside."""
    for name in (
        "images/sub/1.png",
        "images/0.png",
        "images/file",
        f"{FOLDER}/journal",
        f"{FOLDER}/journal.blobs",
        "file",
    ):
        path = bench.folder / "precious" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"of somebody else")


def attack(bench: Bench, name: str, rng: random.Random) -> str:
    """Attack once, repeat the command, and tell how that ended.

    Raises:
        AssertionError: If something was signed that is not the owner's, or something outside was touched.
    """
    for place in (bench.out, bench.folder / "precious", bench.folder / "restored"):
        shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(bench.states[-1], bench.out)
    _make_precious(bench)
    for leftover in bench.folder.glob("now*"):
        leftover.unlink()
    shutil.copyfile(bench.folder / "ledger", bench.folder / "now")
    before = _precious(bench)
    ATTACKS[name](bench, rng)
    said: list[str] = []
    try:
        bench.run(bench.out, bench.folder / "now", say=said.append)
    except MedlockerError:
        ended = "refused"
    else:
        ended = "said, and made again" if said else "finished"
        _check(bench)
    _expect((bench.out / "certificate/statement.dsse.json").exists() == (ended != "refused"), "signed")
    _expect(_precious(bench) == before, "something outside was touched")
    return ended


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)


def _check(bench: Bench) -> None:
    release = open_release(bench.out, bench.owner.signing.public)
    _expect(release.statement.release == bench.secrets[0].release, "another release's id")
    _expect(verify_release(release).valid, "not as signed")
    foreign = Access(release, whole=bench.secrets[1].identity())
    for line in release.lines():
        try:
            foreign.open(line)
        except MedlockerError:
            continue
        raise AssertionError("sealed to another release's secret")
    report = restore_release(owner_access(release, bench.owner.identity()), bench.folder / "restored")
    _expect((report.restored, report.failed) == (IMAGES, 0), "not all restored")
    for item in find_inputs(bench.folder / "in").items:
        back = (bench.folder / "restored" / item.name).read_bytes()
        digests = {content_digest(read_image(data, name="x")) for data in (back, item.path.read_bytes())}
        _expect(len(digests) == 1, "not the original")


def attack_often(folder: Path, count: int, *, seed: int) -> Counter[tuple[str, str]]:
    """Try every kind of attack in turn; returns how often each ended in which way."""
    bench = make_bench(folder)
    ends: Counter[tuple[str, str]] = Counter()
    names = list(ATTACKS)
    for number in range(count):
        name, rng = names[number % len(names)], random.Random(seed * 1_000_003 + number)
        try:
            ends[name, attack(bench, name, rng)] += 1
        except Exception as error:
            error.add_note(f"attack {number}, {name}, seed {seed}")
            raise
    return ends


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attacks", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ends = attack_often(Path(folder), options.attacks, seed=options.seed)
    kinds = ("refused", "said, and made again", "finished")
    print(f"| attack | {' | '.join(kinds)} |\n|---|---|---|---|")
    for name in ATTACKS:
        print(f"| {name} | {' | '.join(str(ends[name, kind]) for kind in kinds)} |")
    print(f"| all | {' | '.join(str(sum(n for (_, k), n in ends.items() if k == kind)) for kind in kinds)} |")


if __name__ == "__main__":
    main()
