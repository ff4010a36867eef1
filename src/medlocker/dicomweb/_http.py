"""Requests to one server: bounded, encrypted where it can be, and every failure one clear sentence.

Messages name neither URL, UID nor anything a server said. Redirections are not followed: credentials and
patient data go to the address that the user gave, and to no other.
"""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlencode, urlsplit

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from medlocker.dicomweb._address import Address
from medlocker.dicomweb._credentials import Credentials
from medlocker.errors import InputError, TransferError
from medlocker.version import __version__

CONNECTIONS = 4
"""Requests at once."""
TIMEOUT = urllib3.Timeout(connect=10, read=60)
_WAITS_S = (0.3, 1.5)
"""Pauses before a failed request is sent again."""
_BUSY = frozenset({408, 429, 502, 503, 504})
_CHUNK = 1 << 18


class ServerGoneError(TransferError):
    """No connection can be made: asking for more is of no use."""


class ForbiddenError(InputError):
    """The credentials do not suffice for this."""


class SilentServerError(TransferError):
    """The server keeps a request waiting for longer than anybody waits."""


class NotFoundError(TransferError):
    """The server does not have what was asked for."""


@dataclass(frozen=True)
class HttpAnswer:
    """What a server answered, with its body still to be read.

    Args:
        media: Media type, lower case, without parameters.
        parameters: Of the media type.
    """

    status: int
    media: str
    parameters: Mapping[str, str]
    response: urllib3.BaseHTTPResponse

    def pieces(self, *, max_bytes: int) -> Iterator[bytes]:
        """Yield the body.

        Raises:
            TransferError: If it is longer than ``max_bytes`` or ends early.
        """
        size = 0
        for piece in self.response.stream(_CHUNK, decode_content=False):
            size += len(piece)
            if size > max_bytes:
                raise TransferError(f"expected an answer of at most {max_bytes} bytes, got a longer one")
            yield piece

    def read(self, *, max_bytes: int) -> bytes:
        """Return the body; see :meth:`pieces`."""
        return b"".join(self.pieces(max_bytes=max_bytes))


