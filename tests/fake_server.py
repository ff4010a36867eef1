"""A DICOMweb server on the loopback interface that misbehaves on demand, which real ones do not."""

from __future__ import annotations

import io
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

STUDY = "1.2.3.4"
CT = "1.2.840.10008.5.1.4.1.1.2"
PATIENT = "Secret^Sally"
BOUNDARY = "fake-boundary"

STORED = {"00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2.3"]}}]}}
"""A report of one stored instance."""


def dicom(
    *, series: str = "1.2.3.4.1", number: int = 1, uid: str = "", study: str = STUDY, side: int = 8
) -> bytes:
    """A small CT image."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = Dataset()
    image.file_meta = meta
    image.SOPClassUID = CT
    image.SOPInstanceUID = uid or f"{series}.{number}"
    image.StudyInstanceUID = study
    image.SeriesInstanceUID = series
    image.PatientName = PATIENT
    image.PatientID = "P1"
    image.Modality = "CT"
    image.InstanceNumber = number
    image.Rows = image.Columns = side
    image.SamplesPerPixel, image.BitsAllocated, image.BitsStored, image.HighBit = 1, 8, 8, 7
    image.PixelRepresentation, image.PhotometricInterpretation = 0, "MONOCHROME2"
    step = 255 // (2 * side)
    image.PixelData = bytes((x + y + number) * step % 256 for y in range(side) for x in range(side))
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, image, enforce_file_format=True)
    return stream.getvalue()


def uids(data: bytes) -> tuple[str, str, str]:
    """Study, series and instance of a DICOM file."""
    header = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
    return str(header.StudyInstanceUID), str(header.SeriesInstanceUID), str(header.SOPInstanceUID)


def multipart(data: bytes, *, end: bytes = b"--") -> bytes:
    """A body with one DICOM file."""
    line = f"\r\n--{BOUNDARY}".encode()
    return line[2:] + b"\r\nContent-Type: application/dicom\r\n\r\n" + data + line + end


@dataclass
class Request:
    """What a client sent."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


@dataclass
class Reply:
    """What is answered; ``cut`` leaves out so many bytes at the end and hangs up."""

    status: int = 200
    media: str = "application/dicom+json"
    body: bytes = b""
    cut: int = 0
    headers: dict[str, str] = field(default_factory=dict)


Fault = Callable[[Request], Reply | None]


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up, for instance over a certificate, are no news."""


class FakeServer:
    """Serves ``files`` and keeps what is stored in ``files`` too; ``fault`` may answer first."""

    def __init__(self, files: list[bytes], context: ssl.SSLContext | None) -> None:
        self.files = {uids(data): data for data in files}
        self.requests: list[Request] = []
        self.fault: Fault = lambda request: None
        self.page = 1000
        self.keeps_connections = True
        self.busy = self.most_busy = 0
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _handle(self) -> None:
                outer._handle(self)

            do_GET = do_POST = _handle

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._http = _QuietServer(("127.0.0.1", 0), Handler)
        scheme = "http"
        if context is not None:
            scheme = "https"
            self._http.socket = context.wrap_socket(
                self._http.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._http.server_address[1]
        self.base = f"{scheme}://127.0.0.1:{self.port}/dicom-web"
        self.address = f"dicomweb:{self.base}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def count(self, method: str, ending: str) -> int:
        """How many requests matched."""
        return sum(one.method == method and re.search(ending, one.path) is not None for one in self.requests)

    def stop(self) -> None:
        """Close the door: nobody can connect any more."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        url = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        path = url.path.removeprefix("/dicom-web")
        headers = {name.title(): value for name, value in handler.headers.items()}
        request = Request(handler.command, path, parse_qs(url.query), headers, body)
        with self.lock:
            self.requests.append(request)
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
        try:
            reply = self.fault(request) or self._reply(request)
        finally:
            with self.lock:
                self.busy -= 1
        if reply.status == 0:  # hang up without a word
            handler.close_connection = True
            return
        handler.send_response(reply.status)
        handler.send_header("Content-Type", reply.media)
        if "Transfer-Encoding" not in reply.headers:
            handler.send_header("Content-Length", str(len(reply.body)))
        if not self.keeps_connections:
            handler.send_header("Connection", "close")
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(reply.body[: len(reply.body) - reply.cut])
        handler.close_connection = handler.close_connection or reply.cut > 0

    def _reply(self, request: Request) -> Reply:
        if request.method == "POST":
            return self._store(request)
        found = re.fullmatch(r"/studies/([^/]+)(?:/series/([^/]+))?/instances(?:/([^/]+))?", request.path)
        assert found, request.path
        study, series, uid = found.groups()
        if uid:
            data = self.files.get((study, series, uid))
            if data is None:
                return Reply(404)
            return Reply(media=f"multipart/related; boundary={BOUNDARY}", body=multipart(data))
        listed = [
            listing(data) for (a, b, _), data in self.files.items() if a == study and series in (None, b)
        ]
        offset = int(request.query.get("offset", ["0"])[0])
        return Reply(body=json.dumps(listed[offset : offset + self.page]).encode())

    def _store(self, request: Request) -> Reply:
        assert request.path == "/studies"
        boundary = request.headers["Content-Type"].partition("boundary=")[2]
        head, data = request.body.split(b"\r\n\r\n", 1)
        assert head.startswith(f"--{boundary}\r\n".encode())
        data = data.removesuffix(f"\r\n--{boundary}--\r\n".encode())
        self.files[uids(data)] = data
        return Reply(body=json.dumps(STORED).encode())


def listing(data: bytes) -> dict[str, Any]:
    """One instance in DICOM JSON."""
    header = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
    return {
        "00080016": {"vr": "UI", "Value": [str(header.SOPClassUID)]},
        "00080018": {"vr": "UI", "Value": [str(header.SOPInstanceUID)]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": PATIENT}]},
        "0020000E": {"vr": "UI", "Value": [str(header.SeriesInstanceUID)]},
        "00200013": {"vr": "IS", "Value": [int(header.InstanceNumber)]},
    }


@contextmanager
def serving(*files: bytes, context: ssl.SSLContext | None = None) -> Iterator[FakeServer]:
    """Run a server while the block runs."""
    server = FakeServer(list(files), context)
    try:
        yield server
    finally:
        server.stop()


def self_signed(folder: Path) -> Path:
    """A private key and a certificate for 127.0.0.1 signed by itself, in one PEM file."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "medlocker test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    path = folder / "server.pem"
    path.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    return path
