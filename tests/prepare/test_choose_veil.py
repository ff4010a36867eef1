from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from medlocker.certificates import Owner
from medlocker.errors import InputError, OutputExistsError
from medlocker.labels import load_labels
from medlocker.logo import LearnedLogo, builtin_logo, load_logo
from medlocker.prepare import ChosenVeil, VeilPreparation, check_kind, prepare_veil, write_learned, write_veil
from medlocker.preparedveil import load_prepared_veil
from medlocker.protect import Aim, Settings
from medlocker.regions import load_regions
from medlocker.release import find_inputs
from medlocker.testing import LinearClassifier
from medlocker.veilstyle import DEFAULT_STYLE
from runs import check_release, fill, picture, protect

MODELS = tuple(LinearClassifier(size=32, seed=k) for k in (1, 2))
SETTINGS = Settings(preset="veil")
BUDGET = 2 * (12 + 60)


def preparation(folder: Path, **options: Any) -> VeilPreparation:
    base = VeilPreparation(find_inputs(folder), MODELS, builtin_logo(), SETTINGS, budget=BUDGET)
    return replace(base, **options)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("set") / "in", 12, size=64)


@pytest.fixture(scope="module")
def found(source: Path) -> ChosenVeil:
    return prepare_veil(preparation(source))


def test_a_style_is_chosen_within_the_budget_and_told(found: ChosenVeil) -> None:
    facts = found.prepared.facts
    assert facts["images"] == 12
    assert 0 < facts["evaluations"] <= BUDGET
    assert facts["styles"] >= 4
    assert facts["legibility"]["median_psnr"] >= 25
    assert facts["legibility"]["worst_psnr"] >= 22
    assert found.prepared.style.opacity <= 0.15
    assert facts["gathers"]["class"] == f"class{found.prepared.aim_class}"
    assert [model["name"] for model in facts["models"]] == ["linear1", "linear2"]


def test_each_model_is_left_out_once_and_judged_on_every_image(found: ChosenVeil) -> None:
    forecast = found.prepared.facts["forecast"]
    assert forecast["left_out"] is True
    assert [told["model"] for told in forecast["models"]] == ["linear1", "linear2"]
    for told in (*forecast["models"], *forecast["shipped"]):
        assert told["images"] == told["right"] == 12  # without labels every original is right
        low, high = told["left_interval"]
        assert low <= told["left"] <= high
        low, high = told["kappa_interval"]
        assert low <= told["kappa"] <= high
        assert told["information"] is not None


def test_the_same_seed_chooses_the_same_and_progress_adds_up(source: Path, found: ChosenVeil) -> None:
    done: Counter[str] = Counter()
    totals: dict[str, int] = {}

    def progress(what: str, steps: int, total: int) -> None:
        done[what] += steps
        totals[what] = total

    again = prepare_veil(preparation(source), progress=progress)
    assert again.prepared.digest == found.prepared.digest
    assert again.prepared.facts == found.prepared.facts
    assert done == totals
    assert done["asking"] == found.prepared.facts["evaluations"]
    other = prepare_veil(preparation(source, seed=1))
    assert other.prepared.facts != found.prepared.facts


def test_with_one_model_none_can_be_left_out(source: Path) -> None:
    forecast = prepare_veil(preparation(source, classifiers=MODELS[:1])).forecast
    assert not forecast.left_out
    assert [told.images for told in (*forecast.chosen, *forecast.shipped)] == [12, 12]


def test_of_a_few_images_none_are_kept_apart(tmp_path: Path) -> None:
    forecast = prepare_veil(preparation(fill(tmp_path / "in", 3, size=64))).forecast
    assert forecast.chosen == ()
    assert [told.information for told in forecast.shipped] == [None, None]


