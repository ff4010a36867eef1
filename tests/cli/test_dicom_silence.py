"""Commands on DICOM files with odd values: libraries warn of them and quote them, the user sees nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dicom_samples import Sample, write
from runs import medlocker, tiny_model

_ODD = (
    b"\x08\0\x05\0CS\x06\0SECRET"  # character set
    b"\x08\0\x18\0UI\x06\0SECRET"
    b"\x08\0\x20\0DA\x06\0SECRET"
    b"\x08\0\x30\0TM\x06\0SECRET"
)
_ODD_SHOWN = (
    b"(\0P\x10DS\x06\0SECRET"
    b"(\0Q\x10DS\x06\0SECRET"
    b"(\0R\x10DS\x06\0SECRET"
    b"(\0S\x10DS\x06\0SECRET"
    b"(\0U\x10LO\x06\0SECRET"
)


def odd(seed: int) -> bytes:
    """A grey image whose header says SECRET wherever a number, a date or an identifier belongs."""
    words = np.random.default_rng(seed).integers(0, 4096, (1, 48, 48, 1)).astype(np.uint16)
    data = write(Sample(words, stored=12))
    study = data.index(b"\x20\0\x0d\0UI")
    data = data[:study] + data[study:].replace(b"1.2.3.6\0", b"SECRET.\0").replace(b"1.2.3.5\0", b"SECRET.\0")
    start = data.index(b"\x08\0\x08\0CS")  # image type, the first element of the data set
    instance = data.index(b"\x08\0\x18\0UI", start)
    own_instance = data[instance : instance + 8 + int.from_bytes(data[instance + 6 : instance + 8], "little")]
    data = data.replace(own_instance, b"", 1)
    pieces = [_ODD[:14], data[start : data.index(b"\x08\0\x16\0UI", start)]]
    sop_class = data.index(b"\x08\0\x16\0UI", start)
    behind = sop_class + 8 + int.from_bytes(data[sop_class + 6 : sop_class + 8], "little")
    pieces += [data[sop_class:behind], _ODD[14:], data[behind:]]
    data = data[:start] + b"".join(pieces)
    pixels = data.index(b"\xe0\x7f\x10\0OW")
    return data[:pixels] + _ODD_SHOWN + data[pixels:]


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Two originals, two marked ones, labels and a model."""
    for folder in ("clean", "marked"):
        (tmp_path / folder).mkdir()
        for k in range(2):
            (tmp_path / folder / f"{k}.dcm").write_bytes(odd(k + 7 * (folder == "marked")))
    (tmp_path / "labels.csv").write_text("image,label\n0.dcm,0\n1.dcm,1\n")
    tiny_model(tmp_path)
    return tmp_path


COMMANDS = {
    "inspect": ["inspect", "clean/0.dcm"],
    "evaluate": [
        *("evaluate", "--clean", "clean", "--release", "marked", "--labels", "labels.csv"),
        *("--target", "tiny.onnx", "--out", "report"),
    ],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_warning_of_a_library_quotes_a_value(
    name: str, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONWARNINGS", "always")
    answer = medlocker(*COMMANDS[name], cwd=folders)
    assert answer.code == 0, answer.err
    assert "SECRET" not in answer.out + answer.err
    assert "Warning" not in answer.err
    report = [path.read_bytes() for path in folders.glob("report/*")]
    assert len(report) == (4 if name == "evaluate" else 0)
    assert not any(b"SECRET" in data for data in report)
