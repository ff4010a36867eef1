"""`medlocker evaluate --removal` as a user meets it: the report, interruptions, what is refused."""

from __future__ import annotations

import csv
import json
import shutil
import threading
from pathlib import Path
from typing import Any, NoReturn

import pytest
from markupsafe import escape

from medlocker.api.attacking import Watch
from medlocker.api.listener import Listener
from medlocker.cli._progress import ImageProgress
from medlocker.demo import SampleSet, builtin_model, write_samples
from medlocker.errors import WriteError
from medlocker.evaluate import _attacked
from medlocker.evaluate.removal import run_battery
from medlocker.evaluate.removal._fill import FillAttack
from medlocker.evaluate.removal._state import State
from medlocker.store import read_unproved
from runs import Answer, Shell, called

CHEAPEST = frozenset({"none", "filled, harmonic"})
FEW = CHEAPEST | {"blur 1", "logo inverted"}
"""Each brings the rows that share its work."""

ROWS = [
    "none",
    *("blur 1", "blur 2", "median 3", "median 5"),
    *("logo inverted", "logo inverted, smoothed"),
    *("filled, mean", "filled, harmonic", "filled, Telea", "filled, biharmonic"),
]


class Place:
    """Three synthetic photographs and their release."""

    def __init__(self, folder: Path, samples: SampleSet) -> None:
        self.folder, self.samples = folder, samples
        self.release = folder / "release"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, owner_name: Path) -> Place:
    folder = tmp_path_factory.mktemp("removal")
    samples = write_samples(folder / "eyes", count=3, seed=11, width=128, height=128)
    answer = called(
        *("protect", samples.images, "--model", builtin_model(), "--owner", owner_name),
        *("--preset", "paper", "--budget", 20, "--out", folder / "release"),
        *("--no-ledger", "--seed", 3, "--json"),
    )
    assert (answer.code, answer.json["marked"]) == (0, 3), answer.err
    return Place(folder, samples)


class Removal:
    """`medlocker evaluate --removal standard` of the place's release, with few attacks."""

    def __init__(self, shell: Shell, place: Place, out: Path) -> None:
        self.shell, self.place, self.out = shell, place, out
        self.state = out.with_name(f"{out.name}.removal-state")
        self.names = FEW

    def __call__(
        self, *more: object, release: Path | None = None, targets: tuple[Path, ...] = (builtin_model(),)
    ) -> Answer:
        samples = self.place.samples
        return self.shell(
            *("evaluate", "--clean", samples.images, "--release", release or self.place.release),
            *(word for target in targets for word in ("--target", target)),
            *("--labels", samples.labels, "--out", self.out, "--removal", "standard", *more),
            cwd=self.place.folder,
        )


