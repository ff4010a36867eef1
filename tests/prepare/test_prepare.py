from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medlocker.errors import InputError, ModelError, OutputExistsError
from medlocker.logo import LearnedLogo, builtin_logo, load_learned, unpack_overlay
from medlocker.prepare import Preparation, check_kind, prepare, write_learned
from medlocker.protect import Settings
from medlocker.release import find_inputs
from medlocker.testing import LinearClassifier
from onnx_models import make_onnx
from runs import Shell, fill, picture

SETTINGS = Settings(preset="strong", levels=24, marks=2, min_size=0.125)


@pytest.fixture
def shell(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capfd, monkeypatch)


def preparation(folder: Path, **options: object) -> Preparation:
    models = options.pop("classifiers", [LinearClassifier(size=32, seed=3)])
    return Preparation(
        inputs=find_inputs(folder),
        classifiers=models,  # type: ignore[arg-type]
        logo=builtin_logo(),
        settings=SETTINGS,
        rounds=8,
        **options,  # type: ignore[arg-type]
    )


class ColourClassifier(LinearClassifier):
    """Answers with the strongest colour: what misleads it does not hang on the place."""

    def __init__(self) -> None:
        super().__init__(size=32)
        self._weights = np.zeros_like(self._weights)
        for k in range(3):
            self._weights[k, :, :, k] = 60 / 32**2


def test_what_is_learned_misleads_more_than_the_plain_logo(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", 26, size=64)
    seen: list[int] = []
    large = replace(SETTINGS, levels=120, size=0.4, max_area=0.6, marks=3)
    one = replace(preparation(source, classifiers=[ColourClassifier()]), settings=large, rounds=24)
    found = prepare(one, progress=lambda done: seen.append(done.number))
    assert seen == list(range(24))
    assert found.images == 26
    assert found.textured > found.plain
    assert found.learned.facts["fooled_textured"] == round(found.textured, 4)
    assert len(found.learned.textures) >= 2
    for name, text in found.learned.textures.items():
        cells = unpack_overlay(text).astype(int)
        assert (np.abs(cells) <= 120).all()
        if name != "*":  # less of the label's own colour
            assert cells[cells.any(axis=2)][:, int(name[-1])].mean() < -60


def test_it_is_repeated_exactly_and_changes_with_the_seed(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", 8, size=64)
    digests = [prepare(preparation(source, seed=seed)).learned.digest for seed in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


def test_a_class_of_enough_images_has_its_own_texture(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", 24, size=64)
    textures = prepare(preparation(source)).learned.textures
    assert "*" in textures
    assert len(textures) >= 2
    assert len(set(textures.values())) == len(textures)


def test_bad_images_cost_only_themselves(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", 4, size=64)
    (source / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (source / "tiny.png").write_bytes(picture(size=10))
    found = prepare(preparation(source))
    assert found.images == 4
    assert [one.name for one in found.left_out] == ["broken.png", "tiny.png"]
    for name in ("00", "01", "02", "03"):
        (source / f"{name}.png").unlink()
    with pytest.raises(InputError, match="none of 2 images can be learned from: "):
        prepare(preparation(source))


def test_models_without_gradients_are_refused(tmp_path: Path) -> None:
    model = LinearClassifier(size=32, seed=3)
    model.has_gradients = False
    with pytest.raises(ModelError, match="learning a logo needs gradients, which"):
        prepare(preparation(fill(tmp_path / "in", 2), classifiers=[model]))


def test_a_logo_for_another_kind_of_image_is_refused(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", 2)
    learned = prepare(preparation(source)).learned
    check_kind(learned, find_inputs(source))
    grey = tmp_path / "grey"
    grey.mkdir()
    (grey / "a.png").write_bytes(picture(mode="L"))
    with pytest.raises(InputError, match="was made from coloured images, these are grey"):
        check_kind(learned, find_inputs(grey))
    with pytest.raises(InputError, match="was made from grey images, these are coloured"):
        check_kind(LearnedLogo(learned.logo, learned.textures, 24, True), find_inputs(source))
    (grey / "a.png").write_bytes(b"")
    check_kind(learned, find_inputs(grey))  # the run itself names files that cannot be read


def test_an_existing_folder_is_kept(tmp_path: Path) -> None:
    learned = prepare(preparation(fill(tmp_path / "in", 2))).learned
    write_learned(learned, tmp_path / "out")
    with pytest.raises(OutputExistsError, match="out exists already"):
        write_learned(learned, tmp_path / "out")
    write_learned(learned, tmp_path / "out", overwrite=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "precious").write_text("x")
    with pytest.raises(OutputExistsError, match="not a prepared logo, it is not overwritten"):
        write_learned(learned, tmp_path / "other", overwrite=True)


def test_the_commands_work_together(shell: Shell, tmp_path: Path, owner_name: Path) -> None:
    pytest.importorskip("torch")
    source = fill(tmp_path / "in", 4, size=64)
    make_onnx(tmp_path / "model.onnx", layout="NCHW")
    answer = shell(
        *(
            "prepare",
            str(source),
            "--preset",
            "strong",
            "--model",
            str(tmp_path / "model.onnx"),
            "--out",
            str(tmp_path / "learned"),
        ),
        *("--epochs", "4", "--json"),
        cwd=tmp_path,
    )
    assert answer.code == 0, answer.err
    assert answer.json["images"] == 4
    assert load_learned(tmp_path / "learned").facts["rounds"] == 4
    protected = shell(
        *(
            "protect",
            str(source),
            "--preset",
            "strong",
            "--model",
            str(tmp_path / "model.onnx"),
            "--owner",
            str(owner_name),
        ),
        *("--logo", str(tmp_path / "learned"), "--lesions", "none", "--no-ledger", "--json"),
        *("--out", str(tmp_path / "release")),
        cwd=tmp_path,
    )
    assert protected.code == 0, protected.err
    assert protected.json["marked"] == 4
    json.dumps(protected.json)


def test_nothing_but_an_earlier_learned_logo_is_replaced(
    shell: Shell, tmp_path: Path, owner_name: Path
) -> None:
    source = fill(tmp_path / "in", 2, size=64)
    (source / "learned.json").write_text("{}")
    make_onnx(tmp_path / "model.onnx", layout="NCHW")
    for out in ("in", "in/learned", "."):
        before = sorted(path.name for path in source.iterdir())
        answer = shell(
            *("prepare", "in", "--preset", "strong", "--model", "model.onnx", "--epochs", "1"),
            *("--out", out, "--overwrite"),
            cwd=tmp_path,
        )
        assert answer.code == 2, answer.err
        assert sorted(path.name for path in source.iterdir()) == before
    learned = prepare(preparation(source)).learned
    foreign = tmp_path / "foreign"
    write_learned(learned, foreign)
    (foreign / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="not a prepared logo, it is not overwritten"):
        write_learned(learned, foreign, overwrite=True)
    assert (foreign / "notes.txt").read_text() == "mine"
