"""Which instances are fetched, and what their files are called: decided once, the same whenever asked.

Names go into the public index of a release, so they tell nothing but places in an order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from medlocker.dicomweb._qido import Instance

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_ENDINGS = (
    "9.",  # waveforms
    "11.",  # presentation states
    "66",  # raw data, registrations, fiducials, segmentations, surfaces
    "67",  # real world values
    "68.",  # surface scans
    *("78.", "79.", "80."),  # measurements of eyes
    "88.",  # structured reports, key objects, dose reports
    "90.",  # content assessments
    "104.",  # encapsulated documents
    "200.",  # acquisition protocols
    "481.1",  # radiotherapy: radiations; images, 481.1 itself, and doses, 481.2, are pictures
    *(f"481.{number}" for number in range(3, 10)),  # radiotherapy: structures, records, plans
)
_WITHOUT_PIXELS = tuple(_STORAGE + ending for ending in _ENDINGS)
_RT_IMAGE = _STORAGE + "481.1"


@dataclass(frozen=True)
class PlannedInstance:
    """One instance that is fetched.

    Args:
        name: Of its file, relative: ``series-0001/000001.dcm``.
        series: Series Instance UID.
        uid: SOP Instance UID.
    """

    name: str
    series: str
    uid: str


def has_pixels(kind: str) -> bool:
    """Tell by its SOP class whether an object may hold pictures; unknown ones may.

    Reports, presentation states and the like bear no mark. Segmentations are pictures, but of regions, and
    no classifier's input. Those that are about images travel with them: see
    :func:`medlocker.formats.dicom.companion_word`.
    """
    return kind == _RT_IMAGE or not kind.startswith(_WITHOUT_PIXELS)


def name_instances(instances: Iterable[Instance], *, series: int = 0) -> list[PlannedInstance]:
    """Order by series UID, instance number and SOP instance UID, and number in that order.

    Args:
        instances: What is named.
        series: How many series have a number already.

    Returns:
        In the order of their names.
    """
    ordered = sorted(
        instances, key=lambda one: (one.series, one.number is not None, one.number or 0, one.uid)
    )
    planned: list[PlannedInstance] = []
    within, last = 0, ""
    for one in ordered:
        if one.series != last:
            series, within, last = series + 1, 0, one.series
        within += 1
        planned.append(PlannedInstance(f"series-{series:04d}/{within:06d}.dcm", one.series, one.uid))
    return planned
