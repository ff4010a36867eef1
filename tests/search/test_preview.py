from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medlocker.attacks import ATTACK_NAMES, attack_capped, changed, widened
from medlocker.classifiers import BaseClassifier, Card, InputSpec
from medlocker.classifiers.resize import ResizeRule
from medlocker.images import Image, viewed
from medlocker.logo import builtin_logo
from medlocker.mark import Mark
from medlocker.marking import mark_pixels
from medlocker.placements import FreePlacements
from medlocker.search import Preview, Problem, is_coarse, work_step
from medlocker.search._guided import screen
from medlocker.search._modelviews import LINEAR
from medlocker.search.preview import block_mean
from medlocker.testing import LinearClassifier
from pictures import make_image
from test_logo import arrow

KEY = "00112233445566778899aabbccddeeff"


def model(
    *, height: int = 32, width: int = 40, channels: int = 3, rule: ResizeRule = "stretch"
) -> BaseClassifier:
    card = Card(InputSpec(height=height, width=width, channels=channels, resize=rule))
    return BaseClassifier(card, name="m", fingerprint="", classes=("0", "1"))


def difference(preview: Preview, image: Any, models: list[BaseClassifier], marks: list[Mark]) -> list[Any]:
    """Absolute difference between the preview and the canvas of the marked image, per model."""
    colors = viewed(image, mark_pixels(image, marks, logo=arrow()).pixels)
    found = []
    for k, one in enumerate(models):
        out = np.empty((one.height, one.width, one.channels), np.float32)
        preview.compose(k, marks, out)
        found.append(np.abs(out - one.canvas(colors)))
    return found


