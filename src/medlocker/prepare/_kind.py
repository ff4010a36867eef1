"""Whether a learned logo fits the images at hand."""

from __future__ import annotations

from medlocker.errors import InputError, MedlockerError
from medlocker.files import read_limited
from medlocker.formats import read_image
from medlocker.images import LIMITS
from medlocker.logo import LearnedLogo
from medlocker.preparedveil import PreparedVeil
from medlocker.release import Inputs

_LOOKED_AT = 8


def check_kind(learned: LearnedLogo | PreparedVeil, inputs: Inputs) -> None:
    """Refuse a learned logo that was made for another kind of images.

    A few images are looked at; files that cannot be read are left to the run, which names them.

    Raises:
        InputError: If all of them are grey and it was made from colour, or the reverse.
    """
    step = max(len(inputs.items) // _LOOKED_AT, 1)
    seen: set[bool] = set()
    for item in inputs.items[::step][:_LOOKED_AT]:
        try:
            data = read_limited(item.path, max_bytes=LIMITS.max_file_bytes, what="image")
            seen.add(read_image(data, name=item.name).kind in ("grey", "grey-alpha"))
        except MedlockerError:
            continue
    if seen and learned.grey not in seen:
        was, are = ("grey", "coloured") if learned.grey else ("coloured", "grey")
        raise InputError(
            f"the prepared logo was made from {was} images, these are {are}",
            hint="make one from these with `medlocker prepare`, or give the plain logo",
        )
