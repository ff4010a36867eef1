"""`medlocker evaluate --removal`: the table of the attacks."""

from __future__ import annotations

from collections.abc import Sequence

from medlocker.cli._console import shown, stdout
from medlocker.cli._table import aligned
from medlocker.evaluate import Removal, advise, gain_text, worst_first
from medlocker.evaluate.removal import Row

_SHOWN = 8


def print_removal(removal: Removal) -> None:
    """Print the most successful attacks on each target, the worst for the owner first, advice and verdict."""
    rows: list[tuple[str, ...]] = [("model", "attack", "left", "95 %", "control", "information left", "dB")]
    for best in removal.battery.best:
        mine = worst_first(row for row in removal.battery.rows if row.target == best.target and row.n)
        rows += [(best.target if k == 0 else "", *_cells(row)) for k, row in enumerate(_shortened(mine))]
    for line in aligned(rows, flush_right=(2, 3, 4, 5, 6)) if len(rows) > 1 else ():
        stdout.print(line, markup=False)
    more = len(removal.battery.rows) - len(rows) + 1
    if more > 0:
        stdout.print(f"{more} attacks that succeed no more often, see removal.csv", markup=False)
    told = [*(one.text for one in removal.relearned), *(one.text for one in removal.side_channels)]
    for sentence in told:
        stdout.print(shown(sentence), markup=False)
    if (advice := advise(removal.battery)) is not None:
        stdout.print(shown(advice.text), markup=False)
    stdout.print(shown(removal.verdict), markup=False)


def _shortened(rows: Sequence[Row]) -> list[Row]:
    """Keep the first ones, what is left without any attack, and what trains or merges."""
    return [row for k, row in enumerate(rows) if k < _SHOWN or row.attack == "none" or not row.combined]


def _cells(row: Row) -> tuple[str, ...]:
    low, high = row.interval or (0.0, 1.0)
    return (
        row.attack,
        f"{row.right} of {row.n}",
        f"{low:.0%} to {high:.0%}",
        "-" if row.control is None else f"{row.control:.0%}",
        "-" if row.information is None else gain_text(row.information.plain),
        "-" if row.psnr_region is None else f"{row.psnr_region:.1f}",
    )
