"""Ways of marking files: found by name, refused where they do not suit."""

from __future__ import annotations

import re

import numpy as np
import pytest

from medlocker.errors import RestoreError
from medlocker.formats import unmark_file
from medlocker.images import Image, content_digest, frames_digest, pixel_digest
from medlocker.logo import builtin_logo


class Stack:
    """Two frames in memory."""

    def __init__(self, frames: list[np.ndarray]) -> None:
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int, /) -> np.ndarray:
        return self._frames[index]


def test_the_digest_of_frames_is_of_all_of_them_in_their_order() -> None:
    a, b = np.zeros((2, 3, 1), np.uint16), np.ones((2, 3, 1), np.uint16)
    still = Image(a, "grey", "tiff", b"")
    assert content_digest(still) == pixel_digest(a)
    both = Image(b, "grey", "tiff", b"", frames=Stack([a, b]))
    assert content_digest(both) == frames_digest([a, b], count=2, like=a)
    others = [Image(b, "grey", "tiff", b"", frames=Stack(frames)) for frames in ([b, a], [a, a], [a, b, b])]
    assert len({content_digest(image) for image in (still, both, *others)}) == 5


def test_an_unknown_method_is_refused() -> None:
    image = Image(np.zeros((4, 4, 1), np.uint8), "grey", "png", b"")
    with pytest.raises(RestoreError, match=re.escape("got lens-v9")) as caught:
        unmark_file(image, [], logo=builtin_logo(), residual=b"", method="lens-v9")
    assert caught.value.hint == "a newer medlocker may know it"
