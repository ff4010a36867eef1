"""Audits of small models: what was learned by heart is found, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memorised import SIDE_PX, Memory, Release
from numpy.typing import NDArray
from PIL import Image as Pillow

import medlocker as ml
from medlocker.audit import Comparison, Marker, ask, choose, compare_with_others
from medlocker.certificates import Owner, new_owner
from medlocker.errors import InputError, ModelError, NoMatchingKeyError, SignatureError
from medlocker.protect import Settings
from medlocker.testing import LinearClassifier
from runs import called, fill, protect, tiny_model

PSNR_DB = 29.1
"""About what veils leave of these pictures: some are made fainter, some are not."""


@pytest.fixture(scope="module")
def veiled(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return Release(tmp_path_factory.mktemp("veiled"))


def test_a_model_that_learned_the_marked_files_by_heart_is_found(veiled: Release) -> None:
    found = veiled.audit(Memory(veiled.marked))
    assert found.found
    assert found.comparison.p_value < 0.001
    assert found.comparison.interval[0] > 0.6
    assert found.images == found.groups == 16
    assert found.evaluations == 16 * 5 * 2
    assert not found.failed
    assert found.exact


def test_one_that_learned_them_mirrored_is_found_too(veiled: Release) -> None:
    assert veiled.audit(Memory(veiled.marked, mirrored=True)).found


def test_one_that_learned_the_originals_is_not(veiled: Release) -> None:
    found = veiled.audit(Memory(veiled.originals))
    assert not found.found
    assert found.comparison.p_value > 0.05


def test_one_that_learned_another_release_of_the_same_is_not(veiled: Release, tmp_path: Path) -> None:
    other = Release(tmp_path, seed=2)
    assert other.audit(Memory(other.marked)).found
    assert veiled.audit(Memory(other.marked)).comparison.p_value > 0.05


def test_models_by_chance_are_found_as_rarely_as_promised(veiled: Release) -> None:
    models = [LinearClassifier(size=24, classes=2, seed=k) for k in range(50)]
    values = np.array([one.p_value for one in _compared(veiled, models)])
    assert (values <= 0.05).mean() < 0.05 + 3 * (0.05 * 0.95 / 50) ** 0.5
    assert abs((values <= 0.5).mean() - 0.5) < 0.2


@pytest.mark.parametrize("preset", ["strong", "paper"])
def test_single_marks_are_found_and_by_chance_not(preset: Any, tmp_path: Path) -> None:
    marks = ml.Marks(preset=preset, search="random", budget=1)
    release = Release(tmp_path, preset=marks, models="medlocker.testing:LinearClassifier")
    found = release.audit(Memory(release.marked))
    assert found.comparison.p_value < 0.01
    assert not found.exact  # nothing tells that no model chose these marks
    assert not found.found
    assert found.notes[-1].startswith("models may have chosen these marks: the p-value is not exact")
    options = ("--release", "release", "--owner", "own", "--alpha", "0.999")
    shown = called("audit", tiny_model(tmp_path).name, *options, cwd=tmp_path)
    assert shown.code == 1
    assert shown.out.startswith("signs, but no evidence, that tiny was trained on marked files")
    models = [LinearClassifier(size=24, classes=2, seed=k) for k in range(1, 41)]
    values = np.array([one.p_value for one in _compared(release, models)])
    assert (values <= 0.05).mean() < 0.05 + 3 * (0.05 * 0.95 / 40) ** 0.5


def _compared(release: Release, models: list[LinearClassifier]) -> list[Comparison]:
    """Audit many models with one marking of each image."""
    access = release.access()
    sample = choose(access, lambda name: True, images=1000, seed=0)
    marker = Marker(access, access.release.logo(), models, 4, 0, sample.faintness)
    answers = ask(marker, sample.members, [lambda name: 0] * len(models), batch=64, workers=1)
    assert answers.not_as_filed == 0
    return [compare_with_others(scores, draws=499) for scores in answers.scores]


def test_images_that_share_their_marks_count_once(owner: Owner, owner_name: Path, tmp_path: Path) -> None:
    for number in range(10):
        fill(tmp_path / "in" / f"series{number}", 2, first=10 * number)
    protect(
        tmp_path / "in",
        tmp_path / "release",
        owner,
        settings=Settings(preset="veil"),
        series_key=lambda path: path.parent.name,
    )
    found = ml.audit(LinearClassifier(size=24), release=tmp_path / "release", owner=owner_name)
    assert (found.images, found.groups) == (20, 10)


def test_without_labels_the_model_judges_itself(veiled: Release) -> None:
    found = veiled.audit(Memory(veiled.marked), labels=None)
    assert found.found
    assert not found.labelled


def test_the_same_seed_gives_the_same_result_whatever_the_threads(veiled: Release) -> None:
    model = LinearClassifier(size=24, classes=2)
    first, again = (veiled.audit(model, labels=None, images=10, workers=count) for count in (1, 3))
    assert first == again
    assert veiled.audit(model, labels=None, images=10, seed=1).comparison != first.comparison


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        (
            {"images": 9},
            InputError,
            "expected at least 10 images with marks of their own, got 9",
        ),
        ({"alpha": 0.0}, InputError, "expected a significance above 0 and below 1, got 0"),
        ({"others": 0}, InputError, "others: expected "),
        ({"others": 1001}, InputError, "expected at most 1000 other marks, got 1001"),
        ({"owner": "own.sign.pub"}, InputError, "own.sign.pub: expected a private key: the marks are sealed"),
        ({"owner": "nobody"}, InputError, "nobody"),
        ({"owner": "stranger"}, SignatureError, "statement"),
        ({"identity": "stranger.age.key", "owner": "own.sign.pub"}, NoMatchingKeyError, "owner's grant"),
    ],
)
def test_what_cannot_be_audited_is_refused(
    veiled: Release, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    folder = veiled.path.parent
    if not (folder / "stranger.age.key").exists():
        new_owner(folder / "stranger")
    for name in ("owner", "identity"):
        if name in options:
            options = {**options, name: folder / options[name]}
    with pytest.raises(error) as caught:
        veiled.audit(LinearClassifier(size=24, classes=2), **{"labels": None, **options})
    assert text in str(caught.value)


def test_one_model_is_audited(veiled: Release) -> None:
    with pytest.raises(InputError, match="expected one model, got 0"):
        veiled.audit(None)
    with pytest.raises(InputError, match="expected one model, got 2"):
        veiled.audit([LinearClassifier(size=24), LinearClassifier(size=24)])


class _Broken(LinearClassifier):
    def answer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.full((len(batch), 3), np.nan, np.float32)


def test_a_model_that_answers_nan_is_refused(veiled: Release) -> None:
    with pytest.raises(ModelError, match="the model answers NaN or infinity"):
        veiled.audit(_Broken(size=24), labels=None)


def test_a_model_of_one_class_is_refused(veiled: Release) -> None:
    with pytest.raises(ModelError, match="expected a model of at least 2 classes"):
        veiled.audit(LinearClassifier(size=24, classes=1), labels=None)


def test_a_model_that_always_answers_the_same_is_not_found(veiled: Release) -> None:
    found = veiled.audit(LinearClassifier(size=24, sharpness=0), labels=None)
    assert found.comparison.p_value == 1
    assert "the model answers the same whatever the mark: nothing can be told" in found.notes


def test_labels_of_other_classes_are_refused(veiled: Release) -> None:
    with pytest.raises(InputError, match="expected a class of the model, got 'no'"):
        veiled.audit(LinearClassifier(size=24))


def test_images_without_label_are_left_out(veiled: Release, tmp_path: Path) -> None:
    rows = veiled.labels.read_text("utf-8").splitlines()
    few = tmp_path / "few.csv"
    few.write_text("\n".join(rows[:13]) + "\n", "utf-8")
    assert veiled.audit(Memory(veiled.marked), labels=few).images == 12
    few.write_text("\n".join(rows[:6]) + "\n", "utf-8")
    with pytest.raises(InputError, match="expected at least 10 images") as caught:
        veiled.audit(Memory(veiled.marked), labels=few)
    assert caught.value.hint == "11 images are left out: they have no label"


def test_veils_that_models_chose_are_not_asked_about(tmp_path: Path) -> None:
    chosen = ml.Veil(budget=4)
    release = Release(tmp_path, preset=chosen, models="medlocker.testing:LinearClassifier")
    with pytest.raises(InputError, match=r"got 0$") as caught:
        release.audit(Memory(release.marked))
    assert caught.value.hint == "16 images are left out: models chose their veils among several (--budget)"


def test_other_veils_are_made_fainter_by_the_rule_of_the_release(tmp_path: Path) -> None:
    release = Release(tmp_path, preset=ml.Veil(legibility=PSNR_DB))
    access = release.access()
    sample = choose(access, lambda name: True, images=100, seed=0)
    shrunk = [one.facts.shrunk for one in sample.members]
    assert 3 <= sum(shrunk) <= 13
    assert sample.faintness.least_psnr_db == pytest.approx(PSNR_DB, abs=0.1)
    # as large as the pictures: what it is shown are their pixels
    model = LinearClassifier(size=SIDE_PX)
    marker = Marker(access, access.release.logo(), (model,), 4, 0, sample.faintness)
    for member in sample.members:
        clean = np.asarray(Pillow.open(release.originals / member.original_name), np.float64)
        errors = ((marker.views(member).canvases[0][:, 0] - clean) ** 2).mean(axis=(1, 2, 3))
        seen = 10 * np.log10(255**2 / errors)
        assert seen.min() > PSNR_DB - 0.05
        # faint ones begin as strong as all: not each ends where the own one did
        assert seen[1:].std() > 0.01 or member.facts.shrunk


def test_a_grant_is_enough(veiled: Release, tmp_path: Path) -> None:
    folder = veiled.path.parent
    new_owner(folder / "auditor")
    ml.grant(veiled.path, owner=veiled.owner, to=[folder / "auditor.age.pub"], out=tmp_path / "grant")
    found = veiled.audit(
        Memory(veiled.marked),
        owner=folder / "own.sign.pub",
        identity=folder / "auditor.age.key",
        grant=tmp_path / "grant",
    )
    assert found.comparison == veiled.audit(Memory(veiled.marked)).comparison


def test_marked_jpegs_are_found_too(tmp_path: Path) -> None:
    release = Release(tmp_path, kind="JPEG")
    found = release.audit(Memory(release.marked))
    assert found.found
    assert not found.notes  # put on again, the own marks give the very pixels of the files


def test_a_damaged_file_costs_only_itself(tmp_path: Path) -> None:
    release = Release(tmp_path)
    victim = sorted(release.marked.iterdir())[3]
    model = Memory(release.marked)
    victim.write_bytes(victim.read_bytes()[:-9])
    found = release.audit(model)
    assert (found.images, found.failed) == (15, 1)
    assert f"failed: {victim.name}: the marked file is not the signed one" in found.notes


def test_the_command_prints_what_the_call_finds(veiled: Release) -> None:
    folder = veiled.path.parent
    model = tiny_model(folder)
    options = ("--release", "release", "--owner", "own")
    answer = called("audit", model.name, *options, "--json", cwd=folder)
    assert answer.code == 1
    assert answer.json["found"] is False
    assert answer.json["images"] == 16
    shown = called("audit", model.name, *options, "--alpha", "0.999", cwd=folder)
    assert shown.code == 0
    assert shown.out.startswith("evidence: tiny was trained on marked files of this release\n")
    unreadable = called("audit", "labels.csv", *options, cwd=folder)
    assert unreadable.code == 2
    assert "model labels.csv: expected .onnx" in unreadable.err
