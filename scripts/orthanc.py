"""Start two DICOM servers on this machine, a source and a target, until interrupted; nothing of them stays.

Needs Debian's packages orthanc and orthanc-dicomweb. FILE arguments are uploaded to the source:

    make orthanc
    .venv/bin/python scripts/orthanc.py --user alice:secret study/*.dcm
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
ROOT = "/dicom-web"
_START_S = 30.0


def find_orthanc() -> str | None:
    """Path of the server, or None where it or its DICOMweb plug-in is not installed."""
    # Debian puts it where only root looks
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
    return program if PLUGIN.is_file() else None


class Orthanc:
    """One Orthanc on the loopback interface, with a storage of its own.

    Args:
        folder: For its storage, configuration and log; made if missing.
        user: ``name:password`` for basic authentication, or empty for none.
        port: Where to listen, or 0 to choose a free port.
    """

    def __init__(self, folder: Path, *, user: str = "", port: int = 0) -> None:
        program = find_orthanc()
        if program is None:
            raise SystemExit(
                "expected Orthanc with its DICOMweb plug-in: apt-get install orthanc orthanc-dicomweb"
            )
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port or _free_port()
        self.user = user
        name, _, password = user.partition(":")
        configuration = {
            "Name": folder.name,
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "Plugins": [str(PLUGIN)],
            "HttpPort": self.port,
            "RemoteAccessAllowed": False,
            "DicomServerEnabled": False,
            "AuthenticationEnabled": bool(user),
            "RegisteredUsers": {name: password} if user else {},
            "OverwriteInstances": False,
            "DicomWeb": {"Enable": True, "Root": f"{ROOT}/"},
        }
        file = folder / "orthanc.json"
        file.write_text(json.dumps(configuration), encoding="utf-8")
        self.log = folder / "orthanc.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([program, file], stdout=log, stderr=log, start_new_session=True)
        self._wait()

    @property
    def url(self) -> str:
        """Address of its DICOMweb service."""
        return f"http://127.0.0.1:{self.port}{ROOT}"

    def _wait(self) -> None:
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return
            except OSError:
                time.sleep(0.05)
        self.stop()
        raise SystemExit(f"Orthanc did not start:\n{self.log.read_text(errors='replace')[-2000:]}")

    def ask(self, path: str, data: bytes | None = None) -> Any:
        """Answer of Orthanc's own interface (not DICOMweb), for looking from another side."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=data)
        if self.user:
            request.add_header("Authorization", "Basic " + base64.b64encode(self.user.encode()).decode())
        # loopback is never reached through a proxy
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            body = answer.read()
        return json.loads(body) if "json" in answer.headers.get("Content-Type", "") else body

    def upload(self, *files: bytes) -> None:
        """Store DICOM files."""
        for data in files:
            self.ask("/instances", data)

    def counts(self) -> tuple[int, int, int]:
        """Numbers of studies, series and instances."""
        found = self.ask("/statistics")
        return found["CountStudies"], found["CountSeries"], found["CountInstances"]

    def files(self) -> list[bytes]:
        """Every stored file as it lies in the storage, sorted."""
        return sorted(self.ask(f"/instances/{one}/file") for one in self.ask("/instances"))

    def stop(self) -> None:
        """End it at once; its storage is worth nothing."""
        self.process.kill()
        self.process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def main() -> None:
    """Run both servers until interrupted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, help="DICOM files for the source")
    parser.add_argument("--user", default="", metavar="NAME:PASSWORD", help="basic authentication for both")
    options = parser.parse_args()
    # also where the shell started us in the background, which ignores interrupts
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="orthanc-") as folder:
        servers: list[Orthanc] = []
        try:
            for name in ("source", "target"):
                servers.append(Orthanc(Path(folder, name), user=options.user))
                print(f"{name}  dicomweb:{servers[-1].url}")
            for file in options.files:
                servers[0].upload(file.read_bytes())
            for study in servers[0].ask("/studies"):
                uid = servers[0].ask(f"/studies/{study}")["MainDicomTags"]["StudyInstanceUID"]
                print(f"study   dicomweb:{servers[0].url}/studies/{uid}")
            print("interrupt to end both", flush=True)
            signal.pause()
        except KeyboardInterrupt:
            print("ended")
        finally:
            for server in servers:
                server.stop()


if __name__ == "__main__":
    main()
