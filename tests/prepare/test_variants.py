from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medlocker.prepare._variants import variants
from medlocker.veilstyle import DEFAULT_STYLE, VeilStyle


def drawn(
    count: int, *, size: float | None = None, seed: int = 0, **options: tuple[float, float]
) -> list[VeilStyle]:
    opacities = options.get("opacities", (0.06, 0.15))
    rng = np.random.default_rng(seed)
    return variants(DEFAULT_STYLE, count=count, opacities=opacities, size=size, rng=rng)


def test_the_shipped_style_comes_first_and_all_differ() -> None:
    found = drawn(60)
    assert found[0] == DEFAULT_STYLE
    assert len(set(found)) == 60
    assert drawn(60) == found != drawn(60, seed=1)
    assert drawn(5) == found[:5]
    assert drawn(1) == found[:1]


def test_opacities_stay_in_their_range_and_copies_large_enough() -> None:
    for style in drawn(80, opacities=(0.1, 0.11)):
        assert 0.1 <= style.opacity <= 0.11
        assert style.period * style.fill >= 0.03


def test_what_differs_by_key_is_never_less() -> None:
    found = drawn(80)
    for name in ("stagger", "turn", "scale", "warp", "texture"):
        values = {getattr(style, name) for style in found}
        assert min(values) == getattr(DEFAULT_STYLE, name)
        assert len(values) > 1 or name in ("stagger", "turn")


@pytest.mark.parametrize("size", [0.02, 0.1, 0.9])
def test_a_given_size_of_the_copies_is_kept(size: float) -> None:
    found = drawn(30, size=size)
    assert found[0] == replace(DEFAULT_STYLE.with_tile(size))
    assert {round(style.period * style.fill, 6) for style in found} == {size}
