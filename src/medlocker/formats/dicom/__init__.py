"""DICOM: every frame's samples as stored, and what is asked of a header."""

from medlocker.formats.dicom._codecs import encode_frame
from medlocker.formats.dicom._companion import Companion, companion_word, edited_companion, read_companion
from medlocker.formats.dicom._file import (
    complete_dicom,
    dicom_of,
    encode_dicom,
    glance_dicom,
    hold_dicom,
    metadata_dicom,
    read_dicom,
)
from medlocker.formats.dicom._header import MARK_TEXT
from medlocker.formats.dicom._layout import Layout
from medlocker.formats.dicom._origin import told_dicom
from medlocker.formats.dicom._parts import looks_like_dicom
from medlocker.formats.dicom._tags import (
    dicom_identity,
    has_dicom_name,
    instance_and_study,
    is_dicom_file,
    quiet,
    read_tags,
    read_tags_from,
    series_key,
)

__all__ = [
    "MARK_TEXT",
    "Companion",
    "Layout",
    "companion_word",
    "complete_dicom",
    "dicom_identity",
    "dicom_of",
    "edited_companion",
    "encode_dicom",
    "encode_frame",
    "glance_dicom",
    "has_dicom_name",
    "hold_dicom",
    "instance_and_study",
    "is_dicom_file",
    "looks_like_dicom",
    "metadata_dicom",
    "quiet",
    "read_companion",
    "read_dicom",
    "read_tags",
    "read_tags_from",
    "series_key",
    "told_dicom",
]
