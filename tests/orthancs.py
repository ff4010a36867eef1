"""Real servers for tests: Debian's Orthanc with its DICOMweb plug-in, on the loopback interface.

Without Orthanc tests are skipped, unless MEDLOCKER_ORTHANC=required says that it must be there.
"""

from __future__ import annotations

import importlib.util
import io
import os
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import UID

SCRIPT = Path(__file__).parents[1] / "scripts" / "orthanc.py"
STUDY = "1.2.826.0.1.3680043.10.99"


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("orthanc", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


orthanc = _script()
REQUIRED = os.environ.get("MEDLOCKER_ORTHANC") == "required"
needs_orthanc = pytest.mark.skipif(
    orthanc.find_orthanc() is None and not REQUIRED,
    reason="no Orthanc: apt-get install orthanc orthanc-dicomweb",
)


def renamed(name: str, *, series: int, number: int) -> bytes:
    """A file of pydicom's as an instance of our one study."""
    image = pydicom.dcmread(str(get_testdata_file(name)))
    image.StudyInstanceUID, image.SeriesInstanceUID = STUDY, f"{STUDY}.{series}"
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = UID(f"{STUDY}.{series}.{number}")
    image.PatientID, image.InstanceNumber = "P1", number
    stream = io.BytesIO()
    image.save_as(stream)
    return stream.getvalue()


def small_study() -> list[bytes]:
    """CT, MR, MR compressed, a colour image of two frames: three series, in the order of their names."""
    return [
        renamed("CT_small.dcm", series=1, number=1),
        renamed("MR_small.dcm", series=2, number=1),
        renamed("MR_small_RLE.dcm", series=2, number=2),
        renamed("SC_rgb_rle_2frame.dcm", series=3, number=1),
    ]
