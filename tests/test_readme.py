"""The README is run as it is printed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from medlocker.demo import builtin_model, write_samples
from medlocker.regions import load_regions

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks() -> list[list[str]]:
    """Return the commands of each fenced block of no language, comments removed."""
    found = [text for language, text in re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL) if not language]
    return [[line.split("  #")[0].strip() for line in block.splitlines() if line.strip()] for block in found]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the files that the README's commands name."""
    samples = write_samples(tmp_path / "made", count=3, seed=5, width=256, height=256)
    (tmp_path / "fundus").mkdir()
    for name in samples.names:
        shutil.copy(samples.images / name, tmp_path / "fundus" / name.replace(".png", "_left.png"))
    rows = ["image,region,x,y,width,height"]
    regions = load_regions(samples.masks)
    for name in samples.names:
        for box in regions.boxes_for(name, width=256, height=256):
            marked = name.replace(".png", "_left.png")
            rows.append(f"{marked},lesion,{box.x},{box.y},{box.width},{box.height}")
    (tmp_path / "lesions.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "labels.csv").write_text(samples.labels.read_text().replace(".png", "_left.png"))
    shutil.copy(builtin_model(), tmp_path / "dr.onnx")
    shutil.copy(builtin_model().with_name("fundus-demo.card.json"), tmp_path / "dr.card.json")
    return tmp_path


def run(command: str, folder: Path) -> None:
    """Run one line with the medlocker of this interpreter; its failure shows what it printed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, shell=True, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    if done.returncode:
        pytest.fail(f"{command}\n{done.stdout}\n{done.stderr}")


@pytest.mark.slow
def test_commands_of_the_readme_work_as_printed(place: Path) -> None:
    two, own, worth, look, give, _ = blocks()
    assert [line.split()[:2] for line in two] == [["make", "demo"], ["make", "test"]]
    assert own[0].startswith("pip install .")
    for command in own[1:]:
        run(command, place)
    shutil.copy(place / "dr.onnx", place / "other.onnx")
    shutil.copy(place / "dr.card.json", place / "other.card.json")
    for command in worth:
        run(command, place)
    marked = min((place / "release" / "images").iterdir())
    shutil.copy(marked, place / "found.png")
    # the server is tried in a real browser elsewhere
    assert [command.split()[1] for command in look] == ["review", "install", "serve", "whose"]
    for command in (look[0], look[3], *give):
        run(command, place)
    assert (place / "report" / "report.html").is_file()
    first = {path.name: path.read_bytes() for path in (place / "originals").iterdir()}
    granted = {path.name: path.read_bytes() for path in (place / "for-alice").iterdir()}
    assert first == granted
    assert len(first) == 3


def test_commands_for_dicom_servers_have_the_options_that_are_printed() -> None:
    """The transfers themselves are tested with real servers."""
    *_, servers = blocks()
    commands = [line.split("#")[0].split()[1:] for line in servers if line.startswith("medlocker")]
    assert [words[0] for words in commands] == ["protect", "push", "proxy"]
    for name, *words in commands:
        known = subprocess.run(
            [sys.executable, "-c", "from medlocker.cli import main; main()", name, "--help"],
            capture_output=True,
            text=True,
            env={**os.environ, "COLUMNS": "200"},
            check=True,
        ).stdout
        assert any(word.startswith("dicomweb:https://") for word in words)
        for option in (word for word in words if word.startswith("--")):
            assert option in known, option


def test_make_knows_the_targets_that_the_readme_names() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"make ([a-z-]+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_files_that_the_readme_links_exist() -> None:
    for link in re.findall(r"\]\(((?!https)[^)#]+)\)", README):
        assert (ROOT / link).exists(), link


def test_headings_that_the_readme_links_exist() -> None:
    links = re.findall(r"\]\(([\w/.]+)#([\w-]+)\)", README)
    assert links
    for file, anchor in links:
        headings = re.findall(r"^#+ (.*)", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in {heading.lower().replace(" ", "-") for heading in headings}, anchor


def test_no_paragraph_is_longer_than_four_lines() -> None:
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    for paragraph in re.split(r"\n\n|\n(?=- )", prose):
        lines = paragraph.strip().splitlines()
        assert len(lines) <= 4 or lines[0].startswith("|"), lines[0]
