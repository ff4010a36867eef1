"""`medlocker whose`: which image of which release is this picture?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medlocker.cli._console import note, print_facts, print_json, shown, stdout
from medlocker.cli._interrupts import interruptible_imports
from medlocker.cli._options import AsJson
from medlocker.cli._progress import Telling
from medlocker.errors import InputError

if TYPE_CHECKING:
    from medlocker.api.whose import Origin

EXAMPLES = """
[bold]Examples[/bold]

medlocker whose screenshot.png --release release --owner hospital
medlocker whose screenshot.png --release first --release second --owner hospital.sign.pub
medlocker whose print.jpg --ledger hospital.ledger.sqlite --page compared.html
medlocker whose print.jpg --release release --owner hospital --statement origin.dsse.json
medlocker whose print.jpg --check origin.dsse.json --owner hospital.sign.pub
"""


def whose(
    picture: Annotated[
        Path, typer.Argument(metavar="FOUND", help="Screenshot, crop, copy or scan of a marked image.")
    ],
    release: Annotated[
        list[Path] | None,
        typer.Option("--release", metavar="RELEASE", help="Look in this release. Repeatable."),
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(metavar="NAME.ledger.sqlite", help="Look in all that this ledger remembers."),
    ] = None,
    owner: Annotated[
        Path | None,
        typer.Option(
            metavar="NAME|NAME.sign.pub",
            help="The owner's keys: they prove the mark, and keep fingerprints with the ledger. The public "
            "key is enough to look in releases.",
        ),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Write a page with both pictures and what was found."),
    ] = None,
    statement: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.dsse.json", help="Sign where the picture comes from; needs the owner's private key."
        ),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.dsse.json", help="Only check what such a statement says of FOUND; needs --owner."
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Find the marked image that a picture was made of, whether cropped, resized, compressed or printed.

    Exit code 0: found; 1: not found. A picture of something else is not found.
    """
    with interruptible_imports():
        from medlocker.api.whose import check_origin, write_origin, write_page
        from medlocker.api.whose import whose as find
        from medlocker.certificates import refuse_inside_release

    if check is not None:
        if owner is None:
            raise InputError("--check requires --owner NAME.sign.pub")
        told = check_origin(check, picture, owner=owner)
        print_json(told) if json else print_facts(told)
        return
    if statement is not None and (owner is None or owner.name.endswith(".pub")):
        raise InputError("--statement requires --owner NAME, with the private key")
    for out in (page, statement):
        if out is not None:
            refuse_inside_release(out)
    found = find(picture, release=tuple(release or ()), ledger=ledger, owner=owner, progress=Telling())
    if page is not None:
        write_page(found, picture, page)
    if statement is not None and owner is not None and found.found:
        write_origin(found, picture, statement, owner=owner)
    if json:
        print_json(found.facts)
    else:
        _show(found)
    if not found.found:
        raise typer.Exit(1)


def _show(found: Origin) -> None:
    traced = found.traced
    if traced is None or not found.found:
        stdout.print(f"not found among {found.looked_at} marked pictures", markup=False)
        return
    candidate, evidence = traced.candidate, found.evidence
    frame = f", frame {candidate.frame}" if candidate.frame else ""
    lines = [
        f"found: image {candidate.index}, {shown(candidate.name)}{frame}",
        f"release  {candidate.release}",
        f"matches  {traced.likeness.matches} points; the next best of {found.looked_at} pictures has "
        f"{traced.second}",
    ]
    if traced.likeness.query.mirrored:
        lines.append("the picture is mirrored")
    if evidence is not None:
        unseen = "is not seen in it: this may be a part without it, or of the unmarked original"
        how = "is in it" if evidence.is_certain else unseen
        lines.append(
            f"mark     the sealed mark {how}: {evidence.deviations:.1f} deviations above other places, "
            f"{evidence.seen:.0%} of the image is seen"
        )
    if found.next_deviations is not None:
        lines.append(
            "found by the mark: points alone do not tell the image; the next best of the likeliest "
            f"has {found.next_deviations:.1f} deviations"
        )
    for line in lines:
        stdout.print(line, markup=False)
    if evidence is None:
        note("with --release and --owner NAME the sealed mark itself is looked for")
