"""`medlocker verify`: is a release, or one file, what its owner signed?"""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medlocker.cli._console import note, print_json, shown, stdout
from medlocker.cli._options import AsJson
from medlocker.cli._progress import Telling
from medlocker.errors import InputError, WrongImageError

if TYPE_CHECKING:
    from medlocker.certificates import CompanionLine, FileProblems, IndexLine, Release, VerifyReport
    from medlocker.mark import Mark

_SHOWN = 20
_MAX_LIST_BYTES = 1024 * 1024


def verify(
    target: Annotated[Path, typer.Argument(metavar="RELEASE|FILE", help="A release, or one marked file.")],
    owner: Annotated[
        Path, typer.Option(metavar="NAME.sign.pub", help="The owner's key, got from the owner.")
    ],
    release: Annotated[Path | None, typer.Option(help="For a FILE: the release it should belong to.")] = None,
    identity: Annotated[
        Path | None, typer.Option(metavar="KEY", help="For a FILE: private key, to show its parameter list.")
    ] = None,
    grant: Annotated[Path | None, typer.Option(metavar="GRANT_DIR", help="The grant that KEY opens.")] = None,
    parameters: Annotated[
        Path | None, typer.Option(metavar="LIST.json", help="For a FILE: is this its parameter list?")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads that read files.")] = None,
    json: AsJson = False,
) -> None:
    """Check who signed a release, and that no file is missing, changed, or added. Exit code 3 if not so."""
    from medlocker.certificates import load_verify_key, open_release

    if target.is_dir():
        if release or identity or grant or parameters:
            raise InputError("expected --release, --identity, --grant and --parameters with one marked file")
        _verify_release(target, owner, workers, as_json=json)
        return
    if release is None:
        raise InputError(
            f"{target.name}: expected a release folder, or --release with a file", subject=target.name
        )
    if parameters and not identity:
        raise InputError("expected --identity with --parameters: the list is sealed")
    _verify_file(
        open_release(release, load_verify_key(owner)), target, identity, grant, parameters, as_json=json
    )


def _verify_release(target: Path, owner: Path, workers: int | None, *, as_json: bool) -> None:
    from medlocker.api.trust import verify

    done = verify(target, owner=owner, workers=workers, progress=Telling())
    if as_json:
        print_json(_release_json(done.release, done.report, done.seconds))
    else:
        _print_release(done.release, done.report)
    if not done.valid:
        raise typer.Exit(3)


def _facts(release: Release) -> dict[str, Any]:
    statement = release.statement
    return {
        "owner": release.owner.key_id,
        "release": statement.release,
        "created": statement.created,
        "tool": statement.tool,
        "preset": statement.preset,
        "regions": statement.regions,
        "regions_scope": regions_scope(statement.regions) or None,
        "models": [{"name": model.name, "sha256": model.sha256} for model in statement.models],
        "counts": dict(statement.counts),
        "images": statement.images,
    }


def regions_scope(regions: str) -> str:
    """Return of which images a statement's keep-out regions speak: a source for all means regions in some.

    Args:
        regions: As stated, see :class:`medlocker.certificates.Statement`.
    """
    sources = regions.split(" + ")
    how = ["given"] if "given" in sources else []
    if any(source not in ("given", "none", "not stated", "unlisted: none") for source in sources):
        how.append("found")
    return f"in images where any were {' or '.join(how)}; how many is not stated" if how else ""


def _release_json(release: Release, report: VerifyReport, seconds: float) -> dict[str, Any]:
    value: dict[str, Any] = {"valid": report.valid, **_facts(release), "intact": report.intact}
    value["companions"], value["companions_intact"] = report.companions, report.companions_intact
    for name, faults in _faults(report):
        value[name] = faults.names
        value[f"{name}_count"] = faults.count
    value["seconds"] = seconds
    return value


def _faults(report: VerifyReport) -> tuple[tuple[str, FileProblems], ...]:
    return ("missing", report.missing), ("changed", report.changed), ("added", report.added)


def _print_release(release: Release, report: VerifyReport) -> None:
    statement = release.statement
    verdict = "valid" if report.valid else "NOT VALID"
    lines = [
        f"{verdict}: {report.intact} of {report.images} images are as signed",
        f"owner    {release.owner.key_id}",
        f"release  {statement.release}, {statement.created}, {statement.tool}, preset {statement.preset}",
        f"regions  {statement.regions}"
        + (f" ({scope})" if (scope := regions_scope(statement.regions)) else ""),
        *(f"model    {model.name} {model.sha256}" for model in statement.models),
    ]
    if report.companions:
        lines.append(f"beside   {report.companions_intact} of {report.companions} other files are as signed")
    for name, faults in _faults(report):
        if faults.count:
            lines.append(f"{name} {faults.count}:")
            lines.extend(f"  {shown(file)}" for file in faults.names[:_SHOWN])
            if faults.count > _SHOWN:
                lines.append(f"  ... and {faults.count - _SHOWN} more, see --json")
    if report.is_intact and not report.valid:
        lines.append(
            f"all {report.images} marked files are intact; what was added is foreign, nobody signed it: "
            "move it out of the release"
        )
    for line in lines:
        stdout.print(line, markup=False)
    note(statement.promise)


def _verify_file(
    release: Release,
    file: Path,
    identity: Path | None,
    grant: Path | None,
    parameters: Path | None,
    *,
    as_json: bool,
) -> None:
    beside = release.find_companion(_digest(file))
    if beside is not None:
        _print_beside(release, beside, identity or parameters, as_json=as_json)
        return
    line = _line_of(release, file)
    entry = line.entry
    value: dict[str, Any] = {
        "valid": True,
        **_facts(release),
        "index": entry.index,
        "name": entry.name,
        "sha256": entry.file,
    }
    if identity is not None:
        from medlocker.api.trust import load_access

        record = load_access(release, identity, grant, listener=Telling()).open(line)
        if parameters is not None:
            if _read_parameters(parameters) != record.marks:
                raise WrongImageError(
                    f"{parameters.name}: it is not the parameter list of {entry.name}",
                    subject=parameters.name,
                )
            value["parameters_match"] = True
        value["parameters"] = [mark.to_json() for mark in record.marks]
    if as_json:
        print_json(value)
        return
    stdout.print(f"valid: image {entry.index}, {entry.name}", markup=False)
    stdout.print(f"owner    {value['owner']}", markup=False)
    stdout.print(f"release  {value['release']}, {value['created']}", markup=False)
    if parameters is not None:
        stdout.print(f"{parameters.name} is its parameter list", markup=False)
    elif identity is not None:
        stdout.print(json_module.dumps(value["parameters"], indent=2), markup=False)


def _print_beside(release: Release, line: CompanionLine, unwanted: Path | None, *, as_json: bool) -> None:
    entry = line.entry
    if unwanted is not None:
        raise InputError(f"{entry.name}: only marked images have parameters, it is a {entry.kind}")
    if as_json:
        facts = {"kind": entry.kind, "name": entry.name, "sha256": entry.file, "about": entry.images}
        print_json({"valid": True, **_facts(release), **facts})
        return
    stdout.print(f"valid: {entry.kind}, {entry.name}", markup=False)
    stdout.print(f"owner    {release.owner.key_id}", markup=False)
    stdout.print(f"release  {release.statement.release}, {release.statement.created}", markup=False)


def _line_of(release: Release, file: Path) -> IndexLine:
    """Return the line of a marked file.

    Raises:
        WrongImageError: If it is none; if it was made of one, with which.
    """
    try:
        return release.find_file(_digest(file))
    except WrongImageError as error:
        from medlocker.api.whose import made_of
        from medlocker.files import read_limited
        from medlocker.images import LIMITS

        data = read_limited(file, max_bytes=LIMITS.max_file_bytes, what="file")
        known = made_of(data, release, name=file.name, listener=Telling())
        if known is None:
            raise
        raise WrongImageError(
            f"{file.name}: made of image {known.index} of this release, {known.name}, and changed since",
            hint="`medlocker whose` tells more",
            subject=file.name,
        ) from error


def _digest(file: Path) -> str:
    from medlocker.certificates import sha256_file

    try:
        if not file.is_file():
            raise InputError(f"{file.name}: expected a release folder or a file", subject=file.name)
        return sha256_file(file)
    except OSError as error:
        raise InputError(
            f"{file.name}: {(error.strerror or 'cannot be read').lower()}", subject=file.name
        ) from error


def _read_parameters(path: Path) -> tuple[Mark, ...]:
    from medlocker.files import read_limited
    from medlocker.mark import Mark

    data = read_limited(path, max_bytes=_MAX_LIST_BYTES, what="parameter list")
    try:
        value = json_module.loads(data)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):  # what `verify --json` printed
        value = value.get("parameters")
    if not isinstance(value, list):
        raise InputError(f"{path.name}: expected a JSON array of marks", subject=path.name)
    return tuple(Mark.from_json(mark) for mark in value)
