"""`medlocker grant`: make somebody able to restore; `medlocker grant list`: show what a grant says."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from medlocker.cli._console import note, print_json, stdout
from medlocker.cli._options import AsJson
from medlocker.cli._progress import Telling

if TYPE_CHECKING:
    from medlocker.certificates import Grant

_DEFAULT = "new"
_EXAMPLES = """
[bold]Examples[/bold]

  medlocker key new --out alice
  medlocker grant release --owner hospital --to alice.age.pub --out alice-grant
  medlocker grant release --owner hospital --to bob.age.pub --images '*left*' --until 2027-12-31 --out bobs
  medlocker grant list alice-grant --owner hospital.sign.pub
"""


class _DefaultGroup(TyperGroup):
    """A group whose first command need not be named: `grant RELEASE ...` is `grant new RELEASE ...`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_DefaultGroup,
    no_args_is_help=True,
    help="Make somebody able to restore: `grant RELEASE --owner NAME --to KEY.pub --out GRANT_DIR`.\n\n"
    "That is short for `grant new RELEASE ...`: all its options (--images, --until, --purpose) are listed by "
    "`medlocker grant new --help`.\n" + _EXAMPLES,
)


@app.command(_DEFAULT)
def new(
    release: Annotated[
        Path, typer.Argument(metavar="RELEASE", help="Folder of the release; it is not changed.")
    ],
    owner: Annotated[
        Path, typer.Option(metavar="NAME", help="NAME of the owner's keys, see `medlocker key new`.")
    ],
    to: Annotated[
        list[Path],
        typer.Option("--to", metavar="RECIPIENT.pub", help="age or ssh-ed25519 public key. Repeatable."),
    ],
    out: Annotated[Path, typer.Option(metavar="GRANT_DIR", help="New folder to give to the recipients.")],
    images: Annotated[
        str | None,
        typer.Option(
            metavar="GLOB|LIST", help="Only these: pattern (* crosses folders) or file with a name a line."
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="Last day, 2027-01-31, or UTC time 2027-01-31T12:00:00Z."),
    ] = None,
    purpose: Annotated[str, typer.Option(help="What it is given for; signed, readable by anybody.")] = "",
    json: AsJson = False,
) -> None:
    """Make somebody able to restore a release, or some of its images; `new` need not be written.

    Whom you grant images can open these and no others. Date and purpose are signed, but they bind people: who
    has opened a grant can keep what it opens.
    """
    from medlocker.api import grant as api

    done = api.grant(
        release,
        owner=owner,
        to=to,
        out=out,
        images=images,
        until=until,
        purpose=purpose,
        progress=Telling(),
    )
    _show(done.grant, as_json=json, images=done.images)
    note(f"give the folder {out} and your .sign.pub file to the recipients")


@app.command("list")
def show(
    grant: Annotated[Path, typer.Argument(metavar="GRANT_DIR", help="Folder of the grant.")],
    owner: Annotated[
        Path, typer.Option(metavar="NAME.sign.pub", help="The owner's key, got from the owner.")
    ],
    json: AsJson = False,
) -> None:
    """Show what a grant says, after checking that OWNER signed it. Needs no private key."""
    from medlocker.certificates import load_verify_key, read_grant

    _show(read_grant(grant, owner=load_verify_key(owner)), as_json=json)


def _show(grant: Grant, *, as_json: bool, images: int | None = None) -> None:
    from medlocker.certificates import NOTICE

    count = images if grant.scope == "whole" else grant.image_count
    expired = grant.expired(datetime.now(UTC))
    if as_json:
        print_json(
            {
                "release": grant.release,
                "created": grant.created,
                "scope": grant.scope,
                "images": [list(pair) for pair in grant.images],
                "image_count": count,
                "recipients": list(grant.recipients),
                "until": grant.until,
                "expired": expired,
                "purpose": grant.purpose,
            }
        )
        return
    scope = "the whole release" if grant.scope == "whole" else f"{count} images"
    lines = [
        f"grants   {scope} {grant.release}",
        *(f"to       {recipient}" for recipient in grant.recipients),
        f"until    {grant.until or 'no date'}{' (expired)' if expired else ''}",
        f"purpose  {grant.purpose or '-'}",
    ]
    for line in lines:
        stdout.print(line, markup=False)
    note(NOTICE)
