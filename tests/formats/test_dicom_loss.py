"""A DICOM file whose transfer syntax alone tells of loss: once written without, its header has to tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom.encaps import encapsulate
from test_dicom_marks import elements, parsed

from dicom_samples import FOLDER, Array, Sample, header, saved
from medlocker.formats import mark_file, read_image, unmark_file
from medlocker.logo import builtin_logo
from medlocker.mark import Mark

LOGO = builtin_logo()
_START = "1.2.840.10008.1.2.4."
Encoder = Callable[[Array], bytes]


def _jpeg(picture: Array) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(picture, level=60))


def _near_lossless(picture: Array) -> bytes:
    return bytes(imagecodecs.jpegls_encode(picture, level=3))


def _jpeg_2000(picture: Array) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(picture, codecformat="j2k", level=30, reversible=False))


def _high_throughput(picture: Array) -> bytes:
    return bytes(imagecodecs.htj2k_encode(picture, level=0.02, reversible=False))


LOSSY = {
    "50": (_jpeg, "ISO_10918_1"),
    "51": (_jpeg, "ISO_10918_1"),
    "81": (_near_lossless, "ISO_14495_1"),
    "91": (_jpeg_2000, "ISO_15444_1"),
    "203": (_high_throughput, "ISO_15444_15"),
}
LOSSLESS: dict[str, Encoder] = {
    "80": lambda picture: bytes(imagecodecs.jpegls_encode(picture)),
    "90": lambda picture: bytes(imagecodecs.jpeg2k_encode(picture, codecformat="j2k", reversible=True)),
    "201": lambda picture: bytes(imagecodecs.htj2k_encode(picture, reversible=True)),
}


def coded(end: str, encode: Encoder, frames: int = 1, **elements: Any) -> bytes:
    """A grey file of a transfer syntax, given by the end of its UID."""
    rng = np.random.default_rng(7)
    ramp = np.linspace(0, 200, 64).astype(np.uint8)
    pictures = [ramp[:, None] + rng.integers(0, 50, (64, 72)).astype(np.uint8) for _ in range(frames)]
    words = np.stack(pictures)[..., None]
    ds = header(Sample(words, syntax=_START + end, elements=elements))
    ds.PixelData = encapsulate([encode(picture) for picture in pictures])
    ds["PixelData"].is_undefined_length = True
    return saved(ds)


def marked_and_restored(data: bytes) -> tuple[bytes, bytes]:
    image = read_image(data, name="a")
    marks = [Mark(x=1, y=2, size_px=min(image.height, image.width) // 2, opacity=50000)]
    marked = mark_file(image, marks, logo=LOGO)
    again = read_image(marked.data, name="a")
    back = unmark_file(again, marks, logo=LOGO, residual=marked.residual, method=marked.method)
    return marked.data, back


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("end", sorted(LOSSY))
def test_a_loss_that_only_the_transfer_syntax_tells_is_told_by_the_header(end: str, frames: int) -> None:
    encode, method = LOSSY[end]
    data = coded(end, encode, frames)
    assert "LossyImageCompression" not in parsed(data)
    marked, restored = marked_and_restored(data)
    ds = parsed(marked)
    assert ds.file_meta.TransferSyntaxUID in (_START + "80", _START + "90")
    assert (ds.LossyImageCompression, ds.LossyImageCompressionMethod) == ("01", method)
    packed = len(encode(np.zeros((64, 72), np.uint8)))
    assert 1 < ds.LossyImageCompressionRatio < 64 * 72 / packed
    assert elements(restored, "PixelData") == elements(data, "PixelData")


def test_the_ratio_is_of_all_frames() -> None:
    data = coded("81", _near_lossless, 3)
    packed = len(parsed(data).PixelData) - 3 * 8 - 8 - 12  # items, the table of places, in it three places
    ratio = parsed(marked_and_restored(data)[0]).LossyImageCompressionRatio
    assert ratio == pytest.approx(3 * 64 * 72 / packed, rel=0.01)


@pytest.mark.parametrize("end", sorted(LOSSLESS))
def test_what_lost_nothing_says_nothing(end: str) -> None:
    data = coded(end, LOSSLESS[end])
    marked, restored = marked_and_restored(data)
    for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        assert keyword not in parsed(marked)
    assert elements(restored, "PixelData") == elements(data, "PixelData")


@pytest.mark.parametrize("said", ["00", "01"])
def test_what_the_header_says_itself_stays(said: str) -> None:
    data = coded("91", _jpeg_2000, LossyImageCompression=said)
    marked, restored = marked_and_restored(data)
    assert parsed(marked).LossyImageCompression == said
    assert "LossyImageCompressionMethod" not in parsed(marked)
    assert elements(restored, "PixelData") == elements(data, "PixelData")


def test_an_empty_word_is_none_and_comes_back_empty() -> None:
    data = coded("81", _near_lossless, LossyImageCompression="", LossyImageCompressionRatio="7.5")
    marked, restored = marked_and_restored(data)
    ds = parsed(marked)
    assert (ds.LossyImageCompression, ds.LossyImageCompressionRatio) == ("01", 7.5)
    assert elements(restored, "PixelData") == elements(data, "PixelData")


@pytest.mark.parametrize(
    "name", ["JPEGLSNearLossless_08.dcm", "JPEGLSNearLossless_16.dcm", "SC_rgb_jls_lossy_line.dcm"]
)
def test_files_of_other_makers_tell_their_loss(name: str) -> None:
    data = (FOLDER / name).read_bytes()
    marked, restored = marked_and_restored(data)
    assert parsed(marked).LossyImageCompression == "01"
    assert elements(restored, "PixelData") == elements(data, "PixelData")
