from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medlocker.errors import InputError, MedlockerError
from medlocker.logo import LearnedLogo, builtin_logo, load_learned, pack_overlay
from medlocker.prepare import write_learned


def textures() -> dict[str, str]:
    rng = np.random.default_rng(0)
    return {name: pack_overlay(rng.integers(-9, 10, (4, 5, 3)).astype(np.int8)) for name in ("*", "ill")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_learned(LearnedLogo(builtin_logo(), textures(), 9, False, {"images": 3}), tmp_path / "learned")
    return tmp_path / "learned"


def test_a_learned_logo_reads_as_it_was_written(folder: Path) -> None:
    found = load_learned(folder)
    assert found.logo.digest == builtin_logo().digest
    assert (found.levels, found.grey, found.facts) == (9, False, {"images": 3})
    assert found.textures == textures()
    assert found.digest == LearnedLogo(builtin_logo(), textures(), 9, False).digest
    assert sorted(path.name for path in folder.iterdir()) == ["learned.json", "logo.png", "textures.png"]


def test_the_texture_of_the_class_is_taken_and_none_for_another_kind_of_image(folder: Path) -> None:
    found = load_learned(folder)
    assert found.texture_for("ill", grey=False) == textures()["ill"]
    assert found.texture_for("healthy", grey=False) == textures()["*"]
    assert found.texture_for("ill", grey=True) == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "something"}, "expected a folder made by medlocker prepare, version 1"),
        ({"version": 2}, "expected a folder made by medlocker prepare, version 1"),
        ({"levels": 128}, "expected levels of 0 to 127 and grey as true or false"),
        ({"levels": True}, "expected levels of 0 to 127 and grey as true or false"),
        ({"grey": "no"}, "expected levels of 0 to 127 and grey as true or false"),
        ({"textures": {}}, "expected 1 to 1000 textures"),
        ({"textures": {str(k): "" for k in range(1001)}}, "expected 1 to 1000 textures"),
        ({"textures": {"*": 3}}, "expected the texture of '*' as text"),
        ({"textures": {"*": "?"}}, "overlay: expected base64 of deflate"),
    ],
)
def test_damage_is_refused(folder: Path, change: dict[str, Any], message: str) -> None:
    file = folder / "learned.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(InputError) as caught:
        load_learned(folder)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["", "[", "[]", "[" * 100_000])
def test_no_json_is_refused(folder: Path, text: str) -> None:
    (folder / "learned.json").write_text(text)
    with pytest.raises(InputError, match="learned logo learned: expected"):
        load_learned(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "logo.png").unlink()
    with pytest.raises(MedlockerError, match="logo"):
        load_learned(folder)
    (folder / "learned.json").unlink()
    with pytest.raises(InputError, match=r"logo learned: expected a picture, or a folder with learned\.json"):
        load_learned(folder)
