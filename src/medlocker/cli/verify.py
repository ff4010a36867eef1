"""`medlocker verify`: is a release, or one file, what its owner signed?"""

from __future__ import annotations

import json as json_module
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medlocker.cli._console import note, print_json, shown, stdout, warn
from medlocker.cli._progress import image_progress
from medlocker.errors import InputError, WrongImageError

if TYPE_CHECKING:
    from medlocker.certificates import Access, Faults, Release, VerifyReport
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
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check who signed a release, and that no file is missing, changed, or added. Exit code 3 if not so."""
    from medlocker.certificates import load_verify_key, open_release

    key = load_verify_key(owner)
    if target.is_dir():
        if release or identity or grant or parameters:
            raise InputError("expected --release, --identity, --grant and --parameters with one marked file")
        _verify_release(open_release(target, key), workers, as_json=json)
        return
    if release is None:
        raise InputError(
            f"{target.name}: expected a release folder, or --release with a file", subject=target.name
        )
    if parameters and not identity:
        raise InputError("expected --identity with --parameters: the list is sealed")
    _verify_file(open_release(release, key), target, identity, grant, parameters, as_json=json)


def _verify_release(release: Release, workers: int | None, *, as_json: bool) -> None:
    from medlocker.certificates import verify_release

    started = time.perf_counter()
    with image_progress("verifying", release.statement.images) as bar:
        report = verify_release(release, workers=workers, progress=bar.advance)
    seconds = time.perf_counter() - started
    if as_json:
        print_json(_release_json(release, report, seconds))
    else:
        _print_release(release, report)
    if not report.valid:
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
    if any(source not in ("given", "none", "not stated") for source in sources):
        how.append("found")
    return f"in images where any were {' or '.join(how)}; how many is not stated" if how else ""


def _release_json(release: Release, report: VerifyReport, seconds: float) -> dict[str, Any]:
    value: dict[str, Any] = {"valid": report.valid, **_facts(release), "intact": report.intact}
    for name, faults in _faults(report):
        value[name] = faults.names
        value[f"{name}_count"] = faults.count
    value["seconds"] = seconds
    return value


def _faults(report: VerifyReport) -> tuple[tuple[str, Faults], ...]:
    return ("missing", report.missing), ("changed", report.changed), ("added", report.added)


def _print_release(release: Release, report: VerifyReport) -> None:
    from medlocker.certificates import PROMISE

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
    for name, faults in _faults(report):
        if faults.count:
            lines.append(f"{name} {faults.count}:")
            lines.extend(f"  {shown(file)}" for file in faults.names[:_SHOWN])
            if faults.count > _SHOWN:
                lines.append(f"  ... and {faults.count - _SHOWN} more, see --json")
    for line in lines:
        stdout.print(line, markup=False)
    note(PROMISE)


def _verify_file(
    release: Release,
    file: Path,
    identity: Path | None,
    grant: Path | None,
    parameters: Path | None,
    *,
    as_json: bool,
) -> None:
    line = release.find_file(_digest(file))
    entry = line.entry
    value: dict[str, Any] = {
        "valid": True,
        **_facts(release),
        "index": entry.index,
        "name": entry.name,
        "sha256": entry.file,
    }
    if identity is not None:
        record = load_access(release, identity, grant).open(line)
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


def load_access(release: Release, identity: Path, grant: Path | None) -> Access:
    """Read a private key and open with it the grant, or without one the owner's own.

    Raises:
        InputError: If a file cannot be read.
        CertificateError: If the key does not open it.
    """
    from medlocker.certificates import load_identity, open_grant, owner_access

    key = load_identity(identity)
    for text in key.notes:
        warn(text)
    if grant is None:
        return owner_access(release, key)
    return open_grant(release, grant, identity=key)


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
