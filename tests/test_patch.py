from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from medlocker.errors import RestoreError
from medlocker.patch import apply_residual, make_residual


def arrays(seed: int, *, dtype: str, channels: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 12, 2)
    top = np.iinfo(dtype).max + 1
    shape = (int(height), int(width), channels)
    touched = rng.random(shape[:2]) < rng.random()
    return rng.integers(0, top, shape).astype(dtype), rng.integers(0, top, shape).astype(dtype), touched


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), dtype=st.sampled_from(["u1", "u2"]), channels=st.sampled_from([1, 3]))
def test_the_residual_gives_the_original_back(seed: int, dtype: str, channels: int) -> None:
    original, estimate, touched = arrays(seed, dtype=dtype, channels=channels)
    residual = make_residual(original, estimate, touched)
    kept = estimate.copy()
    got = apply_residual(estimate, touched, residual)
    np.testing.assert_array_equal(got[touched], original[touched])
    np.testing.assert_array_equal(got[~touched], estimate[~touched])
    np.testing.assert_array_equal(estimate, kept)
    assert got.dtype == original.dtype


def test_its_bytes_are_as_documented() -> None:
    original = np.array([[[0x0102], [0x0001]], [[0xFFFF], [0]]], np.uint16)
    estimate = np.array([[[0], [2]], [[9], [0]]], np.uint16)
    touched = np.array([[True, True], [False, True]])
    planes = zlib.decompress(make_residual(original, estimate, touched))
    assert planes == bytes([0x02, 0xFF, 0x00, 0x01, 0xFF, 0x00])  # low bytes, then high ones; wrapped around


def test_small_differences_take_little_room() -> None:
    rng = np.random.default_rng(1)
    estimate = rng.integers(2, 254, (100, 100, 3)).astype(np.uint8)
    original = estimate + rng.integers(-1, 2, estimate.shape).astype(np.int8).view(np.uint8)
    residual = make_residual(original, estimate, np.ones((100, 100), np.bool_))
    assert len(residual) < 30_000 / 3.7


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda residual: b"", "expected a residual of 27 bytes, got another length"),
        (lambda residual: residual[:-1], "expected a residual of 27 bytes, got another length"),
        (lambda residual: residual + b"\0", "expected a residual of 27 bytes, got another length"),
        (lambda residual: zlib.compress(bytes(26)), "expected a residual of 27 bytes, got another length"),
        (lambda residual: zlib.compress(bytes(28)), "expected a residual of 27 bytes, got another length"),
        (
            lambda residual: zlib.compress(bytes(1 << 26)),
            "expected a residual of 27 bytes, got another length",
        ),
        (lambda residual: b"garbage", "the residual is damaged"),
        (lambda residual: residual[:-4] + bytes(4), "the residual is damaged"),
    ],
)
def test_damaged_residuals(damage: Any, message: str) -> None:
    ones = np.ones((3, 3, 3), np.uint8)
    touched = np.ones((3, 3), np.bool_)
    residual = make_residual(ones * 7, ones, touched)
    with pytest.raises(RestoreError) as caught:
        apply_residual(ones, touched, damage(residual))
    assert str(caught.value) == message