class Server:
    """One DICOMweb server.

    Args:
        credentials: Sent with each request.
        ca: File of the certificates to trust, PEM; else those that the system trusts.

    Raises:
        InputError: If ``ca`` cannot be used.
    """

    def __init__(self, address: Address, credentials: Credentials, *, ca: Path | None = None) -> None:
        self.address = address
        self._credentials = credentials
        self._pool = _pool(address, _context(ca) if address.is_encrypted else None)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know before anything is sent."""
        notes = self._credentials.notes
        if not self.address.is_encrypted and not self.address.is_local:
            notes += ("http sends patient data and credentials unencrypted over the network: prefer https",)
        return notes

    @contextmanager
    def request(
        self,
        method: str,
        path: str,
        *,
        accept: str,
        query: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        content: str = "",
    ) -> Iterator[HttpAnswer]:
        """Send one request, and again after a pause where the server is busy or hung up.

        Args:
            method: ``GET`` or ``POST``.
            path: What follows the address, beginning with a slash.
            accept: Media types that are understood.

        Yields:
            The answer, whatever its status but those of :meth:`request`'s errors.

        Raises:
            ServerGoneError: If there is no connection.
            InputError: If certificate or credentials are refused, or the address leads elsewhere.
            TransferError: If the server is busy for long, or the answer is cut off.
        """
        headers = {"Accept": accept, "User-Agent": f"medlocker/{__version__}"}
        if self._credentials.header:
            headers["Authorization"] = self._credentials.header
        if content:
            headers["Content-Type"] = content
        url = self.address.base + path + (f"?{urlencode(query, safe=',')}" if query else "")
        with _explained():
            response = self._send(method, url, headers, body)
            try:
                self._check(response.status)
                yield _answer(response)
            finally:
                # a connection with unread rest cannot be used again
                response.close()
                response.release_conn()

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> urllib3.BaseHTTPResponse:
        def once() -> urllib3.BaseHTTPResponse:
            return self._pool.request(
                method,
                url,
                headers=headers,
                body=body,
                timeout=TIMEOUT,
                retries=False,
                redirect=False,
                preload_content=False,
            )

        for wait_s in _WAITS_S:
            try:
                response = once()
            except (SSLError, ReadTimeoutError):
                raise
            except HTTPError:
                pass
            else:
                if response.status not in _BUSY:
                    return response
                response.close()
            time.sleep(wait_s)
        return once()

    def _check(self, status: int) -> None:
        """Refuse statuses that mean the same everywhere."""
        if status == 401:
            raise InputError("the server refuses the credentials, or wants some", hint=self._credentials.hint)
        if status == 403:
            raise ForbiddenError("the server does not allow this to this user", hint=self._credentials.hint)
        if 300 <= status < 400:
            raise InputError("the server answers with a redirection", hint="give the address it leads to")
        if status in _BUSY or status >= 500:
            raise TransferError(f"the server failed, status {status}")


def not_dicom(answer: HttpAnswer, *, wanted: str) -> NoReturn:
    """Raise that an answer is of a wrong kind.

    Raises:
        TransferError: Always.
    """
    got = "a web page" if answer.media in ("text/html", "application/xhtml+xml") else "something else"
    raise TransferError(
        f"expected {wanted} from the server, got {got}", hint="is the address that of its DICOMweb service?"
    )


def _answer(response: urllib3.BaseHTTPResponse) -> HttpAnswer:
    if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise TransferError("expected an answer as it is, got one in an encoding that was not asked for")
    told = response.headers.get("Content-Type", "application/octet-stream")
    if "*" in told:  # split or encoded, RFC 2231: nothing that DICOMweb needs, and no parser reads all of it
        raise TransferError("expected a plain media type from the server, got an encoded one")
    message = Message()
    parameters: dict[str, str] = {}
    with suppress(ValueError, LookupError):  # what no header can hold is of no known type
        message["Content-Type"] = told
        parameters = {name.lower(): value for name, value in message.get_params(failobj=[])[1:]}
    return HttpAnswer(response.status, message.get_content_type(), parameters, response)


class _Response(http.client.HTTPResponse):
    """A body whose chunks have no negative lengths, which else mean: read on for ever."""

    def _safe_read(self, amt: int) -> bytes:
        if amt < 0:
            raise http.client.IncompleteRead(b"")
        read: bytes = super()._safe_read(amt)  # type: ignore[misc]
        return read


class _Connection(urllib3.connection.HTTPConnection):
    response_class = _Response


class _SecureConnection(urllib3.connection.HTTPSConnection):
    response_class = _Response


class _Connections(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecureConnections(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what urllib3 raises into our errors; its texts, which quote addresses, stay the cause."""
    try:
        yield
    except SSLError as error:
        raise InputError(
            "the server's certificate is not trusted, or it does not speak TLS",
            hint="give the certificate of its authority with --ca FILE; certificates are always checked",
        ) from error
    except NameResolutionError as error:
        raise ServerGoneError("the server cannot be found: its name is unknown") from error
    except (ConnectTimeoutError, ProxyError) as error:
        raise ServerGoneError("the server cannot be reached: no connection") from error
    except ReadTimeoutError as error:
        raise SilentServerError("the server stopped answering") from error
    except HTTPError as error:
        raise TransferError("the server hung up, its answer is cut off") from error


def _context(ca: Path | None) -> ssl.SSLContext:
    try:
        # without a file: what the system trusts, where hospitals install their own authorities
        return ssl.create_default_context(cafile=ca)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        name = ca.name if ca is not None else "the system's"
        raise InputError(f"CA file {name}: expected certificates in PEM", subject=name) from error


def _pool(address: Address, context: ssl.SSLContext | None) -> urllib3.PoolManager:
    pool = _plain_pool(address, context)
    pool.pool_classes_by_scheme = {"http": _Connections, "https": _SecureConnections}
    return pool


def _plain_pool(address: Address, context: ssl.SSLContext | None) -> urllib3.PoolManager:
    proxy = urllib.request.getproxies().get(urlsplit(address.base).scheme, "")
    if not proxy or address.is_local or urllib.request.proxy_bypass(address.host):
        return urllib3.PoolManager(maxsize=CONNECTIONS, ssl_context=context)
    user = urllib3.util.parse_url(proxy).auth
    headers = urllib3.make_headers(proxy_basic_auth=user) if user else None
    return urllib3.ProxyManager(proxy, maxsize=CONNECTIONS, ssl_context=context, proxy_headers=headers)