def test_labels_count_where_there_are_some(source: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("image,label\n" + "".join(f"{k:02d}.png,class0\n" for k in range(6)))
    labels = load_labels(tmp_path / "labels.csv")
    classes = tuple({"class0": 0} for _ in MODELS)
    told = prepare_veil(preparation(source, labels=labels, classes=classes)).forecast.shipped
    assert [one.images for one in told] == [12, 12]
    assert all(6 <= one.right < 12 for one in told)  # the six without a label are right


def test_the_aims_key_and_wrong_store_no_class(source: Path) -> None:
    aims: tuple[Aim, ...] = ("key", "wrong")
    for aim in aims:
        settings = replace(SETTINGS, aim=aim)
        assert prepare_veil(preparation(source, settings=settings)).prepared.aim_class is None


def test_legibility_and_a_range_of_opacities_bind_every_style(source: Path) -> None:
    settings = replace(SETTINGS, legibility=30.0, opacity=(0.02, 0.3))
    prepared = prepare_veil(preparation(source, settings=settings)).prepared
    assert prepared.facts["legibility"]["worst_psnr"] >= 30
    assert 0.02 <= prepared.style.opacity <= 0.3
    impossible = replace(SETTINGS, opacity=(0.5, 0.6))
    with pytest.raises(InputError, match=r"no veil of an opacity of 0.5 to 0.6 is seen .* 25 dB"):
        prepare_veil(preparation(source, settings=impossible))


def test_regions_and_decoys_are_kept_out(source: Path, tmp_path: Path) -> None:
    rows = "".join(f"{k:02d}.png,lesion,0,0,64,32\n" for k in range(12))
    (tmp_path / "boxes.csv").write_text("image,region,x,y,width,height\n" + rows)
    regions = load_regions(tmp_path / "boxes.csv")
    with_regions = prepare_veil(preparation(source, regions=regions)).prepared.facts
    assert with_regions["decoys"] is True
    (tmp_path / "all.csv").write_text("image,region,x,y,width,height\n" + "00.png,lesion,0,0,64,64\n")
    found = prepare_veil(preparation(source, regions=load_regions(tmp_path / "all.csv")))
    assert [one.name for one in found.left_out] == ["00.png"]
    assert "too little for a veil" in found.left_out[0].reason


def test_what_cannot_be_used_is_named_and_costs_only_itself(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", 4, size=64)
    (source / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (source / "grey.png").write_bytes(picture(mode="L", size=64))
    (source / "tiny.png").write_bytes(picture(size=10))
    left_out = {one.name: one.reason for one in prepare_veil(preparation(source)).left_out}
    assert set(left_out) == {"broken.png", "grey.png", "tiny.png"}
    assert left_out["grey.png"] == "not coloured as most of the images"
    assert "too few for a veil" in left_out["tiny.png"]
    for name in ("00", "01", "02", "03", "grey"):
        (source / f"{name}.png").unlink()
    with pytest.raises(InputError, match="none of 2 images can be used: "):
        prepare_veil(preparation(source))


def test_a_budget_that_is_too_small_is_refused(source: Path) -> None:
    with pytest.raises(InputError, match="expected a budget of at least 120 evaluations for 12 images and 2"):
        prepare_veil(preparation(source, budget=20))


def test_a_logo_that_cannot_be_seen_is_refused(tmp_path: Path) -> None:
    white = np.full((64, 64, 3), 255, np.uint8)
    stream = io.BytesIO()
    Pillow.fromarray(white).save(stream, "PNG")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_bytes(stream.getvalue())
    logo = load_logo(stream.getvalue(), name="white.png")
    plain = replace(DEFAULT_STYLE, negatives=False, mounted=False, texture=0)
    unseen = replace(preparation(folder, settings=replace(SETTINGS, style=plain)), logo=logo)
    with pytest.raises(
        InputError, match="none of 1 images can be used: the veil cannot be seen on this image"
    ):
        prepare_veil(unseen)
    assert prepare_veil(replace(unseen, settings=SETTINGS)).prepared.style.negatives


def test_it_is_read_again_and_fits_only_its_kind(found: ChosenVeil, tmp_path: Path) -> None:
    write_veil(found.prepared, tmp_path / "out")
    again = load_prepared_veil(tmp_path / "out")
    assert again.digest == found.prepared.digest
    assert again.facts == found.prepared.facts
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["logo.png", "veil.json", "veil.png"]
    with Pillow.open(tmp_path / "out" / "veil.png") as shown:
        pixels = np.asarray(shown)
    assert pixels.shape == (448, 672, 3)
    assert 0 < pixels[300, :200].max() < 60  # on black
    grey = tmp_path / "grey"
    grey.mkdir()
    (grey / "a.png").write_bytes(picture(mode="L"))
    with pytest.raises(InputError, match="was made from coloured images, these are grey"):
        check_kind(again, find_inputs(grey))


def test_grey_images_make_a_grey_veil(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for k in range(3):
        (source / f"{k}.png").write_bytes(picture(mode="L", size=64, seed=k))
    prepared = prepare_veil(preparation(source)).prepared
    assert prepared.grey
    write_veil(prepared, tmp_path / "out")
    with Pillow.open(tmp_path / "out" / "veil.png") as shown:
        assert shown.mode == "L"


def test_only_what_prepare_made_is_replaced(found: ChosenVeil, tmp_path: Path) -> None:
    write_veil(found.prepared, tmp_path / "out")
    with pytest.raises(OutputExistsError, match="out exists already"):
        write_veil(found.prepared, tmp_path / "out")
    write_learned(LearnedLogo(builtin_logo(), {}, 9, False), tmp_path / "other")
    write_veil(found.prepared, tmp_path / "out", overwrite=True)
    (tmp_path / "out" / "mine.txt").write_text("precious")
    with pytest.raises(OutputExistsError, match="not a prepared logo, it is not overwritten"):
        write_veil(found.prepared, tmp_path / "out", overwrite=True)


def test_protecting_with_it_costs_two_looks_a_model(
    found: ChosenVeil, source: Path, owner: Owner, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, style=found.prepared.style, aim_class=found.prepared.aim_class, seed=1)
    result = protect(source, tmp_path / "release", owner, classifiers=MODELS, settings=settings)
    assert result.json["marked"] == 12
    assert result.json["evaluations"] == 12 * 2 * len(MODELS)
    check_release(source, tmp_path / "release", owner, tmp_path / "restored")
