"""Tables in plain text."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich.cells import cell_len

from medlocker.cli._console import shown


def aligned(rows: Sequence[Sequence[str]], *, flush_right: Collection[int]) -> list[str]:
    """Set cells in columns; rich's tables would cut names off on a narrow screen.

    Args:
        flush_right: Positions of the columns that hold numbers.
    """
    cells = [[shown(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        gaps = [" " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        pairs = zip(row, gaps, strict=True)
        lines.append(
            "  ".join(gap + c if k in flush_right else c + gap for k, (c, gap) in enumerate(pairs)).rstrip()
        )
    return lines
