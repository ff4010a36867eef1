"""`ml.proxy`: a DICOMweb service that restores what a grant opens, as it is looked at."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from medlocker.api.listener import Listener
from medlocker.arguments import AtLeastZero, checked_arguments
from medlocker.certificates import load_identity, load_verify_key, open_release
from medlocker.errors import InputError

if TYPE_CHECKING:
    from medlocker.proxy import Callers, Opening

_Path = str | os.PathLike[str]
_ORIGIN_BEGINS = ("http://", "https://")


@checked_arguments
def proxy(
    server: str,
    releases: _Path | Sequence[_Path],
    *,
    owner: _Path,
    identity: _Path,
    grants: _Path | Sequence[_Path] = (),
    log: _Path,
    listen: str = "127.0.0.1:8043",
    names: Sequence[str] = (),
    token_file: _Path | None = None,
    tls_cert: _Path | None = None,
    tls_key: _Path | None = None,
    allow_origins: Sequence[str] = (),
    only_restored: bool = False,
    cache_mb: AtLeastZero = 256,
    auth: _Path | None = None,
    ca: _Path | None = None,
    say: Callable[[str], None] = lambda address: None,
    progress: Listener | None = None,
) -> None:
    """Serve a store of marked instances over DICOMweb until interrupted, restored where a grant opens them.

    Args:
        server: Address of the store: ``dicomweb:https://host/dicom-web``.
        releases: Folders of the releases whose marked files it has; ``images/`` may be missing in them.
        owner: The owner's ``NAME.sign.pub``.
        identity: Your private key: ``NAME.age.key``, or OpenSSH ed25519.
        grants: What the owner granted you; none: the key is the owner's.
        log: File of JSON lines that tell who saw what; what cannot be written there is not shown.
        listen: Address and port; other than this machine's own only with TLS and tokens.
        names: Further names by which callers ask for this machine.
        token_file: Who may ask: ``NAME SHA256-OF-TOKEN [GRANT_DIR ... | none]`` a line.
        tls_cert: Certificate, PEM.
        tls_key: Its private key, PEM.
        allow_origins: Sites whose pages may ask: ``https://viewer.example``.
        only_restored: Leave out instances that are not restored for who asks.
        cache_mb: Megabytes of memory for instances that were asked for last; never on a disk.
        auth: File with credentials for the store; else ``MEDLOCKER_PULL_AUTH``.
        ca: Certificate authorities of the store, PEM.
        say: Called with the proxy's address once it listens.
        progress: Is told what is worth knowing.

    Raises:
        InputError: If an argument cannot be used.
        CertificateError: If a release or grant is not the owner's, or the key opens nothing.
        MissingExtraError: If the extras ``dicomweb`` and ``web`` are not installed.
    """
    # late: they need extras
    from medlocker.dicomweb import PULL_VARIABLE, Server, parse_store, read_credentials
    from medlocker.proxy import (
        ROOT,
        AccessLog,
        Instances,
        ServedReleases,
        make_app,
        open_grants,
        plan_listening,
        run_app,
    )

    told = progress or Listener()
    where = plan_listening(
        listen,
        names=names,
        certificate=_optional(tls_cert),
        key=_optional(tls_key),
        has_tokens=token_file is not None,
    )
    origins = [_checked_origin(origin) for origin in allow_origins]
    credentials = read_credentials(_optional(auth), variable=PULL_VARIABLE)
    store = Server(parse_store(server), credentials, ca=_optional(ca))
    key = load_identity(Path(identity))
    for text in (*store.notes, *key.notes):
        told.warn(text)
    pinned = load_verify_key(Path(owner))
    opened = [open_release(folder, pinned) for folder in _paths(releases)]
    given = _paths(grants)

    def openings(folders: Sequence[Path] | None) -> Mapping[str, Sequence[Opening]]:
        return open_grants(opened, folders, key, note=told.note)

    callers = _callers(None if token_file is None else Path(token_file), openings, given or None)
    served = ServedReleases(opened)
    told.note(
        f"{served.images} images of {len(opened)} releases are known; {Path(log).name} tells who sees what"
    )
    with closing(AccessLog(Path(log))) as lines:
        instances = Instances(store, served, cache_bytes=cache_mb << 20, only_restored=only_restored)
        run_app(
            lambda hosts: make_app(
                instances, lines, callers, hosts=hosts, origins=origins, scheme=where.scheme
            ),
            where,
            say=lambda address: say(address + ROOT),
        )


def _callers(
    tokens: Path | None,
    openings: Callable[[Sequence[Path] | None], Mapping[str, Sequence[Opening]]],
    given: Sequence[Path] | None,
) -> Callers:
    from medlocker.proxy import LOCAL, Caller, Callers, read_tokens

    if tokens is None:
        return Callers(Caller(LOCAL, openings(given)))
    lines = read_tokens(tokens)
    usual = openings(given) if any(line.grants is None for line in lines) else {}
    known = [
        (line.digest, Caller(line.name, usual if line.grants is None else openings(line.grants)))
        for line in lines
    ]
    return Callers(None, known)


def _checked_origin(origin: str) -> str:
    scheme, _, host = origin.partition("://")
    if f"{scheme}://" not in _ORIGIN_BEGINS or not host or set(host) & set("/*?#@ "):
        raise InputError(
            f"--allow-origin: expected a site such as https://viewer.example, got {origin!r:.60}"
        )
    return origin.lower()


def _optional(path: _Path | None) -> Path | None:
    return None if path is None else Path(path)


def _paths(given: _Path | Sequence[_Path]) -> list[Path]:
    return [Path(given)] if isinstance(given, str | os.PathLike) else [Path(path) for path in given]
