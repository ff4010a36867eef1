from __future__ import annotations

from typing import Any

import pytest

from medlocker.errors import InputError
from medlocker.protect import Harden, Preset, Settings
from medlocker.search import AnySearch, GradientSearch, RandomSearch


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 0}, "expected a size above 0 and at most 1, got 0"),
        ({"size": 1.01}, "expected a size above 0 and at most 1, got 1.01"),
        ({"size": float("nan")}, "expected a size above 0 and at most 1, got nan"),
        ({"min_size": 0}, "expected a smallest size above 0 and at most 1, got 0"),
        ({"opacity": (0, 1)}, "expected opacities above 0, at most 1, the lower first, got 0 1"),
        ({"opacity": (0.5, 0.4)}, "expected opacities above 0, at most 1, the lower first, got 0.5 0.4"),
        ({"opacity": (0.5, 1.1)}, "expected opacities above 0, at most 1, the lower first, got 0.5 1.1"),
        ({"budget": 0}, "expected a budget of 1 to 1000000 evaluations, got 0"),
        ({"budget": 10**22}, f"expected a budget of 1 to 1000000 evaluations, got {10**22}"),
        ({"margin": float("inf")}, "expected a margin of -100 to 100 logits, got inf"),
        ({"seed": 1 << 64}, "expected a seed of 0 to 2**64 - 1, got 18446744073709551616"),
    ],
)
def test_settings_out_of_range(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Settings(**change)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"warp": 0.3}, "expected a warp of 0 to 0.2 of the logo's size, got 0.3"),
        ({"texture": -1}, "expected a texture of 0 to 100 grey levels, got -1"),
        ({"opaque": 1.5}, "expected a share of opaque strokes of 0 to 1, got 1.5"),
    ],
)
def test_hardening_out_of_range(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Harden(**change)
    assert str(caught.value) == message


def test_hardening_grows_with_the_logo() -> None:
    assert Harden().for_size(56, b"k" * 32) is None
    harden = Harden(warp=1 / 56, texture=20)
    made = harden.for_size(56, b"k" * 32)
    assert made is not None
    assert (made.warp_256, made.texture) == (256, 20)
    larger = harden.for_size(560, b"k" * 32)
    assert larger is not None
    assert larger.warp_256 == 2560


def test_logo_sizes() -> None:
    assert Settings(preset="strong", size=0.25, min_size=0.125).sizes_px(400, 600) == [
        100,
        90,
        81,
        73,
        66,
        59,
        53,
        50,
    ]
    assert Settings(preset="strong", size=0.25, min_size=0.25).sizes_px(400, 600) == [100]
    assert Settings(preset="strong", size=0.25, min_size=0.5).sizes_px(400, 600) == [100]
    assert Settings(preset="strong").sizes_px(30, 600) == [8]
    assert Settings(preset="strong").sizes_px(20, 20) == []
    assert Settings(preset="strong", size=1, min_size=1).sizes_px(50, 40) == [40]


def test_opacities_as_weights() -> None:
    assert Settings(preset="strong", opacity=(0.39, 1)).opacity_range == (25559, 65535)


@pytest.mark.parametrize(
    ("preset", "search", "wanted"),
    [
        ("strong", "auto", True),
        ("strong", "square", False),
        ("strong", "texture", True),
        ("paper", "auto", False),
        ("paper", "gradient", True),
        ("paper", GradientSearch(budget=2), True),
        ("strong", RandomSearch(budget=2), False),
        ("veil", "auto", False),
    ],
)
def test_models_are_rebuilt_only_for_searches_that_differentiate(
    preset: Preset, search: AnySearch, wanted: bool
) -> None:
    assert Settings(preset=preset, search=search).wants_gradients == wanted
