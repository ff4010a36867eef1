"""XMP around a marked picture: put on, and found again. Which formats have a place for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from medlocker.formats._layer import layer_between
from medlocker.formats._method import MarkedFile
from medlocker.formats._packet import build_packet, read_packet
from medlocker.formats._registry import metadata_digest
from medlocker.formats.dicom import told_dicom
from medlocker.formats.jpeg import add_packet_jpeg, packet_jpeg
from medlocker.formats.png import add_packet_png, packet_png
from medlocker.formats.tiff import add_packet_tiff, packet_tiff
from medlocker.images import Image
from medlocker.provenance import Provenance

HAS_OWN = "no XMP of this program: the file has its own"
NO_PLACE = "no XMP: there is no place for it in the file"


@dataclass(frozen=True)
class _Place:
    """Where a format has its packet.

    Args:
        find: Returns a file's first packet, or None.
        add: Returns a file with a packet more, or None if there is no place.
    """

    find: Callable[[bytes], bytes | None]
    add: Callable[[bytes, bytes], bytes | None]


_PLACES: Mapping[str, _Place] = {
    "png": _Place(packet_png, add_packet_png),
    "jpeg": _Place(packet_jpeg, add_packet_jpeg),
    "tiff": _Place(packet_tiff, add_packet_tiff),
}


def with_packet(marked: MarkedFile, image: Image, provenance: Provenance) -> MarkedFile:
    """Return a marked file with an XMP packet, where its format has one and it has none itself.

    Args:
        marked: The file.
        image: The original.
        provenance: What the packet says.
    """
    place = _PLACES.get(image.format)
    if place is None:
        return marked
    if place.find(marked.data) is not None:
        return replace(marked, notes=(*marked.notes, HAS_OWN))
    data = place.add(marked.data, build_packet(provenance))
    layer = None if data is None else layer_between(marked.data, data)
    if data is None or layer is None:
        return replace(marked, notes=(*marked.notes, NO_PLACE))
    # of the file without it: that is what restoring begins with
    metadata = marked.metadata or metadata_digest(replace(image, source=marked.data))
    return replace(marked, data=data, metadata=metadata, layers=(layer,))


def told_by(image: Image) -> Provenance | None:
    """Return what a file says of having been marked, None if nothing; **anybody can write that**."""
    if image.format == "dicom":
        return told_dicom(image)
    place = _PLACES.get(image.format)
    packet = None if place is None else place.find(image.source)
    return None if packet is None else read_packet(packet)
