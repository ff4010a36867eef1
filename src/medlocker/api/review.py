"""`ml.review`: look at what was marked, and decide about every image."""

from __future__ import annotations

import os
from pathlib import Path

from medlocker.api.listener import Callback, Listener, as_listener
from medlocker.api.newmarks import review_of
from medlocker.arguments import checked_arguments
from medlocker.certificates import load_owner
from medlocker.errors import InputError
from medlocker.geometry import Box
from medlocker.review import Review

_Path = str | os.PathLike[str]


@checked_arguments
def review(release: _Path, *, owner: _Path, progress: Callback | Listener | None = None) -> Review:
    """Open the review of a finished release: every image, worst first, with what was decided about it.

    Decisions are signed with the owner's key and kept in the folder ``RELEASE.review`` beside the release.

    Args:
        release: Its folder; it is not changed.
        owner: NAME of the owner's keys.
        progress: Called with what is counted, how many are done, and how many there are.

    Raises:
        CertificateError: If the release, a record or a decision is not the owner's.
        InputError: If a key cannot be used.
        WriteError: If nothing can be written beside the release.
    """
    listener, keys = as_listener(progress), load_owner(Path(owner))
    for text in keys.signing.notes:
        listener.warn(text)
    return review_of(Path(release), keys, listener=listener)


def parse_box(text: str, *, what: str) -> Box:
    """Return a region from ``X,Y,W,H`` in pixels.

    Raises:
        InputError: If it is none.
    """
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"{what}: expected X,Y,W,H in pixels, got {text!r:.40}") from None
    return Box(x, y, width, height)
