from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from image_samples import exif_block, noise, pillow
from PIL import Image as Pillow

from jpeg_pictures import jpeg
from medlocker.errors import InputError, UnsupportedImageError
from medlocker.formats import encode_image, read_image
from medlocker.formats.jpeg._coefficients import read_coefficients


def smooth(channels: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    ramp = np.add.outer(np.arange(40), np.arange(50))[..., None] * np.array([2, 1, 3])[:channels]
    return np.asarray(ramp % 256, dtype=np.uint8)


@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(("channels", "kind"), [(1, "grey"), (3, "rgb")])
def test_pixels_are_those_of_other_readers(
    channels: int, kind: str, progressive: bool, subsampling: int
) -> None:
    options = {} if channels == 1 else {"subsampling": subsampling}
    data = pillow(smooth(channels), "JPEG", progressive=progressive, **options)
    image = read_image(data, name="a.jpg")
    assert image.kind == kind
    assert image.facts["compression"] == ("progressive JPEG" if progressive else "JPEG")
    reference = np.asarray(Pillow.open(io.BytesIO(data))).reshape(40, 50, channels)
    assert np.array_equal(image.pixels, reference)


def test_tells_exif_profile_and_resolution() -> None:
    profile = noise((200_000,)).tobytes()  # longer than one segment
    data = pillow(smooth(3), "JPEG", exif=b"Exif\0\0" + exif_block(), icc_profile=profile, dpi=(300, 300))
    facts = {"exif": True, "gps": True, "icc": True, "orientation": 6, "dpi": "300 x 300"}
    found = dict(read_image(data, name="a.jpg").facts)
    assert found | facts == found


def test_it_cannot_hold_chosen_pixels() -> None:
    image = read_image(pillow(smooth(3), "JPEG"), name="a.jpg")
    with pytest.raises(InputError, match="expected a format that keeps chosen pixels, got jpeg"):
        encode_image(image, image.pixels)


@pytest.mark.slow
@pytest.mark.skipif("MEDLOCKER_DATA" not in os.environ, reason="no folder of real images is named")
def test_real_photographs_are_read_as_by_pillow() -> None:
    files = sorted(Path(os.environ["MEDLOCKER_DATA"]).rglob("*.jpg"))
    assert files, "expected JPEG files in the folder"
    for path in files[:: max(1, len(files) // 60)]:
        data = path.read_bytes()
        image = read_image(data, name=path.name)
        assert np.array_equal(
            image.pixels, np.asarray(Pillow.open(io.BytesIO(data))).reshape(image.pixels.shape)
        )


GOOD = pillow(noise((40, 50, 3)), "JPEG")
CUT = "expected a whole JPEG image, got a cut one"
DAMAGED = "expected a whole JPEG image, got a damaged or cut one"
FRAME = GOOD.index(b"\xff\xc0")


def _patched(offset: int, value: bytes) -> bytes:
    at = FRAME + offset
    return GOOD[:at] + value + GOOD[at + len(value) :]


def _cmyk() -> bytes:
    stream = io.BytesIO()
    Pillow.new("CMYK", (9, 8)).save(stream, "JPEG")
    return stream.getvalue()


REFUSED = {
    "no end": (GOOD[:-2], CUT),
    "half": (GOOD[: len(GOOD) // 2], CUT),
    "half with an end": (GOOD[: len(GOOD) // 2] + b"\xff\xd9", DAMAGED),
    "start only": (GOOD[:3], CUT),
    "cut in a segment": (GOOD[:40], CUT),
    "no scan": (GOOD[:FRAME] + b"\xff\xd9", "expected a JPEG with pixels"),
    "cmyk": (_cmyk(), "expected a grey or colour JPEG, got 4 components"),
    "12 bits": (_patched(4, b"\x0c"), "expected a JPEG of 8 bits, got 12"),
    "no rows": (_patched(5, b"\0\0"), "expected at least one pixel, got 50 x 0"),
    "huge": (_patched(5, b"\xff\x00\xff\x00"), "expected at most 100000000 pixels, got 65280 x 65280"),
    "lossless": (
        _patched(1, b"\xc3"),
        "expected a baseline or progressive JPEG, got a lossless or arithmetic one",
    ),
    "garbage": (GOOD[:2] + b"\xff\xe0\0\2hello", "expected a whole JPEG image, got a damaged one"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_clearly(case: str) -> None:
    data, message = REFUSED[case]
    with pytest.raises(UnsupportedImageError) as caught:
        read_image(data, name="a.jpg")
    assert str(caught.value) == f"a.jpg: {message}"


def _profile(number: int, count: int) -> bytes:
    return b"\xff\xe2\0\x50ICC_PROFILE\0" + bytes([number, count]) + bytes(64)


@pytest.mark.parametrize("case", ["end", "between", "profile cut", "profile twice", "profile misnumbered"])
def test_what_decoders_warn_of_but_leaves_no_pixel_open(case: str) -> None:
    plain = jpeg(quality=90)
    scan = plain.index(b"\xff\xda")
    data = {
        "end": plain[:-2] + b"\x55" * 258 + plain[-2:],
        "between": plain[:scan] + b"\0\0" + plain[scan:],
        "profile cut": plain[:2] + _profile(1, 2) + plain[2:],
        "profile twice": plain[:2] + _profile(1, 1) * 2 + plain[2:],
        "profile misnumbered": plain[:2] + _profile(2, 1) + plain[2:],
    }[case]
    image = read_image(data, name="a.jpg")
    assert np.array_equal(image.pixels, read_image(plain, name="a.jpg").pixels)
    (_, coefficients), (_, expected) = read_coefficients(data), read_coefficients(plain)
    assert all(np.array_equal(*pair) for pair in zip(coefficients, expected, strict=True))


def test_stray_bytes_within_the_picture_are_damage() -> None:
    plain = jpeg(quality=90, restart_marker_blocks=4)
    at = plain.index(b"\xff\xd1")
    with pytest.raises(UnsupportedImageError, match="damaged or cut"):
        read_image(plain[:at] + b"\x55" * 9 + plain[at:], name="a.jpg")
    scan = plain.index(b"\xff\xda")
    with pytest.raises(UnsupportedImageError, match="got a damaged one"):
        read_image(plain[:scan] + bytes(65) + plain[scan:], name="a.jpg")
