"""What a worker process of this machine runs: hears of images, and tells what becomes of them."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from medlocker.engines._messages import Told, WorkerReady
from medlocker.engines._worker import Worker
from medlocker.engines._workerprotocols import REPORT_S


def main(kind: type[Worker] = Worker) -> NoReturn:
    """Work for whoever holds the other end of the socket that the last argument numbers, until it closes."""
    line: Connection[Any, Any] = Connection(int(sys.argv[-1]))
    try:
        worker = kind(line.recv())
        line.send(_open(worker))
        threading.Thread(target=_tell, args=(worker, line), daemon=True).start()
        while True:
            what, value = line.recv()
            if what == "give":
                worker.give(value)
            else:
                worker.answer(value)
    except (EOFError, OSError):
        # at once, whatever its threads are at: nobody waits for it
        os._exit(1)


def _open(worker: Worker) -> WorkerReady:
    try:
        return worker.open()
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        return WorkerReady("this machine", os.getpid(), refused=Told("MedlockerError", text))


def _tell(worker: Worker, line: Connection[Any, Any]) -> None:
    broken = None
    while broken is None:
        report = worker.report(timeout_s=REPORT_S)
        broken = report.broken
        try:
            line.send(report)
        except OSError:
            os._exit(1)
