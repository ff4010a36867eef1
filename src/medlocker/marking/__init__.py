"""Putting marks on images of every format, and taking them off again bit for bit."""

from medlocker.marking._layer import Layer, lay
from medlocker.marking._method import MarkedFile
from medlocker.marking._methods import METHODS, kept, mark_file, reach, unmark_file
from medlocker.marking._pixels import (
    MarkedPixels,
    covered_px,
    likeness,
    mark_pixels,
    unmark_pixels,
)

__all__ = [
    "METHODS",
    "Layer",
    "MarkedFile",
    "MarkedPixels",
    "covered_px",
    "kept",
    "lay",
    "likeness",
    "mark_file",
    "mark_pixels",
    "reach",
    "unmark_file",
    "unmark_pixels",
]
