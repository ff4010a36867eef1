"""Where the proxy listens: this machine alone, unless TLS and tokens protect what goes over the network."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from medlocker.errors import InputError
from medlocker.serving.listening import LOOPBACK, listening
from medlocker.serving.prompt import PromptProtocol

_MOST_AT_ONCE = 64
"""Requests; the others are told to come again."""


@dataclass(frozen=True)
class Listening:
    """Where to listen.

    Args:
        address: Number of this machine's.
        port: 0 takes a free one.
        names: Further names by which it is asked for.
        certificate, key: Files of TLS, PEM, or None.
    """

    address: str
    port: int
    names: tuple[str, ...]
    certificate: Path | None
    key: Path | None

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return "http" if self.certificate is None else "https"

    def hosts(self, port: int) -> list[str]:
        """Return all names, with the port and without it, which some clients leave out."""
        own = [f"[{self.address}]" if ":" in self.address else self.address]
        if ip_address(self.address).is_loopback:
            own.append("localhost")
        names = [*own, *self.names]
        return [f"{name}:{port}" for name in names] + names


def plan_listening(
    listen: str,
    *,
    names: Sequence[str] = (),
    certificate: Path | None = None,
    key: Path | None = None,
    has_tokens: bool,
) -> Listening:
    """Check where to listen.

    Args:
        listen: ``127.0.0.1:8043``, ``[::1]:8043``, ``0.0.0.0:8043``.

    Raises:
        InputError: If it is none, others could reach it unprotected, or the files of TLS cannot be used.
    """
    host, colon, port = listen.rpartition(":")
    address = LOOPBACK if host == "localhost" else host.removeprefix("[").removesuffix("]")
    try:
        number = ip_address(address)
    except ValueError:
        number = None
    if number is None or not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise InputError("--listen: expected an address of this machine and a port, such as 127.0.0.1:8043")
    if (certificate is None) != (key is None):
        raise InputError("expected --tls-cert and --tls-key together")
    if not number.is_loopback and not (certificate is not None and has_tokens):
        raise InputError(
            "--listen: others can reach this address: it needs encryption, and tokens that tell who asks",
            hint="give --tls-cert, --tls-key and --token-file, or listen on 127.0.0.1",
        )
    if certificate is not None and key is not None:
        _check_tls(certificate, key)
    return Listening(address, int(port), tuple(names), certificate, key)


def run_app(make: Callable[[list[str]], ASGIApp], where: Listening, *, say: Callable[[str], None]) -> None:
    """Serve until interrupted.

    Args:
        make: From the names of the server to the application.
        say: Called with the address once it listens.

    Raises:
        InputError: If the port cannot be used.
    """
    listener = listening(where.port, address=where.address, option="--listen")
    port = listener.getsockname()[1]
    hosts = where.hosts(port)
    config = uvicorn.Config(
        make(hosts),
        log_level="critical",  # its errors would quote addresses, which hold UIDs
        access_log=False,
        server_header=False,
        date_header=True,
        limit_concurrency=_MOST_AT_ONCE,
        http=PromptProtocol,
        ssl_certfile=where.certificate,
        ssl_keyfile=where.key,
        timeout_graceful_shutdown=5,
    )
    shown = f"{where.names[0]}:{port}" if where.names else hosts[0]
    say(f"{where.scheme}://{shown}")
    with listener:
        uvicorn.Server(config).run(sockets=[listener])


def _check_tls(certificate: Path, key: Path) -> None:
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            certificate, key, password=_refuse
        )
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise InputError(
            f"--tls-cert {certificate.name}, --tls-key {key.name}: "
            "expected a certificate and its key in PEM, not encrypted",
            subject=certificate.name,
        ) from error


def _refuse() -> str:
    raise ValueError("the key is encrypted")
