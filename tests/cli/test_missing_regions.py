"""Images of which the given regions say nothing: refused, or as `--missing-regions` says."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

import medlocker as ml
from medlocker.certificates import Owner, ledger_path, load_owner, new_owner, open_release
from medlocker.cli.verify import regions_scope
from medlocker.demo.samples import write_samples
from medlocker.errors import InputError
from medlocker.regions import CANDIDATES
from runs import Answer, Shell, fill

HEADER = "image,region,x,y,width,height\n"


@pytest.fixture
def shell(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capfd, monkeypatch)


def run(shell: Shell, place: Path, owner_name: Path, *more: object, source: str = "in") -> Answer:
    arguments: list[object] = ["protect", source, "--owner", owner_name, "--seed", 1, "--out", "out"]
    return shell(*arguments, "--regions", "boxes.csv", *more, cwd=place)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Two images of which a table lists the first."""
    fill(tmp_path / "in", 2, size=96)
    (tmp_path / "boxes.csv").write_text(HEADER + "00.png,lesion,10,10,20,20\n")
    return tmp_path


def test_an_image_without_a_row_is_refused_before_anything_is_written(shell: Shell, place: Path) -> None:
    owner_name = new_owner(place / "own").prefix
    answer = run(shell, place, owner_name, "--missing-regions", "refuse")
    assert answer.code == 2
    assert "regions: expected every image to be listed, got nothing of 01.png" in answer.err
    assert "--missing-regions none" in answer.err
    assert not ledger_path(load_owner(owner_name).paths).exists()
    assert not list((place / "out").glob("**/*.png"))


def test_none_marks_it_and_the_statement_says_so(
    shell: Shell, place: Path, owner_name: Path, owner: Owner
) -> None:
    answer = run(shell, place, owner_name, "--missing-regions", "none", "--json", "--no-ledger")
    assert answer.code == 0, answer.err
    assert answer.json["marked"] == 2
    assert answer.json["regions"]["clinician"] is None
    assert "no regions for 01.png: nothing is kept out there" in answer.err
    assert open_release(place / "out", owner.signing.public).statement.regions == "given + unlisted: none"


@pytest.mark.parametrize("row", ["01.png,,,,,", "01.png,none,,,,", "01.png,No finding, ,,,"])
def test_a_row_of_empty_cells_lists_an_image(
    shell: Shell, place: Path, owner_name: Path, owner: Owner, row: str
) -> None:
    with (place / "boxes.csv").open("a") as stream:
        stream.write(row + "\n")
    answer = run(shell, place, owner_name, "--no-ledger")
    assert answer.code == 0, answer.err
    assert open_release(place / "out", owner.signing.public).statement.regions == "given"


def test_a_lesion_without_numbers_is_a_slip(shell: Shell, place: Path, owner_name: Path) -> None:
    (place / "boxes.csv").write_text(HEADER + "00.png,lesion,,,,\n")
    assert "line 2: expected a number, got ''" in run(shell, place, owner_name).err


def test_regions_of_the_same_name_in_another_folder_are_asked_about(
    shell: Shell, place: Path, owner_name: Path
) -> None:
    (place / "in").rename(place / "right")
    (place / "in").mkdir()
    (place / "right").rename(place / "in/right")
    (place / "boxes.csv").write_text(HEADER + "left/00.png,lesion,10,10,20,20\nright/01.png,lesion,5,5,9,9\n")
    answer = run(shell, place, owner_name, "--no-ledger")
    assert answer.code == 0
    asked = "regions of left/00.png are taken for right/00.png, which has only the file name in common: is it"
    assert asked in answer.err


def test_an_empty_mask_lists_an_image(place: Path, owner_name: Path) -> None:
    (place / "masks").mkdir()
    for name in ("00.png", "01.png"):
        Image.new("L", (96, 96)).save(place / "masks" / name)
    done = ml.protect(
        place / "in", owner=owner_name, out=place / "out", regions=place / "masks", ledger=False
    )
    assert done.run.regions_source == "given"


@pytest.mark.parametrize(
    ("options", "workers"),
    [((), 1), (("--missing-regions", "candidates"), 1), (("--missing-regions", "candidates"), 2)],
)
def test_candidates_stand_in_only_where_nothing_is_listed(
    shell: Shell, tmp_path: Path, owner_name: Path, owner: Owner, options: tuple[str, ...], workers: int
) -> None:
    eyes = write_samples(tmp_path / "in", count=2, width=200, height=200)
    first, second = sorted(path.name for path in eyes.images.iterdir())
    (tmp_path / "boxes.csv").write_text(HEADER + f"{first},lesion,90,90,9,9\n")
    more = (*options, "--no-ledger", "--workers", workers, "--json")
    answer = run(shell, tmp_path, owner_name, *more, source="in/images")
    assert answer.code == 0, answer.err
    assert answer.json["regions"] == {
        "source": f"given + unlisted: {CANDIDATES}",
        "clinician": False,
        "marked_with_findings": 1,
    }
    assert f"no regions for {second}: only candidates, found by a program, not a clinician" in answer.err
    assert open_release(tmp_path / "out", owner.signing.public).statement.regions.startswith("given + unl")


def test_candidates_are_not_named_where_every_image_is_listed(place: Path, owner_name: Path) -> None:
    (place / "boxes.csv").write_text(HEADER + "00.png,,,,,\n01.png,,,,,\n")
    done = ml.protect(
        place / "in",
        owner=owner_name,
        out=place / "out",
        regions=place / "boxes.csv",
        missing_regions="candidates",
        ledger=False,
    )
    assert done.run.regions_source == "given"
    assert not any("found no lesion" in text for text in done.notes)


def test_given_is_not_said_where_no_image_is_listed(place: Path, owner_name: Path) -> None:
    (place / "boxes.csv").write_text(HEADER)
    done = ml.protect(
        place / "in",
        owner=owner_name,
        out=place / "out",
        regions=place / "boxes.csv",
        missing_regions="none",
        ledger=False,
    )
    assert done.run.regions_source == "none"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"missing_regions": "none"}, "--missing-regions requires --regions"),
        (
            {"missing_regions": "candidates", "regions": "boxes.csv", "segmenter": "s"},
            "--missing-regions candidates cannot be used with --segmenter or --lesions",
        ),
        ({"missing_regions": "some", "regions": "boxes.csv"}, "expected refuse, none or candidates"),
    ],
)
def test_what_cannot_go_together(
    place: Path, owner_name: Path, options: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        ml.protect(place / "in", owner=owner_name, out=place / "out", **options)  # type: ignore[arg-type]


def test_none_is_nothing_that_was_found() -> None:
    assert "found" not in regions_scope("given + unlisted: none")
    assert "given or found" in regions_scope(f"given + unlisted: {CANDIDATES}")
