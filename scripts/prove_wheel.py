"""Build the wheel, install it alone into a fresh environment, and let it do there what the README promises.

python scripts/prove_wheel.py [--out FOLDER]    the wheel that proved itself is left there
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
_IMAGES = 3


def run(*command: object, folder: Path) -> str:
    """Run a command in a folder and return what it prints."""
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=folder, check=True, text=True, stdout=subprocess.PIPE).stdout


def build(folder: Path) -> Path:
    """Build the wheel of this checkout."""
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT, folder=folder)
    (wheel,) = folder.glob("medlocker-*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """Install it with what it needs, and nothing else; returns where programs lie."""
    venv.create(folder / "venv", with_pip=True)
    programs = next(path for path in (folder / "venv" / "bin", folder / "venv" / "Scripts") if path.exists())
    run(programs / "python", "-m", "pip", "install", "--quiet", wheel, folder=folder)
    return programs


def prove(programs: Path, version: str, folder: Path) -> None:
    """Protect, verify and restore a few images with the installed program.

    Raises:
        ValueError: If it is not the program that was built, or an original does not come back.
        subprocess.CalledProcessError: If a command fails.
    """
    medlocker = programs / "medlocker"
    if run(medlocker, "--version", folder=folder) != f"medlocker {version}\n":
        raise ValueError(f"expected version {version}")
    run(medlocker, "demo", "--out", "demo", folder=folder)
    originals, few = folder / "demo" / "originals", folder / "few"
    few.mkdir()
    images = sorted(path for path in originals.rglob("*") if path.suffix in (".png", ".jpg"))[:_IMAGES]
    for path in images:
        shutil.copy(path, few)
    run(medlocker, "key", "new", "--out", "owner", folder=folder)
    told = run(medlocker, "protect", "few", "--owner", "owner", "--out", "release", "--json", folder=folder)
    if json.loads(told)["marked"] != len(images) or len(images) != _IMAGES:
        raise ValueError(f"expected {_IMAGES} protected images, got {told}")
    owner = ["release", "--owner", "owner.sign.pub"]
    for release in (owner, ["demo/release", "--owner", next((folder / "demo").rglob("*.sign.pub"))]):
        if not json.loads(run(medlocker, "verify", *release, "--json", folder=folder))["valid"]:
            raise ValueError("expected a valid release")
    run(medlocker, "restore", *owner, "--identity", "owner.age.key", "--out", "restored", folder=folder)
    for path in images:
        if not _equal(path, folder / "restored" / path.name, programs, folder):
            raise ValueError(f"expected {path.name} back")


def _equal(first: Path, second: Path, programs: Path, folder: Path) -> bool:
    """Compare pixels, by a program that is not this one's."""
    code = "import sys; from PIL import Image as I, ImageChops as C; a, b = map(I.open, sys.argv[1:]);"
    code += "print(a.mode == b.mode and a.size == b.size and C.difference(a, b).getbbox() is None)"
    return run(programs / "python", "-c", code, first, second, folder=folder) == "True\n"


def main() -> None:
    """Do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="where the wheel is left")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "wheel").mkdir()
        wheel = build(folder / "wheel")
        programs = install(wheel, folder)
        prove(programs, wheel.name.split("-")[1], folder)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            shutil.copy(wheel, out)
    print(f"{wheel.name} protects, verifies and restores in an environment of its own")


if __name__ == "__main__":
    main()
