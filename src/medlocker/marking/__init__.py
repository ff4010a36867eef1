"""Putting marks on pixels of any format, and taking them off again bit for bit."""

from medlocker.marking._layer import Layer, lay, lay_coarsely
from medlocker.marking._pixels import MarkedPixels, covered_px, likeness, mark_pixels, unmark_pixels

__all__ = [
    "Layer",
    "MarkedPixels",
    "covered_px",
    "lay",
    "lay_coarsely",
    "likeness",
    "mark_pixels",
    "unmark_pixels",
]
