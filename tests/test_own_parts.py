"""The pages of docs/how-to: their examples are run as printed, from Python and from the command line."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from medlocker.certificates import Owner
from medlocker.demo import builtin_model, write_samples
from medlocker.evaluate import open_targets
from medlocker.evaluate.removal import Item, run_battery
from medlocker.labels import load_labels
from medlocker.protect import Settings, make_finder
from medlocker.testing import LinearClassifier
from runs import Answer, Shell, check_release, fill, make_run
from runs import protect as run_protect

PAGES = Path(__file__).resolve().parent.parent / "docs" / "how-to"
PARTS = {
    "attack": ("attacks", "wipe", "Wipe"),
    "against": ("attacks", "sharpen", "Sharpen"),
    "search": ("searches", "sweep", "Sweep"),
    "finder": ("finders", "bright", "BrightSpots"),
    "classifier": ("classifiers", "warmth", "Warmth"),
}
"""By page: the group of the entry point, its name, and the class."""


def example(page: str) -> str:
    """Return the one Python block of a page."""
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    (found,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return str(found)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package `my_marks` with the examples of all pages and an entry point for each."""
    place = tmp_path / "site"
    folder, facts = place / "my_marks", place / "my_marks-1.0.dist-info"
    for made in (folder, facts):
        made.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    groups: dict[str, list[str]] = {}
    for page, (group, name, made_of) in PARTS.items():
        (folder / f"{page}.py").write_text(example(page))
        groups.setdefault(group, []).append(f"{name} = my_marks.{page}:{made_of}")
    lines = [line for group, some in groups.items() for line in (f"[medlocker.{group}]", *some)]
    (facts / "entry_points.txt").write_text("\n".join(lines) + "\n")
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: my_marks\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(place))
    yield folder
    for loaded in [name for name in sys.modules if name.split(".")[0] == "my_marks"]:
        del sys.modules[loaded]


def module(page: str) -> ModuleType:
    return importlib.import_module(f"my_marks.{page}")


@pytest.fixture
def shell(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capfd, monkeypatch)


def names_of(page: str) -> tuple[str, str]:
    """Return both ways in which a part is named."""
    _, name, made_of = PARTS[page]
    return name, f"my_marks.{page}:{made_of}"


def test_all_pages_are_listed() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} >= {"README", *PARTS}
    for page in PARTS:
        assert f"({page}.md)" in (PAGES / "README.md").read_text()
        assert f"my_marks.{page}:{PARTS[page][2]}" in (PAGES / f"{page}.md").read_text()


# ------------------------------------------------------------------------------------ from Python


def test_a_search_is_taken(package: Path, tmp_path: Path, owner: Owner) -> None:
    source = fill(tmp_path / "in", 2, size=64)
    kind = module("search").Sweep
    results = []
    for number, search in enumerate([kind, kind(budget=24), *names_of("search")]):
        settings = Settings(preset="paper", search=search, seed=3, budget=24)
        out = tmp_path / f"out{number}"
        assert run_protect(source, out, owner, settings=settings).summary.marked == 2
        results.append(check_release(source, out, owner, tmp_path / f"again{number}"))
    assert all(found == results[0] for found in results)
    assert settings.to_json()["search"] == "sweep"
    another = Settings(preset="paper", search="random", seed=3, budget=24)
    run_protect(source, tmp_path / "other", owner, settings=another)
    assert check_release(source, tmp_path / "other", owner, tmp_path / "o") != results[0]


def test_marks_are_searched_against_an_attack(package: Path, tmp_path: Path, owner: Owner) -> None:
    source = fill(tmp_path / "in", 2, size=64)
    against = ("jpeg", module("against").Sharpen())
    settings = Settings(preset="strong", against=against, seed=3, budget=60)
    result = run_protect(source, tmp_path / "out", owner, settings=settings)
    assert result.summary.marked == 2
    assert settings.against_names == ("jpeg", "sharpen")
    assert result.json["against"].get("sharpen", 0) >= 1
    assert settings.to_json()["against"] == ("jpeg", "sharpen")


def test_a_finder_keeps_marks_out(package: Path, tmp_path: Path, owner: Owner) -> None:
    samples = write_samples(tmp_path / "eyes", count=2, seed=4, width=160, height=160)
    finder = make_finder(module("finder").BrightSpots(), ())
    assert finder is not None
    run = make_run(samples.images, tmp_path / "out", owner, finder=finder, settings=Settings(seed=1))
    assert run.regions_source == "bright spots"
    result = run_protect(samples.images, tmp_path / "out", owner, finder=finder, settings=Settings(seed=1))
    assert (result.summary.marked, result.summary.with_found) == (2, 2)


def test_a_classifier_is_asked(package: Path, tmp_path: Path, owner: Owner) -> None:
    source = fill(tmp_path / "in", 2, size=64)
    model = module("classifier").Warmth()
    settings = Settings(preset="paper", seed=3, budget=16)
    result = run_protect(source, tmp_path / "out", owner, settings=settings, classifiers=[model])
    assert result.summary.marked == 2
    (tmp_path / "labels.csv").write_text("image,grade\n00.png,cold\n01.png,warm\n")
    targets, failed = open_targets([model], load_labels(tmp_path / "labels.csv"))
    assert [target.name for target in targets] == ["warmth"]
    assert failed == ()


def test_an_attack_is_a_row(package: Path) -> None:
    attack = module("attack").Wipe()
    rng = np.random.default_rng(0)
    clean = rng.integers(60, 90, (64, 64, 3)).astype(np.uint8)
    marked = clean.copy()
    marked[10:40, 10:40] = 240
    item = Item("a", clean, marked, (0,))
    result = run_battery([item], [LinearClassifier(size=32)], logo=None, names=["none"], own=[attack])
    rows = {row.attack: row for row in result.rows}
    assert set(rows) == {"none", "wipe"}
    assert rows["wipe"].knows == "where the marks lie"
    assert rows["wipe"].psnr_region is not None
    assert rows["none"].psnr_region is not None
    assert rows["wipe"].psnr_region > rows["none"].psnr_region + 10


