"""Words that several commands' messages share."""

from __future__ import annotations

from collections.abc import Sequence

from medlocker.errors import InputError


def of_no_image(what: str, names: Sequence[str], entries: Sequence[str], otherwise: str) -> InputError:
    """Return the refusal of a file of which nothing belongs to an image: going on would mark lesions.

    Args:
        what: The file, as messages call it.
        names: Of the images.
        entries: Names that the file has.
        otherwise: What else can be done.
    """
    return InputError(
        f"{what}: expected names of the images, for instance {names[0]}, got none of them"
        + (f" ({entries[0]!s:.80}, ...)" if entries else ""),
        hint=f"name files by their path below the input, {otherwise}",
    )


def some(names: Sequence[str]) -> str:
    """Return how messages call some files: how many, and the first."""
    if len(names) == 1:
        return names[0]
    return f"{len(names)} files ({names[0]}{', ...' if len(names) > 1 else ''})"
