"""`medlocker review`: look at what was marked before it is given away."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medlocker.cli._console import note, print_json, stdout
from medlocker.cli._interrupts import interruptible_imports
from medlocker.cli._options import AsJson
from medlocker.cli._progress import Telling
from medlocker.cli._table import aligned
from medlocker.errors import InputError

if TYPE_CHECKING:
    from medlocker.review import NewMark, Review, ReviewItem, Verdict

EXAMPLES = """
[bold]Examples[/bold]

medlocker review release --owner hospital
medlocker review release --owner hospital --sheet look.html
medlocker review release --owner hospital --approve '*'
medlocker review release --owner hospital --reject 'left/17.png' --reason 'the vessels cannot be seen'
medlocker review release --owner hospital --another-mark 18.png --opacity 0.1 --keep-out 120,80,60,60
medlocker protect fundus/ --redo release --owner hospital --out second
medlocker review release --owner hospital --export decisions.csv
"""
_DECIDING, _NEW_MARK = "Decide (NAMES: a pattern, or a file with one name a line)", "Another mark"


def review(
    release: Annotated[Path, typer.Argument(metavar="RELEASE", help="Finished release; it is not changed.")],
    owner: Annotated[
        Path, typer.Option(metavar="NAME", help="NAME of the owner's keys, see `medlocker key new`.")
    ],
    first: Annotated[int, typer.Option("--first", metavar="N", min=1, help="Images that are listed.")] = 20,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help="Write a page with the first N images, before and after. Private: it shows originals.",
        ),
    ] = None,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Write all decisions as a table.")
    ] = None,
    approve: Annotated[
        str | None, typer.Option(metavar="NAMES", help="These are good.", rich_help_panel=_DECIDING)
    ] = None,
    reject: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="These stay out; with --reason.", rich_help_panel=_DECIDING),
    ] = None,
    another_mark: Annotated[
        str | None,
        typer.Option(
            "--another-mark",
            metavar="NAMES",
            help="These shall be marked again, see `protect --redo`. Final: the first version stays out.",
            rich_help_panel=_DECIDING,
        ),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why.", rich_help_panel=_DECIDING)] = "",
    reviewer: Annotated[
        str,
        typer.Option(metavar="TEXT", help="Who decides; kept with the decision.", rich_help_panel=_DECIDING),
    ] = "",
    opacity: Annotated[
        float | None, typer.Option(help="Highest opacity of the new mark.", rich_help_panel=_NEW_MARK)
    ] = None,
    size: Annotated[
        float | None,
        typer.Option(
            help="Size of the new mark's logo, share of the shorter side; of a veil: of one copy.",
            rich_help_panel=_NEW_MARK,
        ),
    ] = None,
    keep_out: Annotated[
        list[str] | None,
        typer.Option(
            "--keep-out",
            metavar="X,Y,W,H",
            help="One more region to keep free, pixels. Repeatable.",
            rich_help_panel=_NEW_MARK,
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Look at every marked image, worst first: approve, reject with a reason, or ask for another mark.

    Every decision is signed, is about exactly the file that is there, and is kept in the folder
    RELEASE.review beside the release. `medlocker serve` shows the same in a browser.
    """
    with interruptible_imports():
        from medlocker.api.review import parse_box
        from medlocker.api.review import review as open_review
        from medlocker.certificates import refuse_inside_release
        from medlocker.review import NewMark, write_csv

    given: tuple[tuple[Verdict, str | None], ...] = (
        ("approved", approve),
        ("rejected", reject),
        ("another mark", another_mark),
    )
    asked = [(verdict, names) for verdict, names in given if names is not None]
    if len(asked) > 1:
        raise InputError("expected one of --approve, --reject and --another-mark")
    new_mark: NewMark | None = None
    if another_mark is not None:
        new_mark = NewMark.wanted(
            opacity=opacity,
            size=size,
            keep_out=tuple(parse_box(one, what="--keep-out") for one in keep_out or ()),
        )
    elif opacity is not None or size is not None or keep_out:
        raise InputError("--opacity, --size and --keep-out require --another-mark")
    if (reason or reviewer) and not asked:
        raise InputError("--reason and --reviewer require --approve, --reject or --another-mark")
    for out in (export, sheet):
        if out is not None:
            refuse_inside_release(out)
    found = open_review(release, owner=owner, progress=Telling())
    decided = 0
    for verdict, names in asked:
        chosen = _chosen(found, names)
        made = found.decide(chosen, verdict, why=reason, new_mark=new_mark, reviewer=reviewer)
        decided = len(made)
    if export is not None:
        write_csv(found, export)
    if sheet is not None:
        from medlocker.review.sheet import write_sheet

        write_sheet(found, sheet, first=first)
        note(f"{sheet.name} shows originals: do not give it away")
    if json:
        print_json(_facts(found, decided=decided, first=first))
    else:
        _show(found, decided=decided, first=first)


def _chosen(found: Review, names: str) -> list[ReviewItem]:
    from medlocker.api.grant import choose

    return [found.item(index) for index in choose(found.release, names, option="NAMES")]


def _facts(found: Review, *, decided: int, first: int) -> dict[str, Any]:
    return {
        "release": found.release.statement.release,
        "needs_review": found.release.statement.needs_review,
        **vars(found.counts),
        "decided_now": decided,
        "worst": [_item_facts(found, item) for item in found.items[:first]],
    }


def _item_facts(found: Review, item: ReviewItem) -> dict[str, Any]:
    decision = found.decision(item.entry.index)
    return {
        "image": item.entry.name,
        "original": item.original_name,
        "decision": None if decision is None else decision.verdict,
        "reason": None if decision is None else decision.why,
        "concerns": [str(concern) for concern in item.concerns],
        "psnr_db": item.facts.psnr_db,
        "regions": item.facts.regions,
        "models_right": item.facts.asked,
        "models_misled": item.facts.misled,
    }


def _show(found: Review, *, decided: int, first: int) -> None:
    rows: list[Sequence[str]] = [("image", "PSNR", "decision", "look at it because")]
    for item in found.items[:first]:
        decision, psnr = found.decision(item.entry.index), item.facts.psnr_db
        rows.append(
            (
                item.entry.name,
                "-" if psnr is None else f"{psnr:.1f}",
                "-" if decision is None else decision.verdict,
                "; ".join(item.concerns) or "-",
            )
        )
    for line in aligned(rows, flush_right=(1,)):
        stdout.print(line, markup=False)
    counts = found.counts
    if len(found.items) > first:
        note(f"... and {counts.images - first} more, see --first")
    if decided:
        note(f"decided about {decided} images now")
    stdout.print(
        f"{counts.approved} of {counts.images} images approved, {counts.rejected} rejected, "
        f"{counts.another_mark} to be marked again, {counts.left} not decided",
        markup=False,
    )
    if counts.another_mark:
        note("mark them again with `medlocker protect INPUT --redo RELEASE`")
