"""The process that reads damaged files: limited memory, a watchdog, and one line told before each case.

Asked through standard input with lines ``READER FIRST COUNT SECONDS``, it answers with JSON lines. It may
die; who asked knows from the last line which case did it. By hand: ``fuzz_child.py READER CASE`` carries one
case out, and ``fuzz_child.py READER CASE FILE`` writes its bytes to a file instead.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import fuzz_paths  # noqa: F401  (where the others are found)
from fuzz_mutations import mutated
from fuzz_readers import MISBEHAVING, READERS, Reader

from medlocker.errors import MedlockerError

MOST_S = 2.0
MOST_BYTES = 1 << 30


def _known(reader: str) -> Reader:
    return READERS.get(reader) or MISBEHAVING[reader]


def case(reader: str, number: int) -> bytes:
    """The damaged file of a number: the same on every machine and in every run."""
    own = _known(reader)
    return mutated(own.seeds(), own.structure, random.Random(f"{reader} {number}"))


def carry_out(reader: str, data: bytes) -> tuple[str, float]:
    """Read one file in a folder of its own; returns ``read``, ``refused`` or what went wrong, and seconds."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    started = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            _known(reader).read(data, folder)
        found = "read"
    except MedlockerError as error:
        found = "refused" if _is_one_sentence(str(error)) else f"not one sentence: {error!s:.300}"
    except BaseException:
        found = traceback.format_exc()
    finally:
        shutil.rmtree(folder)
    seconds = time.process_time() - started
    return (f"took {seconds:.1f} s" if seconds > MOST_S else found), seconds


def _is_one_sentence(text: str) -> bool:
    return 0 < len(text) < 2000 and "Traceback" not in text


def limit() -> None:
    """Allow a gigabyte more than what is taken now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def prepare(reader: str) -> None:
    """Make the sound files, and load what libraries they need, without a limit; from now on there is one."""
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    _known(reader).seeds()
    limit()


def serve() -> None:
    """Answer until there is nothing more to do."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever libraries print
    for line in sys.stdin:
        name, first, count, hangs_s = line.split()
        if name == "readers":
            answers.write(json.dumps({"readers": list(READERS)}) + "\n")
            continue
        prepare(name)
        counts = {"read": 0, "refused": 0}
        slowest = 0.0
        for number in range(int(first), int(first) + int(count)):
            answers.write(json.dumps({"case": number}) + "\n")
            faulthandler.dump_traceback_later(float(hangs_s), exit=True)
            found, seconds = carry_out(name, case(name, number))
            faulthandler.cancel_dump_traceback_later()
            slowest = max(slowest, seconds)
            if found not in counts:
                answers.write(json.dumps({"failed": number, "how": found}) + "\n")
                continue
            counts[found] += 1
        answers.write(json.dumps({"done": counts, "slowest_s": round(slowest, 3)}) + "\n")


if __name__ == "__main__":
    faulthandler.enable()
    if len(sys.argv) == 4:
        Path(sys.argv[3]).write_bytes(case(sys.argv[1], int(sys.argv[2])))
        sys.exit()
    if len(sys.argv) == 3:
        prepare(sys.argv[1])
        sys.exit(carry_out(sys.argv[1], case(sys.argv[1], int(sys.argv[2])))[0])
    serve()