CASES: dict[str, dict[str, Any]] = {
    "rgb": {},
    "grey": {"kind": "grey"},
    "grey-alpha": {"kind": "grey-alpha"},
    "rgba": {"kind": "rgba"},
    "white is zero": {"kind": "grey", "white_is_zero": True},
    "rgb 16": {"bits": 16},
    "grey 16": {"kind": "grey", "bits": 16},
    "white is zero 16": {"kind": "grey", "bits": 16, "white_is_zero": True},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("rule", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_preview_is_the_marked_images_canvas(case: str, rule: ResizeRule, channels: int) -> None:
    image = make_image(height=61, width=75, **CASES[case])
    models = [model(channels=channels, rule=rule), model(height=50, width=41, channels=channels, rule=rule)]
    preview = Preview(image, models, logo=arrow())
    assert preview.step == 1
    for mark in (
        Mark(x=0, y=0, size_px=25, opacity=30000),
        Mark(x=50, y=46, size_px=25, opacity=65535),
        Mark(x=20, y=11, size_px=30, opacity=50000, rotation=7000),
        Mark(x=9, y=20, size_px=33, opacity=20000, key=KEY, warp_256=300, texture=30, opaque_permille=300),
    ):
        for off in difference(preview, image, models, [mark]):
            assert off.max() <= 2.5
            assert off.mean() <= 0.5


@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_the_models_size_are_not_resized(channels: int) -> None:
    image = make_image(height=32, width=40)
    models = [model(channels=channels)]
    preview = Preview(image, models, logo=arrow())
    for mark in (Mark(x=0, y=0, size_px=12, opacity=30000), Mark(x=27, y=19, size_px=13, opacity=65535)):
        (off,) = difference(preview, image, models, [mark])
        assert off.max() <= 1.5  # rounding, and Pillow's of the luminance
    slopes = np.linspace(-1, 1, 32 * 40 * channels, dtype=np.float32).reshape(32, 40, channels)
    np.testing.assert_array_equal(preview.pull_back(0, slopes), slopes)


@given(
    size=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    step=st.integers(1, 9),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
    seed=st.integers(0, 99),
)
def test_block_means(size: tuple[int, int], step: int, dtype: str, seed: int) -> None:
    top = 255 if dtype == "uint8" else 65535
    values = np.random.default_rng(seed).integers(0, top, (*size, 3), endpoint=True).astype(dtype)
    found = block_mean(values, step)
    expected = [
        [
            values[y : y + step, x : x + step].mean(axis=(0, 1), dtype=np.float64)
            for x in range(0, size[1], step)
        ]
        for y in range(0, size[0], step)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-2)
    assert found.dtype == np.float32


@pytest.mark.parametrize("rule", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("bits", [8, 16])
def test_large_images_are_previewed_by_blocks(rule: ResizeRule, bits: int) -> None:
    image = make_image(height=403, width=530, bits=bits)
    models = [model(rule=rule)]
    preview = Preview(image, models, logo=arrow())
    assert preview.step == work_step(403, 530, models) == 8
    for x, y, opacity in ((0, 0, 40000), (104, 56, 65535), (424, 336, 30000)):
        (off,) = difference(preview, image, models, [Mark(x=x, y=y, size_px=100, opacity=opacity)])
        assert off.max() <= 20  # at hard edges, which blocks of 8 pixels soften
        assert off.mean() <= 1


def test_palette_images_are_previewed_but_for_their_palette() -> None:
    image = make_image("palette", height=61, width=75)
    models = [model()]
    (off,) = difference(
        Preview(image, models, logo=arrow()), image, models, [Mark(x=20, y=11, size_px=30, opacity=50000)]
    )
    assert off.mean() <= 3  # nearest entries of a coarse palette, 51 levels apart
    assert off.max() <= 26


def test_without_marks_it_is_the_original() -> None:
    image = make_image(height=61, width=75)
    preview = Preview(image, [model()], logo=arrow())
    out = np.empty((32, 40, 3), np.float32)
    preview.compose(0, [], out)
    np.testing.assert_array_equal(out, model().canvas(viewed(image)))
    np.testing.assert_array_equal(out, preview.clean_canvases[0])


def test_marks_apart_add_up() -> None:
    image = make_image(height=61, width=75)
    marks = [Mark(x=0, y=0, size_px=20, opacity=40000), Mark(x=50, y=40, size_px=20, opacity=60000)]
    (off,) = difference(Preview(image, [model()], logo=arrow()), image, [model()], marks)
    assert off.max() <= 2.5


@pytest.mark.parametrize(("size", "channels"), [((48, 64), 3), ((48, 64), 1), ((300, 410), 3)])
@pytest.mark.parametrize("kind", ["rgb", "grey"])
def test_screening_is_the_first_order_prediction(size: tuple[int, int], channels: int, kind: Any) -> None:
    image = make_image(kind, height=size[0], width=size[1])
    models = [
        LinearClassifier(size=24, channels=channels),
        LinearClassifier(size=20, seed=4, channels=channels),
    ]
    preview = Preview(image, models, logo=builtin_logo())
    size_px = size[0] // 3
    height, width = preview.height, preview.width
    support = np.ones((size_px, size_px), np.bool_)
    problem = Problem(
        preview,
        (0, 1),
        FreePlacements(image=(width, height), support=support),
        size_px,
        10000,
        50000,
    )
    places = problem.thinned(size_px / 4)
    slopes = tuple(
        one.gradients(clean[None], [label]).canvas
        for one, clean, label in zip(models, preview.clean_canvases, problem.labels, strict=True)
    )
    got = screen(problem, slopes, places)
    brute = np.zeros(len(places))
    for i, (x, y) in enumerate(places):
        for k, one in enumerate(models):
            out = np.empty((one.height, one.width, one.channels), np.float32)
            preview.compose(k, [problem.mark(x, y)], out)
            brute[i] += float((slopes[k][0].astype(np.float64) * (out - preview.clean_canvases[k])).sum())
    np.testing.assert_allclose(got, brute, atol=1e-3 * np.abs(brute).max())


@pytest.mark.parametrize("name", ATTACK_NAMES)
@pytest.mark.parametrize(("height", "width", "canvas"), [(80, 96, (64, 72)), (330, 600, (200, 300))])
def test_a_look_is_what_a_model_sees_after_the_attack(
    name: str, height: int, width: int, canvas: tuple[int, int]
) -> None:
    """For an image within the attacks' size, and for one that they shrink first."""
    card = Card(InputSpec(height=canvas[0], width=canvas[1]))
    model = BaseClassifier(card, name="m", fingerprint="", classes=("0", "1"))
    logo = builtin_logo()
    image = smooth_image(height, width)
    preview = Preview(image, [model], logo=logo, against=(name,))
    assert preview.looks == 2
    step, size = preview.step, height // 2
    mark = Mark(x=step * (11 // step + 4), y=step * 3, size_px=size, opacity=50000, rotation=2000)
    pixels = viewed(image, mark_pixels(image, [mark], logo=logo).pixels)
    mask = widened(changed(viewed(image), pixels), 2)
    real = model.canvas(attack_capped(name, pixels, mask))
    out, plain = np.empty((2, *canvas, 3), np.float32)
    preview.compose(0, [mark], out, look=1)
    preview.compose(0, [mark], plain)
    assert np.abs(out - real).mean() < 2
    # the attack makes a difference, and a larger one than the look's error
    assert np.abs(plain - real).mean() > np.abs(out - real).mean() * 1.7


@pytest.mark.parametrize("name", sorted(LINEAR))
def test_a_linear_look_passes_gradients_back_exactly(name: str) -> None:
    """The adjoint: <A x, g> = <x, A* g>."""
    model = BaseClassifier(Card(InputSpec(height=24, width=20)), name="m", fingerprint="", classes=("0", "1"))
    image = smooth_image(60, 70)
    preview = Preview(image, [model], logo=builtin_logo(), against=(name,))
    rng = np.random.default_rng(3)
    g = rng.normal(size=(24, 20, 3)).astype(np.float32)
    mark = Mark(x=8, y=10, size_px=30, opacity=40000)
    clean, marked = np.empty((2, 24, 20, 3), np.float32)
    preview.compose(0, [], clean, look=1)
    preview.compose(0, [mark], marked, look=1)
    change = np.zeros_like(preview.work)
    paint, coverage = preview.raster(mark).at(mark.opacity)
    h, w = coverage.shape[:2]
    change[10 : 10 + h, 8 : 8 + w] = paint - coverage * preview.work[10 : 10 + h, 8 : 8 + w]
    pulled = preview.pull_back(0, g, look=1)
    part = (slice(9, 31), slice(40, 70))
    np.testing.assert_allclose(preview.pull_back(0, g, look=1, part=part), pulled[part], rtol=1e-4, atol=1e-4)
    rows, cols = preview.part_of(mark)
    outside = change.copy()
    outside[rows, cols] = 0
    assert not outside.any()
    assert float(((marked - clean) * g).sum()) == pytest.approx(float((change * pulled).sum()), rel=1e-3)


def test_painting_over_leaves_a_texture_no_gradient() -> None:
    model = BaseClassifier(Card(InputSpec(height=24, width=20)), name="m", fingerprint="", classes=("0", "1"))
    preview = Preview(smooth_image(60, 70), [model], logo=builtin_logo(), against=("jpeg", "inpaint"))
    g = np.ones((24, 20, 3), np.float32)
    np.testing.assert_array_equal(preview.pull_back(0, g, look=1), preview.pull_back(0, g))
    assert not preview.pull_back(0, g, look=2).any()
    assert preview.places_matter


def smooth_image(height: int, width: int) -> Image:
    """Blobs: what an attack leaves of them is no matter of a pixel here or there."""
    noise = np.random.default_rng(1).normal(size=(height, width, 3)).astype(np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), height / 20)
    pixels = np.clip(128 + 60 * blurred / blurred.std(), 0, 255).astype(np.uint8)
    return Image(pixels, "rgb", "png", b"")


def test_coarse_is_what_halving_would_change() -> None:
    model = BaseClassifier(Card(InputSpec(height=32, width=32)), name="m", fingerprint="", classes=("0", "1"))
    assert not is_coarse(96, 96, [model])
    assert is_coarse(95, 200, [model])