# ------------------------------------------------------------------------------ from the command line


@pytest.fixture
def eyes(tmp_path: Path) -> Path:
    write_samples(tmp_path / "eyes", count=3, seed=4, width=128, height=128)
    return tmp_path


def protect(shell: Shell, place: Path, owner_name: Path, *more: object) -> Answer:
    return shell(
        *("protect", "eyes/images", "--owner", owner_name, "--no-ledger", "--seed", 1, "--json"),
        *more,
        cwd=place,
    )


@pytest.mark.parametrize("way", [0, 1])
def test_the_command_line_takes_all_five(
    package: Path, eyes: Path, owner_name: Path, shell: Shell, way: int
) -> None:
    named = {page: names_of(page)[way] for page in PARTS}
    answer = protect(
        shell,
        eyes,
        owner_name,
        *("--preset", "paper", "--budget", 40, "--model", named["classifier"], "--search", named["search"]),
        *("--robust-to", f"flip,{named['against']}", "--lesions", named["finder"], "--out", "release"),
    )
    assert (answer.code, answer.json["marked"]) == (0, 3), answer.err
    assert set(answer.json["against"]) <= {"flip", "sharpen"}
    shown = shell("inspect", "release", "--json", cwd=eyes)
    assert shown.json["regions"] == "bright spots"
    assert [model["name"] for model in shown.json["models"]] == ["warmth"]
    judged = shell(
        *("evaluate", "--clean", "eyes/images", "--release", "release", "--labels", "eyes/labels.csv"),
        *("--target", builtin_model(), "--attack", named["attack"], "--out", "report", "--json"),
        cwd=eyes,
    )
    assert judged.code == 0, judged.err
    table = (eyes / "report" / "removal.csv").read_text()
    assert "wipe" in table
    assert "jpeg" not in table  # without --removal only the user's own
    assert "where the marks lie" in (eyes / "report" / "report.html").read_text()


def test_several_processes_open_the_same_parts(
    package: Path, eyes: Path, owner_name: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(package.parent), *filter(None, [known])]))
    parts = (
        *("--preset", "paper", "--budget", 24, "--model", names_of("classifier")[1]),
        *("--search", names_of("search")[0], "--lesions", names_of("finder")[1]),
        *("--robust-to", names_of("against")[1], "--provenance", "none"),
    )
    alone = protect(shell, eyes, owner_name, *parts, "--out", "one")
    several = protect(shell, eyes, owner_name, *parts, "--out", "two", "--workers", 2)
    assert (alone.code, several.code) == (0, 0), several.err
    for file in (eyes / "one" / "images").iterdir():
        assert file.read_bytes() == (eyes / "two" / "images" / file.name).read_bytes()


# -------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--search", "corner"), "expected a search of auto, random, evolution"),
        (
            ("--search", "my_marks.nowhere:X"),
            "search my_marks.nowhere:X: cannot be loaded: ModuleNotFoundError",
        ),
        (("--search", "my_marks.attack:Wipe"), "expected a subclass of medlocker.search.Search, got Wipe"),
        (("--robust-to", "jpeg,magic"), "expected an attack of jpeg, blur"),
        (("--robust-to", "my_marks.finder:BrightSpots"), "got BrightSpots without name, knows, restore"),
        (
            ("--lesions", "moles"),
            "expected a finder of regions of auto, none, fundus, skin, attention, bright",
        ),
        (("--model", "my_marks.attack:Wipe"), "expected a classifier, got Wipe without classes, height"),
    ],
)
def test_unknown_names_are_refused_by_a_sentence(
    package: Path, eyes: Path, owner_name: Path, shell: Shell, options: tuple[str, ...], said: str
) -> None:
    (eyes / "out").mkdir()
    model = () if "--model" in options else ("--model", builtin_model())
    answer = protect(shell, eyes, owner_name, "--preset", "paper", *model, *options, "--out", "out")
    assert answer.code == 2
    assert said in " ".join(answer.err.split()), answer.err
    assert not list((eyes / "out").iterdir())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"search": "corner"}, "expected a search of auto, random"),
        ({"preset": "x"}, "expected a preset of paper, strong, veil, got 'x'"),
        ({"aim": "x"}, "expected an aim of same, key, wrong, got 'x'"),
        ({"placement": "x"}, "expected a placement of series, image, got 'x'"),
        ({"against": ("x",)}, "expected an attack of jpeg"),
        ({"against": (3,)}, "expected an attack, got int"),
        ({"search": 3}, "expected a subclass of medlocker.search.Search, got int"),
    ],
)
def test_settings_refuse_unknown_names(given: dict[str, Any], said: str) -> None:
    from medlocker.errors import InputError

    with pytest.raises(InputError, match=said):
        Settings(**{"preset": "strong", **given})


def test_naming_is_the_only_way_in(
    package: Path, eyes: Path, owner_name: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listing what there is, and every command that does not name a part, loads no foreign code."""
    for page in PARTS:
        (package / f"{page}.py").write_text("raise SystemExit('loaded')")
    answer = protect(shell, eyes, owner_name, "--search", "corner", "--preset", "paper", "--out", "r")
    assert answer.code == 2
    assert protect(shell, eyes, owner_name, "--model", builtin_model(), "--out", "release").code == 0
    assert not [name for name in sys.modules if name.startswith("my_marks.")]