@pytest.fixture
def removal(
    place: Place, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Removal:
    made = Removal(Shell(capfd, monkeypatch), place, tmp_path / "report")
    names = _attacked.attack_names

    def few(level: Any, *, knows_logo: bool) -> tuple[str, ...]:
        return tuple(name for name in names(level, knows_logo=knows_logo) if name in made.names)

    monkeypatch.setattr(_attacked, "attack_names", few)
    return made


def without_times(value: dict[str, Any]) -> dict[str, Any]:
    return {**value, "removal": [{**row, "seconds": 0.0} for row in value["removal"]]}


def interrupt_at(image: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C when so many images are finished; three are evaluated before the first is attacked."""
    seen = []
    advance = ImageProgress.advance

    def pressed(bar: ImageProgress, steps: int) -> None:
        advance(bar, steps)
        seen.extend([bar] * steps)
        if len(seen) == image:
            raise KeyboardInterrupt

    monkeypatch.setattr(ImageProgress, "advance", pressed)


def test_the_report_of_an_interrupted_run_is_that_of_a_whole_one(
    removal: Removal, monkeypatch: pytest.MonkeyPatch
) -> None:
    removal.names = CHEAPEST | {"blur 1"}
    with monkeypatch.context() as patch:
        interrupt_at(3 + 1, patch)
        stopped = removal("--json")
    assert (stopped.code, stopped.json) == (
        130,
        {"error": "interrupted", "code": "interrupted"},
    )
    assert [line for line in stopped.err.splitlines() if line.startswith("interrupted")] == [
        "interrupted: repeat the command to continue"
    ]
    assert not removal.out.exists()
    finished = {line["image"] for line in read_unproved(removal.state / "removal") if "image" in line}
    assert 1 <= len(finished) < 3

    filled: list[int] = []
    restore = FillAttack.restore

    def counted(attack: FillAttack, seen: Any) -> dict[str, Any]:
        if threading.current_thread() is not threading.main_thread():  # there the pictures are made
            filled.append(1)
        return restore(attack, seen)

    with monkeypatch.context() as patch:
        patch.setattr(FillAttack, "restore", counted)
        resumed = removal("--json")
    assert resumed.code == 0, resumed.err
    assert len(filled) == 3 - len(finished)
    assert not removal.state.exists()
    first = (removal.out / "report.html").read_text("utf-8")

    whole = removal("--json", "--overwrite")
    assert without_times(resumed.json) == without_times(whole.json)
    assert first.count("<img") == (removal.out / "report.html").read_text("utf-8").count("<img")


def test_the_json_and_the_files(removal: Removal, place: Place, tmp_path: Path) -> None:
    """Two targets of one name: the same file in another folder."""
    other = tmp_path / "other"
    other.mkdir()
    for path in (builtin_model(), builtin_model().with_name("fundus-demo.card.json")):
        shutil.copy(path, other)
    answer = removal("--json", targets=(builtin_model(), other / "fundus-demo.onnx"))
    assert answer.code == 0, answer.err
    value = answer.json
    assert [row["attack"] for row in value["removal"]] == ROWS * 2
    fields = {"attack", "knows", "target", "left", "interval", "n", "control", "psnr_region", "ssim_region"}
    assert all(row.keys() >= fields | {"seconds"} for row in value["removal"])
    names = ["fundus-demo", "fundus-demo (2)"]
    assert list(dict.fromkeys(row["target"] for row in value["removal"])) == names
    assert [one["target"] for one in value["removal_best"]] == names
    assert all(one["upper_bound"] is True for one in value["removal_best"])
    assert value["removal_images"] == 3
    assert value["removal_verdict"].startswith("On fundus-demo")
    # doing nothing is the condition `protected`, computed another way
    for target in value["targets"]:
        none = next(r for r in value["removal"] if (r["attack"], r["target"]) == ("none", target["name"]))
        assert (none["left"], none["n"]) == (target["protected"]["left"], target["clean_correct"])
    # the plain mark of the preset `paper` is undone
    inverted = next(row for row in value["removal"] if row["attack"] == "logo inverted")
    assert inverted["psnr_region"] > 30

    assert json.loads((removal.out / "report.json").read_text()) == value
    with (removal.out / "removal.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["attack"], row["target"]) for row in rows] == [
        (row["attack"], row["target"]) for row in value["removal"]
    ]
    page = (removal.out / "report.html").read_text("utf-8")
    section = page.partition("<h2>Attacks that remove the mark first</h2></summary>")[2]
    assert section.startswith(f"\n<p>{escape(value['removal_verdict'])}</p>")
    assert section.index("<h3>fundus-demo</h3>") < section.index("<h3>fundus-demo (2)</h3>")
    for words in ("Worst for the owner", "Best for the owner", 'alt="after '):
        assert words in page
    assert page.count('class="three"') == 2
    assert not removal.state.exists()


def test_the_table_for_people(removal: Removal) -> None:
    answer = removal("--removal-limit", 2)
    assert answer.code == 0, answer.err
    note = "removal attacks: 2 of 3 marked images, evenly spread; see --removal-limit"
    assert note in answer.err
    assert "2/2" in answer.err
    lines = answer.out.splitlines()
    (head,) = [k for k, line in enumerate(lines) if line.split()[:2] == ["model", "attack"]]
    columns = ["model", "attack", "left", "95", "%", "control", "information", "left", "dB"]
    assert lines[head].split() == columns
    assert any("layout alone" in line and "cannot be measured: 3 images" in line for line in lines)
    assert lines[head + 1].startswith("fundus-demo")
    lefts = [int(line.partition(" of ")[0].split()[-1]) for line in lines[head + 1 : head + 9]]
    assert lefts == sorted(lefts, reverse=True)
    assert any(line.split()[:1] == ["none"] for line in lines[head:])
    value = json.loads((removal.out / "report.json").read_text())
    assert lines[-2] == value["removal_verdict"]
    assert (value["removal_images"], note in value["notes"]) == (2, True)


def test_without_a_known_logo_the_attacks_that_need_it_are_left_out(
    removal: Removal, place: Place, tmp_path: Path
) -> None:
    plain = shutil.copytree(place.release / "images", tmp_path / "plain")
    answer = removal("--json", release=plain)
    assert answer.code == 0, answer.err
    note = "removal attacks: the logo is not known, so the attacks that need it are left out; see --logo"
    assert note in answer.json["notes"]
    assert {row["attack"] for row in answer.json["removal"]} == {r for r in ROWS if "logo" not in r}
    logo = place.release / "certificate" / "logo.png"
    given = removal("--json", "--overwrite", "--logo", logo, release=plain)
    assert note not in given.json["notes"]
    (inverted,) = [row for row in given.json["removal"] if row["attack"] == "logo inverted"]
    assert inverted["psnr_region"] > 30


def test_images_without_a_mark_leave_nothing_to_attack(removal: Removal, place: Place) -> None:
    answer = removal("--json", release=place.samples.images)
    assert answer.code == 0, answer.err
    value = answer.json
    assert (value["removal"], value["removal_best"], value["removal_images"]) == ([], [], 0)
    assert value["removal_verdict"] == (
        "No image of the release carries a mark, so there is nothing to remove."
    )
    assert value["removal_verdict"] in (removal.out / "report.html").read_text("utf-8")


def test_the_state_of_other_attacks_is_refused_before_any_work(
    removal: Removal, monkeypatch: pytest.MonkeyPatch
) -> None:
    removal.names = CHEAPEST
    with monkeypatch.context() as patch:
        interrupt_at(3 + 1, patch)
        assert removal().code == 130
    before = {path.name: path.read_bytes() for path in removal.state.iterdir()}
    answer = removal("--seed", 7)
    assert answer.code == 2
    assert answer.err.splitlines()[-2:] == [
        "error: report.removal-state holds unfinished removal attacks with other targets or options",
        "  repeat the first command to finish them, or delete report.removal-state",
    ]
    assert "evaluating" not in answer.err
    assert {path.name: path.read_bytes() for path in removal.state.iterdir()} == before


def test_a_strange_folder_in_the_state_s_place_is_refused(removal: Removal) -> None:
    removal.state.mkdir()
    (removal.state / "mine.txt").write_text("precious")
    answer = removal()
    assert answer.code == 2
    assert answer.err.splitlines()[-2] == (
        "error: report.removal-state: expected an interrupted run of removal attacks, got something else"
    )
    assert (removal.state / "mine.txt").read_text() == "precious"


def test_a_full_disk_costs_nothing_that_is_finished(
    removal: Removal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> NoReturn:
        raise WriteError("cannot write removal: no space left on device")

    removal.names = CHEAPEST
    with monkeypatch.context() as patch:
        patch.setattr(State, "add", full)
        answer = removal()
    assert answer.code == 1
    assert answer.err.splitlines()[-2:] == [
        "error: cannot write removal: no space left on device",
        "  solve this problem and repeat the command: it continues where it stopped",
    ]
    assert removal.state.is_dir()
    assert not removal.out.exists()


def test_attacks_that_break_down_cost_only_the_attacks(
    removal: Removal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any, **options: Any) -> NoReturn:
        raise ValueError("no such turn")

    monkeypatch.setattr(_attacked, "run_battery", broken)
    answer = removal("--json")
    assert answer.code == 1
    reason = "removal attacks failed: ValueError: no such turn"
    assert answer.json["failed"] == [{"removal": "attacks", "reason": reason, "code": "removal"}]
    assert f"warning: {reason}" in answer.err
    assert answer.json["targets"][0]["clean"]["n"] == 3
    assert answer.json["removal_verdict"] is None
    assert reason in (removal.out / "report.html").read_text("utf-8")
    assert not (removal.out / "removal.csv").exists()
    assert removal.state.is_dir()


def test_full_needs_torch(removal: Removal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    answer = removal("--removal", "full")
    assert answer.code == 2
    assert any(line.startswith("error: ") and "torch" in line for line in answer.err.splitlines())
    assert not removal.state.exists()


def test_a_training_is_announced_and_told_of_at_most_once_a_minute() -> None:
    listener = Listener()
    watch = Watch(listener, lambda: None)
    watch.estimated("removal network", 12.4)
    watch.trained("removal network", 100, 0.02134, 1.2)
    watch.trained("removal network", 200, 0.02, 1.3)
    assert listener.notes == [
        "removal network: 12 minutes at most, less if it stops improving; see --removal-minutes",
        "removal network: 100 steps, validation loss 0.0213, 1 minutes",
    ]


def test_the_minutes_reach_the_battery_and_another_number_goes_on(
    removal: Removal, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []
    run = run_battery

    def noted(*arguments: Any, **options: Any) -> Any:
        given.append(options["minutes"])
        return run(*arguments, **options)

    removal.names = CHEAPEST
    monkeypatch.setattr(_attacked, "run_battery", noted)
    with monkeypatch.context() as patch:
        interrupt_at(3 + 1, patch)
        assert removal("--removal-minutes", 5).code == 130
    assert removal("--removal-minutes", 40).code == 0
    assert given == [5, 40]
