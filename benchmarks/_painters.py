"""What somebody who expects veils paints on training images: random veils of this program, random holes."""

from __future__ import annotations

from medlocker.evaluate.removal import DENSE_STYLE, MarkPainter
from medlocker.logo import builtin_logo
from medlocker.veilstyle import DEFAULT_STYLE

LOGO = builtin_logo()

veil = MarkPainter(LOGO, kinds=("veil",), styles=(DEFAULT_STYLE,))
"""The shipped style and styles about it."""

veils = MarkPainter(LOGO, kinds=("veil",), styles=(DEFAULT_STYLE, DENSE_STYLE))
"""The shipped style, a dense one, and styles about the two."""
