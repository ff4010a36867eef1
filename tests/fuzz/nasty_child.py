"""The process that runs commands on nasty files: limited memory, and what each command took.

Asked through standard input with one JSON array of arguments a line, it answers with one JSON object a line.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import sys
import time
import traceback
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

from fuzz_child import limit

from medlocker.cli import main
from patience import HANGS_S

_PEAK = "VmHWM:"


def _peak_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(_PEAK)) << 10


def _forget_peak() -> int:
    """Begin to measure; returns the bytes in memory now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak_bytes()


def run(arguments: list[str]) -> dict[str, object]:
    """Run one command."""
    out, err = StringIO(), StringIO()
    before, started = _forget_peak(), time.process_time()
    sys.argv = ["medlocker", *arguments]
    code: object = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            code = traceback.format_exc()
    seconds, most = time.process_time() - started, _peak_bytes() - before
    return {"code": code, "out": out.getvalue(), "err": err.getvalue(), "seconds": seconds, "bytes": most}


if __name__ == "__main__":
    faulthandler.enable()
    os.environ |= {"NO_COLOR": "1", "COLUMNS": "400", "TERM": "dumb"}
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever libraries print
    # a gigabyte that no file asked for
    for module in ("onnx2torch", *(f"medlocker.cli.{name}" for name in ("protect", "inspect", "verify"))):
        importlib.import_module(module)
    limit()
    for line in sys.stdin:
        faulthandler.dump_traceback_later(HANGS_S, exit=True)
        answers.write(json.dumps(run(json.loads(line))) + "\n")
        faulthandler.cancel_dump_traceback_later()
