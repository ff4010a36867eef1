"""Putting marks on pixels of any format, and taking them off again bit for bit."""

from medlocker.marking._layer import Layer, render_layer, render_layer_coarsely
from medlocker.marking._pixels import MarkedPixels, covered_px, likeness, mark_pixels, unmark_pixels

__all__ = [
    "Layer",
    "MarkedPixels",
    "covered_px",
    "likeness",
    "mark_pixels",
    "render_layer",
    "render_layer_coarsely",
    "unmark_pixels",
]
