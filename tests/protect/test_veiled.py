"""What a veil on one image is: keep-outs, decoys, how faint, and what is refused in one sentence."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from jpeg_pictures import jpeg
from medlocker.certificates import Owner
from medlocker.classifiers import Classifier
from medlocker.errors import InputError, NoRoomError
from medlocker.formats import read_image
from medlocker.geometry import Box
from medlocker.logo import Logo, builtin_logo
from medlocker.protect import Harden, Outcome, Settings
from medlocker.protect.veiled import (
    check_free,
    check_legible,
    check_seen,
    draw,
    reduce_opacity,
    wanted_classes,
)
from medlocker.regions import Regions, load_regions
from medlocker.release import run_release
from medlocker.testing import LinearClassifier
from pictures import make_image
from runs import images_of, make_run, picture
from veils import make_veil

LOGO = builtin_logo()
KEY = b"sixteen bytes ..."


def test_what_is_drawn_keeps_out_of_all_that_is_given() -> None:
    image, boxes = make_image(height=200, width=300), (Box(20, 30, 9, 8), Box(100, 90, 5, 6))
    bare = draw(Settings(), LOGO, image, boxes, key=KEY, with_decoys=False)
    assert bare.keep_out == boxes
    decoyed = draw(Settings(), LOGO, image, boxes, key=KEY, with_decoys=True)
    assert set(boxes) < set(decoyed.keep_out)
    assert list(decoyed.keep_out) == sorted(decoyed.keep_out)  # their order tells nothing
    assert replace(decoyed, keep_out=()) == replace(bare, keep_out=())


def test_what_all_images_have_needs_no_decoys() -> None:
    image, firm = make_image(height=200, width=300), Box(60, 60, 100, 60)
    veil = draw(Settings(), LOGO, image, (firm,), key=KEY, with_decoys=True, telling_nothing=(firm,))
    assert len(veil.keep_out) > 1
    assert draw(Settings(), LOGO, image, (firm,), key=KEY, with_decoys=True).keep_out == (firm,)


def test_decoys_of_a_jpeg_are_cut_like_lesions() -> None:
    image = read_image(jpeg(200, 300), name="x")
    veil = draw(Settings(), LOGO, image, (), key=KEY, with_decoys=True)
    assert veil.keep_out
    for box in veil.keep_out:  # of blocks of 16 pixels, wherever the image goes on
        assert box.x % 16 == box.y % 16 == 0
        assert box.right % 16 == 0 or box.right == 300
        assert box.bottom % 16 == 0 or box.bottom == 200


def test_regions_that_leave_nearly_nothing_have_no_room() -> None:
    check_free(boxes=(), width=100, height=100)
    check_free(boxes=(Box(0, 0, 100, 89),), width=100, height=100)
    with pytest.raises(
        NoRoomError,
        match=r"^2 regions leave 5% of the image free, too little for a veil, which needs 10%\Z",
    ):
        check_free(boxes=(Box(0, 0, 100, 95), Box(0, 0, 50, 50)), width=100, height=100)


@given(psnr=st.floats(5, 60), least=st.floats(0, 60), opacity=st.floats(0.02, 1), low=st.floats(0.01, 1))
def test_a_veil_is_made_as_faint_as_is_asked_for(
    psnr: float, least: float, opacity: float, low: float
) -> None:
    settings = Settings(legibility=least, opacity=(min(low, opacity), opacity))
    veil = make_veil(opacity=round(opacity * 65535), ground=round(opacity * 20000))
    weaker = reduce_opacity(veil, psnr_db=psnr, settings=settings)
    if weaker is None:
        assert psnr >= least or veil.opacity <= settings.opacity_range[0]
        return
    assert psnr < least
    assert settings.opacity_range[0] <= weaker.opacity < veil.opacity
    assert replace(weaker, opacity=veil.opacity, ground=veil.ground) == veil
    assert abs(weaker.ground / veil.ground - weaker.opacity / veil.opacity) < 0.01
    if weaker.opacity > settings.opacity_range[0]:  # of a linear change, by as much as was missing
        gained = 20 * np.log10(veil.opacity / weaker.opacity)
        assert least <= psnr + gained <= least + 0.2


def test_what_cannot_be_seen_or_read_is_refused() -> None:
    check_seen(47)
    check_legible(22, settings=Settings())
    with pytest.raises(InputError, match=r"^the veil cannot be seen on this image: its opacity is too low"):
        check_seen(49)
    with pytest.raises(InputError, match=r"^expected a veil that leaves 30 dB, got 27\.4 dB at the lowest"):
        check_legible(27.4, settings=Settings(legibility=30))


def test_classes_that_images_shall_be_given() -> None:
    models: list[Classifier] = [LinearClassifier(size=8), LinearClassifier(size=8)]
    counts = [len(model.classes) for model in models]
    last = tuple(count - 1 for count in counts)
    assert wanted_classes(Settings(), models, key=KEY) == last
    assert wanted_classes(Settings(aim_class=0), models, key=KEY) == (0, 0)
    assert wanted_classes(Settings(aim_class=99), models, key=KEY) == last
    drawn = {wanted_classes(Settings(aim="key"), models, key=bytes([k] * 8)) for k in range(40)}
    assert {classes[0] for classes in drawn} == set(range(counts[0]))
    assert wanted_classes(Settings(), [], key=KEY) == ()


UNFIT: dict[str, tuple[dict[str, Any], str]] = {
    "--max-area": ({"max_area": 0.5}, "it covers the whole free area"),
    "--min-size": ({"min_size": 0.1}, "it leaves regions free and does not shrink"),
    "--max-marks": ({"marks": 1}, "it is one lattice"),
    "--max-rotation": ({"rotation": 0}, "every copy is rotated at random"),
    "--texture-bound": ({"levels": 0}, "its copies have no searched texture"),
    "--confidence": ({"margin": 1.0}, "it is not optimised by margins"),
    "--robust-to": ({"against": ("jpeg",)}, "it is not optimised against attacks"),
    "--robust-to-downscaling": ({"bear_shrinking": True}, "it is not optimised against attacks"),
    "--search": ({"search": "gradient"}, "its parameters are random"),
    "--harden-opaque": ({"harden": Harden(opaque=0.1)}, "it is translucent"),
}


@pytest.mark.parametrize("option", UNFIT)
def test_options_that_do_not_fit_a_veil_are_refused_in_a_sentence(option: str) -> None:
    changes, why = UNFIT[option]
    with pytest.raises(InputError) as caught:
        Settings(preset="veil", **changes)
    assert str(caught.value) == f"{option} cannot be used with --preset veil: {why}"
    assert caught.value.hint == "leave the option out, or use --preset strong"
    Settings(preset="strong", **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"opacity": (0.001, 0.003)},
            "expected an opacity of at least 0.004, got 0.003: after rounding such a",
        ),
        ({"size": 0.0001}, "preset veil: expected a size of 0.0"),
        ({"legibility": -1}, "expected a smallest PSNR of 0 to 60 dB, got -1"),
        ({"legibility": 61}, "expected a smallest PSNR of 0 to 60 dB, got 61"),
        ({"legibility": float("nan")}, "expected a smallest PSNR of 0 to 60 dB, got nan"),
    ],
)
def test_settings_that_would_mark_nothing_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Settings(preset="veil", **changes)
    assert str(caught.value).startswith(message)


def test_hardening_makes_a_veil_harder() -> None:
    style = replace(Settings().style, warp=0.01, texture=5)
    hard = Settings(style=style, harden=Harden(warp=0.1, texture=30)).veil_style
    assert hard.warp > 0.1
    assert hard.texture == 30
    assert replace(hard, warp=style.warp, texture=style.texture, opacity=style.opacity) == style
    assert Settings(style=style, harden=Harden(warp=0.001, texture=3)).veil_style == style


# ------------------------------------------------------------------------------------- runs over images


def png(pixels: np.ndarray[Any, Any]) -> bytes:
    stream = io.BytesIO()
    Pillow.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


class Place:
    """Runs over pictures, without a model unless one is given."""

    def __init__(self, folder: Path, owner: Owner) -> None:
        self.folder, self.owner = folder, owner

    def run(
        self,
        files: dict[str, bytes],
        *,
        out: str = "out",
        logo: Logo = LOGO,
        classifiers: Sequence[Classifier] = (),
        regions: Regions | None = None,
        **changes: Any,
    ) -> dict[str, Outcome]:
        source = self.folder / "in"
        source.mkdir(exist_ok=True)
        for name, data in files.items():
            (source / name).write_bytes(data)
        seen: dict[str, Outcome] = {}
        settings = Settings(preset="veil", seed=1, **changes)
        run = make_run(source, self.folder / out, self.owner, settings=settings, regions=regions)
        run = replace(run, classifiers=classifiers, logo=logo)
        run_release(run, progress=lambda outcome: seen.update({outcome.name: outcome}))
        return seen


@pytest.fixture
def place(tmp_path: Path, owner: Owner) -> Place:
    return Place(tmp_path, owner)


def test_bad_images_cost_only_themselves_and_leave_nothing(place: Place) -> None:
    (place.folder / "boxes.csv").write_text("image,region,x,y,width,height\ncovered.png,a,0,0,48,46\n")
    files = {
        "good.png": picture(),
        "small.png": picture(size=31),
        "covered.png": picture(seed=2),
        "grey.png": png(np.full((48, 48), 127, np.uint8)),
    }
    grey = Logo(np.full((20, 20, 4), (127, 127, 127, 255), np.uint8))
    style = replace(Settings().style, mounted=False, texture=0)  # a badge or a texture would be seen
    seen = place.run(files, logo=grey, regions=load_regions(place.folder / "boxes.csv"), style=style)
    told = {name: (outcome.status, outcome.reason) for name, outcome in seen.items()}
    assert told["good.png"] == ("marked", "")
    assert told["small.png"] == (
        "skipped",
        "31 x 31 pixels are too few for a veil, expected at least 32 x 32",
    )
    assert told["covered.png"][0] == "skipped"
    assert "one region leaves 4% of the image free, too little for a veil" in told["covered.png"][1]
    assert told["grey.png"][0] == "failed"
    assert told["grey.png"][1].startswith("the veil cannot be seen on this image: its opacity is too low, or")
    assert set(images_of(place.folder / "out")) == {"good.png"}
    assert not list(place.folder.rglob(".medlocker-tmp*"))


def test_a_logo_of_the_images_colours_is_seen_on_its_badge(place: Place) -> None:
    grey = Logo(np.full((20, 20, 4), (127, 127, 127, 255), np.uint8))
    seen = place.run({"grey.png": png(np.full((48, 48), 127, np.uint8))}, logo=grey)
    assert seen["grey.png"].status == "marked"


def test_an_opacity_that_nothing_is_left_of_fails(place: Place) -> None:
    seen = place.run({"a.png": picture()}, opacity=(0.004, 0.0045))
    assert seen["a.png"].status == "failed"
    assert seen["a.png"].reason.startswith("the veil cannot be seen on this image")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp"])
def test_legibility_bounds_what_is_written(place: Place, name: str) -> None:
    kind = {"png": "PNG", "jpg": "JPEG", "bmp": "BMP"}[name[2:]]
    data = picture(kind, size=96)
    free = place.run({name: data}, opacity=(0.01, 0.2), legibility=0)[name]
    bound = place.run({name: data}, out="bound", opacity=(0.01, 0.2), legibility=36)[name]
    assert free.psnr is not None
    assert bound.psnr is not None
    assert free.psnr < 33
    assert not free.shrunk
    assert 36 <= bound.psnr < (38 if name == "a.jpg" else 36.6)  # a JPEG leaves out what is less than a step
    assert bound.shrunk
    unreached = place.run({name: data}, out="unreached", opacity=(0.1, 0.2), legibility=40)[name]
    assert unreached.status == "failed"
    assert unreached.reason.startswith("expected a veil that leaves 40 dB, got 3")


def test_models_are_asked_at_the_original_and_at_the_written_file(place: Place) -> None:
    models = [LinearClassifier(size=24), LinearClassifier(size=32)]
    seen = place.run({"a.png": picture(), "b.png": picture(seed=3)}, classifiers=models)
    for outcome in seen.values():
        assert outcome.evaluations == 2 * len(models)
        assert len(outcome.fooled) == len(outcome.clean_correct) == 2


@pytest.mark.parametrize("aim", ["same", "key", "wrong"])
def test_more_draws_come_nearer_to_the_aim(place: Place, aim: Any) -> None:
    files = {f"{k}.png": picture(seed=k) for k in range(4)}
    few = place.run(files, classifiers=[LinearClassifier(size=24)], aim=aim)
    many = place.run(files, out="many", classifiers=[LinearClassifier(size=24)], aim=aim, budget=12)
    assert all(outcome.evaluations == 2 for outcome in few.values())
    assert all(2 <= outcome.evaluations <= 14 for outcome in many.values())
    if aim == "wrong":
        assert sum(outcome.fooled[0] for outcome in many.values()) >= sum(
            outcome.fooled[0] for outcome in few.values()
        )
