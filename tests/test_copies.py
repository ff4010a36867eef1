"""Copies that are rendered together come out as each would alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_cases import plain_logo
from medlocker.logo import Hardening, Logo, builtin_logo, mounted
from medlocker.logo._copies import CopyStyle, render_looks
from medlocker.logo._hardening import smooth_noise, smooth_noises
from medlocker.logo._render import render_once

_TALL = Logo(np.random.default_rng(3).integers(0, 256, (61, 23, 4)).astype(np.uint8))
_LOGOS = {"plain": plain_logo(), "built-in": builtin_logo(), "tall": _TALL, "badge": mounted(_TALL)}


@pytest.mark.parametrize("name", _LOGOS)
@given(
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=6),
    turns=st.lists(st.one_of(st.just(0), st.integers(0, 65535)), min_size=6, max_size=6),
    warp_256=st.sampled_from((0, 1, 300, 65535)),
    texture=st.sampled_from((0, 1, 64, 127)),
)
@settings(max_examples=25)
def test_together_as_alone(
    name: str, sizes: list[int], turns: list[int], warp_256: int, texture: int
) -> None:
    logo = _LOGOS[name]
    looks = [
        CopyStyle(size, turn, Hardening(bytes([k, size]), warp_256, texture), k % 2 == 1)
        for k, (size, turn) in enumerate(zip(sizes, turns, strict=False))
    ]
    for look, raster in zip(looks, render_looks(logo, looks), strict=True):
        alone = render_once(logo, look.size, rotation=look.rotation, hardening=look.hardening)
        assert np.array_equal(raster.coverage, alone.coverage)
        inside = alone.coverage[..., None] > 0
        wanted = np.where(inside, 255 - alone.color, 0) if look.negative else alone.color
        assert np.array_equal(raster.color, wanted)


@pytest.mark.parametrize("cell", [1, 2, 3, 4, 255, 256])
def test_noise_together_as_alone(cell: int) -> None:
    sizes = [(5, 9), (2 * cell, 3), (1, 1), (300, 17)]
    streams = [(bytes([k]), purpose) for k, purpose in enumerate(("warp-x", "warp-y", "warp-x", "strokes"))]
    fields = smooth_noises(streams, sizes, cell=cell)
    for field, (key, purpose), (h, w) in zip(fields, streams, sizes, strict=True):
        assert np.array_equal(field[:h, :w], smooth_noise(key, purpose, h, w, cell=cell))


@pytest.mark.parametrize("cell", [255, 256])
def test_noise_of_large_cells_does_not_overflow(cell: int) -> None:
    field = smooth_noise(b"k", "warp-x", 600, 600, cell=cell)
    corners = field[::cell, ::cell].astype(np.int64)
    for row in range(0, 2 * cell, 37):
        for col in range(0, 2 * cell, 41):
            (y, fy), (x, fx) = divmod(row, cell), divmod(col, cell)
            upper = int(corners[y, x]) * (cell - fx) + int(corners[y, x + 1]) * fx
            lower = int(corners[y + 1, x]) * (cell - fx) + int(corners[y + 1, x + 1]) * fx
            assert field[row, col] == (upper * (cell - fy) + lower * fy) // cell**2
