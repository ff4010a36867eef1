"""`medlocker grant`: make somebody able to restore; `medlocker grant list`: show what a grant says."""

from __future__ import annotations

import fnmatch
import os
from datetime import UTC, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from medlocker.cli._console import note, print_json, stdout, warn
from medlocker.errors import InputError, OutputExistsError

if TYPE_CHECKING:
    from medlocker.certificates import Grant, Release

_MAX_LIST_BYTES = 64 * 1024 * 1024
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
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make somebody able to restore a release, or some of its images; `new` need not be written.

    Whom you grant images can open these and no others. Date and purpose are signed, but they bind people: who
    has opened a grant can keep what it opens.
    """
    from medlocker.certificates import load_owner, load_recipient, open_release, open_secret, write_grant

    last = None if until is None else parse_until(until, now=datetime.now(UTC))
    _check_place(out, release)
    keys = load_owner(owner)
    recipients = [load_recipient(path) for path in to]
    identity = keys.identity()
    for text in (*keys.signing.notes, *identity.notes):
        warn(text)
    opened = open_release(release, keys.signing.public)
    granted = write_grant(
        opened,
        out,
        secret=open_secret(opened, identity),
        signing=keys.signing,
        recipients=recipients,
        images=None if images is None else choose(opened, images),
        until=last,
        purpose=purpose,
    )
    _show(granted, as_json=json, images=opened.statement.images)
    note(f"give the folder {out} and your .sign.pub file to the recipients")


def _check_place(out: Path, release: Path) -> None:
    """Refuse an output in the release: whoever verifies it would find files that its owner did not sign."""
    if Path(os.path.realpath(out)).is_relative_to(Path(os.path.realpath(release))):
        raise OutputExistsError(
            f"the output {out.name} lies inside the release {release.name}, which must not change",
            hint="choose an output elsewhere",
        )


@app.command("list")
def show(
    grant: Annotated[Path, typer.Argument(metavar="GRANT_DIR", help="Folder of the grant.")],
    owner: Annotated[
        Path, typer.Option(metavar="NAME.sign.pub", help="The owner's key, got from the owner.")
    ],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
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


def parse_until(text: str, *, now: datetime) -> datetime:
    """Return the last moment of a grant: the end of a day in UTC, or a UTC time.

    Raises:
        InputError: If it is neither, or lies in the past.
    """
    try:
        if len(text) == 10:
            moment = datetime.combine(datetime.strptime(text, "%Y-%m-%d").date(), time(23, 59, 59), UTC)
        else:
            moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise InputError(f"--until: expected a date like 2027-01-31, got {text!r:.40}") from None
    if moment < now:
        raise InputError(f"--until: expected a date to come, got {text}")
    return moment


def choose(release: Release, images: str) -> list[int]:
    """Return the numbers of the images that a list file names or a pattern matches, ascending.

    Args:
        release: Its index is searched.
        images: An existing file with one name a line, else a pattern: ``*`` matches across folders.

    Raises:
        InputError: If nothing matches, or a listed name is not in the release.
    """
    path = Path(images)
    if path.is_file():
        return _listed(release, path)
    chosen = [line.entry.index for line in release.lines() if fnmatch.fnmatchcase(line.entry.name, images)]
    if not chosen:
        raise InputError(
            f"--images: expected a list file or a pattern that matches names, got {images!r:.80}"
        )
    return chosen


def _listed(release: Release, path: Path) -> list[int]:
    from medlocker.files import read_limited

    try:
        text = read_limited(path, max_bytes=_MAX_LIST_BYTES, what="list").decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"list {path.name}: expected UTF-8 text", subject=path.name) from None
    wanted = {line.strip() for line in text.splitlines() if line.strip()}
    chosen = []
    for line in release.lines():
        if line.entry.name in wanted:
            wanted.discard(line.entry.name)
            chosen.append(line.entry.index)
    if wanted:
        raise InputError(
            f"list {path.name}: {len(wanted)} names are not in the release, first {min(wanted)!r:.80}",
            subject=path.name,
        )
    if not chosen:
        raise InputError(f"list {path.name}: expected one name a line", subject=path.name)
    return chosen
