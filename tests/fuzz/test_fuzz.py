"""Damaged files end in medlocker's own errors, within bounds of time and memory, and never in a crash."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fuzz_worker import Worker, fuzz

from patience import HANGS_S

QUICK, SLOW = 200, 3000
READERS = {
    "png": 1, "tiff": 1, "bmp": 1, "jpeg": 1, "dicom": 1, "nifti": 1, "mask": 1, "regions-csv": 1, "coco": 1,
    "yolo": 2, "segmentation": 3, "labels": 1, "list": 1, "card": 1, "model": 8, "carded-model": 2,
    "segmenter": 2, "segmenter-card": 2, "logo": 1, "learned": 6, "envelope": 2, "payload": 2, "index": 1,
    "record": 1, "veil-record": 1, "residual": 3, "veil-residual": 2, "jpeg-residual": 1, "seal": 1,
    "grant": 1, "secret": 1, "keys": 1, "ledger": 2,
}  # fmt: skip
"""How much fewer cases than the others each gets, as one takes so much longer."""


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with Worker("fuzz_child.py", tmp_path_factory.mktemp("fuzz") / "errors") as made:
        yield made


def test_the_list_is_complete(worker: Worker) -> None:
    worker.send("readers 0 0 0")
    assert worker.receive() == {"readers": list(READERS)}


@pytest.mark.parametrize("reader", READERS)
def test_damaged_files_are_read_or_refused(reader: str, worker: Worker) -> None:
    failures, counts = fuzz(worker, reader, 0, QUICK // READERS[reader])
    assert not failures, "\n\n".join(failures[:5])
    assert counts["refused"] + counts["read"] == QUICK // READERS[reader]


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
def test_thousands_of_damaged_files_are_read_or_refused(reader: str, worker: Worker) -> None:
    failures, counts = fuzz(worker, reader, 1_000_000, SLOW // READERS[reader])
    assert not failures, "\n\n".join(failures[:5])
    # damage that is always seen at once, or never, tests nothing
    assert counts["read"] > 0
    assert counts["refused"] > 0 or reader == "keys"


@pytest.mark.parametrize(
    ("reader", "told"),
    [
        ("bug", "ZeroDivisionError"),
        ("hog", "MemoryError"),
        ("busy", "took 2."),
        ("crash", "the process ended with -11"),
        ("exit", "the process ended with 1"),
        ("hang", "Timeout (0:00:01)!"),
    ],
)
def test_whatever_goes_wrong_is_told_with_its_case(reader: str, told: str, worker: Worker) -> None:
    failures, _ = fuzz(worker, reader, 7, 1, hangs_s=1 if reader == "hang" else HANGS_S)
    assert len(failures) == 1
    assert failures[0].startswith(f"python tests/fuzz/fuzz_child.py {reader} 7\n")
    assert told in failures[0]
