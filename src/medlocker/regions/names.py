"""Comparing the names in a regions source with the names of images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

Settled: TypeAlias = tuple[dict[int, list[str]], Callable[[str], Iterator[tuple[int, int]]]]
"""Of a source's entries those whose images are known, and from an image's name to (index, rank) of others."""

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".tif", ".tiff", ".bmp", ".dib", ".gif", ".webp"}
    | {".dcm", ".dicom", ".dic", ".ima", ".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".nii"}
)


def split_name(name: str) -> tuple[str, str]:
    """Split a relative path with forward slashes into folder (``""`` at the top) and file name."""
    folder, _, file = name.rpartition("/")
    return folder, file


def without_suffix(name: str) -> str:
    """Drop the suffix of an image file; other dots (``1.2.840.5``, ``scan.v2``) belong to the name."""
    if name.lower().endswith(".nii.gz"):
        name = name[: -len(".gz")]
    stem, dot, suffix = name.rpartition(".")
    return stem if stem and not stem.endswith("/") and (dot + suffix).lower() in IMAGE_SUFFIXES else name


def normal_name(name: str) -> str:
    """Write a name from a table as a relative path with forward slashes."""
    name = name.strip().replace("\\", "/")
    while name.startswith("./"):
        name = name[2:]
    return name


def by_path(names: Iterable[str]) -> dict[str, list[str]]:
    """Return images by their paths without endings."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(without_suffix(name), []).append(name)
    return found
