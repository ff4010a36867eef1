"""NIfTI-1 and NIfTI-2 volumes."""

from medlocker.formats.nifti._file import (
    NIFTI_STARTS,
    complete_nifti,
    encode_nifti,
    glance_nifti,
    hold_nifti,
    metadata_nifti,
    read_nifti,
)

__all__ = [
    "NIFTI_STARTS",
    "complete_nifti",
    "encode_nifti",
    "glance_nifti",
    "hold_nifti",
    "metadata_nifti",
    "read_nifti",
]
