"""Names and defaults that options have: apart from what they mean, so that help needs no heavy library."""

from __future__ import annotations

from typing import Literal

Preset = Literal["paper", "strong", "veil"]
Aim = Literal["same", "key", "wrong"]
Placement = Literal["series", "image"]
StyleName = Literal["auto", "shipped"]
EngineName = Literal["local", "ray"]
MissingRegions = Literal["refuse", "none", "candidates"]
ProvenanceName = Literal["standard", "c2pa", "none"]
RemovalName = Literal["none", "standard", "full"]

MAX_AREA = 0.12
"""Share of an image that several marks may cover together."""
LEAST_PSNR_DB = 22.0
"""Of a veiled image: what is left to see of it."""
DEFAULT_OPACITY = 0.8
"""Of the control's logos."""
DEFAULT_LIMIT = 100
"""Images that are attacked."""
DEFAULT_MINUTES = 20.0
"""Of the training of one network that removes marks."""
AUDITED_IMAGES = 500
"""Images that a model is asked about."""
OTHER_MARKS, MOST_OTHERS = 4, 1000
"""With which the own mark of each is compared."""
SIGNIFICANCE = 0.01
"""Largest p-value that counts as evidence."""
