"""NIfTI-1 and NIfTI-2 volumes."""

from medlocker.formats.nifti._file import (
    NIFTI_STARTS,
    encode_nifti,
    encode_nifti_frames,
    metadata_nifti,
    read_nifti,
)
from medlocker.formats.nifti._window import ShownRange

__all__ = [
    "NIFTI_STARTS",
    "ShownRange",
    "encode_nifti",
    "encode_nifti_frames",
    "metadata_nifti",
    "read_nifti",
]
